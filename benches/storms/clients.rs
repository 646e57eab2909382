//! Clients over HTTP, each on a connection that is open already.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::middleware::map_request;
use rekindle::{BoxError, Handle, Manager, http};
use rekindle_benches::{runtime, with_manager};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::callers::Reloads;
use crate::{Storm, allocated};

const REQUEST: &[u8] = b"POST /-/reload HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n";

/// What both ends of the connections, and all else, need of file numbers beside one for each end.
const OTHER_FILES: u64 = 100;

pub(crate) fn storm(clients: usize) -> Result<Storm, BoxError> {
    allow_files(2 * clients as u64 + OTHER_FILES)?;
    runtime(2).block_on(async {
        let mut manager = Manager::new();
        let reloads = Reloads::of(&mut manager);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        with_manager(manager, |handle| ask(handle, clients, reloads, listener)).await?
    })
}

/// As many open files as are needed, if that is allowed.
fn allow_files(files: u64) -> Result<(), BoxError> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|maximum| maximum < files) {
        return Err(format!("not measured: it takes {files} open files, see `ulimit -Hn`").into());
    }
    if limit.current.is_some_and(|current| current < files) {
        limit.current = Some(files);
        setrlimit(Resource::Nofile, limit)?;
    }
    Ok(())
}

async fn ask(
    handle: Handle,
    clients: usize,
    mut reloads: Reloads,
    listener: TcpListener,
) -> Result<Storm, BoxError> {
    let address = listener.local_addr()?;
    let arrived = Arc::new(AtomicUsize::new(0));
    let arrives = Arc::clone(&arrived);
    let app = Router::new()
        .nest_service("/-", http::Admin::new(handle.clone()))
        .layer(map_request(move |request: Request| {
            arrives.fetch_add(1, Ordering::Relaxed);
            ready(request)
        }));
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let server = axum::serve(listener, app).with_graceful_shutdown(stopped);
    let server = tokio::spawn(server.into_future());
    let mut open = Vec::with_capacity(clients);
    for _ in 0..clients {
        open.push(TcpStream::connect(address).await?);
    }

    reloads.hold(&handle).await;
    let before = allocated();
    let began = Instant::now();
    let mut answers = JoinSet::new();
    for client in open {
        answers.spawn(post(client));
    }
    while arrived.load(Ordering::Relaxed) < clients {
        sleep(Duration::from_micros(100)).await;
    }
    let bytes = allocated() - before;
    reloads.let_go();
    let mut answered = Vec::with_capacity(clients);
    while let Some(client) = answers.join_next().await {
        answered.push(client??);
    }
    let took = began.elapsed();
    drop(answered);
    stop.cancel();
    server.await??;
    Ok(Storm {
        reloads: reloads.begun(),
        milliseconds: 1e3 * took.as_secs_f64(),
        bytes_each: bytes as f64 / clients as f64,
    })
}

/// Asks for a reload. The connection, when it was told 200.
async fn post(mut client: TcpStream) -> Result<TcpStream, BoxError> {
    client.write_all(REQUEST).await?;
    let mut answer = [0; 64];
    client.read_exact(&mut answer).await?;
    match answer.starts_with(b"HTTP/1.1 200") {
        true => Ok(client),
        false => Err("a client was not told 200".into()),
    }
}
