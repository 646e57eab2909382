//! A server that is replaced again and again, while clients connect.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::routing::get;
use rekindle::{BoxError, Lease, Manager, Reading, Source, Stamp};
use rekindle_examples::leased;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// An address, which never changes.
struct Anywhere;

impl Source for Anywhere {
    type Value = SocketAddr;

    async fn read(&self, committed: Option<Stamp>) -> Result<Reading<SocketAddr>, BoxError> {
        let stamp = Stamp::of(b"anywhere");
        Ok(match committed {
            Some(_) => Reading::Unchanged,
            None => Reading::Stamped("127.0.0.1:0".parse()?, stamp),
        })
    }
}

struct Server {
    listener: Lease<std::net::TcpListener>,
    number: u64,
}

const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

fn bind(address: SocketAddr) -> Result<std::net::TcpListener, BoxError> {
    let bound = std::net::TcpListener::bind(address)?;
    bound.set_nonblocking(true)?;
    Ok(bound)
}

/// One request on a connection of its own.
async fn ask(address: SocketAddr) -> Result<(), BoxError> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(ASK).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    match answer.starts_with("HTTP/1.1 200 OK\r\n") {
        true => Ok(()),
        false => Err(format!("{answer:?}").into()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_connections_survive_hundreds_of_hand_overs() {
    const HAND_OVERS: u64 = 300;
    let mut reload = Manager::new();
    let address = reload.source("address", Anywhere).await.unwrap();
    let listener = reload.derive("listener", &address, async |address: Lease<SocketAddr>| {
        bind(*address)
    });
    let listener = listener.await.unwrap();
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    let number = reload.source("number", async move || {
        Ok(counted.fetch_add(1, Ordering::Relaxed))
    });
    let number = number.await.unwrap();
    reload
        .derive(
            "server",
            (&listener, &number),
            async |(listener, number)| {
                let number = *number;
                Ok(Server { listener, number })
            },
        )
        .runs(async |server: Lease<Server>, stop| {
            let number = server.number;
            let router = Router::new().route("/", get(async move || number.to_string()));
            leased::serve(server.listener.clone(), router, stop).await
        })
        .await
        .unwrap();

    let address = listener.load().local_addr().unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        let over = CancellationToken::new();
        let (answers, mut answered) = mpsc::channel(1);
        let mut clients = JoinSet::new();
        for _ in 0..4 {
            let (over, answers) = (over.clone(), answers.clone());
            clients.spawn(async move {
                let mut failed = Vec::new();
                while !over.is_cancelled() {
                    failed.extend(ask(address).await.err().map(|error| error.to_string()));
                    _ = answers.try_send(());
                }
                failed
            });
        }
        for _ in 0..HAND_OVERS {
            handle.reload("the test").await?;
            answered.recv().await;
        }
        over.cancel();
        let failed = clients.join_all().await.concat();
        assert_eq!(failed, [""; 0]);
        assert!(count.load(Ordering::Relaxed) > HAND_OVERS);
        Ok(())
    });
    run.await.unwrap();
}

/// On one thread, so that nothing is accepted before the task is told to stop.
#[tokio::test]
async fn connections_that_wait_when_a_listener_goes_are_answered() {
    let listener = {
        let mut reload = Manager::new();
        let listener = reload.source("listener", async || bind("127.0.0.1:0".parse()?));
        // The handle holds all that is current; the lease alone is what a task has that was told to stop.
        listener.await.unwrap().lease()
    };
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let router = Router::new().route("/", get(async || "here"));
    let serve = tokio::spawn(leased::serve(listener, router, stop.clone()));
    ask(address).await.unwrap();

    let mut waiting = Vec::new();
    for _ in 0..20 {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(ASK).unwrap();
        waiting.push(stream);
    }
    stop.cancel();
    for stream in waiting {
        stream.set_nonblocking(true).unwrap();
        let mut answer = String::new();
        let mut stream = TcpStream::from_std(stream).unwrap();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("here"), "{answer:?}");
    }
    serve.await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "it is closed");
}
