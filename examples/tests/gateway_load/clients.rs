//! The load: clients that try nothing again and forgive nothing.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use h2::Reason;
use rekindle::BoxError;
use rustls::ClientConfig;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;

use crate::gateway_support::*;
use crate::truth::{Setup, Truth};

/// Tasks that ask until they are told to stop. Each tells how often.
pub(crate) struct Clients {
    tasks: JoinSet<(&'static str, u64)>,
    stop: Arc<AtomicBool>,
}

#[derive(Clone)]
struct Client {
    kind: &'static str,
    truth: Arc<Truth>,
    stop: Arc<AtomicBool>,
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    comes_and_goes: bool,
}

impl Clients {
    pub(crate) fn start(setup: &Setup, truth: &Arc<Truth>, authority: &Authority) -> Self {
        let mut tasks = JoinSet::new();
        let stop = Arc::new(AtomicBool::new(false));
        let h1 = Some(authority.client(&["http/1.1"]));
        let h2 = Some(authority.client(&["h2"]));
        let client = |kind, address, tls: &Option<_>| Client {
            kind,
            truth: Arc::clone(truth),
            stop: Arc::clone(&stop),
            address,
            tls: tls.clone(),
            comes_and_goes: setup.second.contains(&address),
        };
        for _ in 0..3 {
            tasks.spawn(client("keep-alive", setup.plain, &None).keep_asking());
            tasks.spawn(client("keep-alive TLS", setup.tls, &h1).keep_asking());
            tasks.spawn(client("HTTP/2", setup.tls, &h2).keep_asking());
            tasks.spawn(client("download", setup.plain, &None).download());
            tasks.spawn(client("download HTTP/2", setup.tls, &h2).download());
            tasks.spawn(client("WebSocket", setup.plain, &None).websocket());
        }
        tasks.spawn(client("new connection", setup.plain, &None).connect());
        tasks.spawn(client("handshake", setup.tls, &h1).connect());
        tasks.spawn(client("handshake HTTP/2", setup.tls, &h2).connect());
        let [plain, tls] = setup.second;
        for _ in 0..2 {
            tasks.spawn(client("second listener", plain, &None).come_and_go());
            tasks.spawn(client("second listener TLS", tls, &h1).come_and_go());
            tasks.spawn(client("second listener HTTP/2", tls, &h2).come_and_go());
        }
        Self { tasks, stop }
    }

    pub(crate) async fn stop(self) -> BTreeMap<&'static str, u64> {
        self.stop.store(true, Ordering::Relaxed);
        let mut counts = BTreeMap::new();
        for (kind, count) in in_time(self.tasks.join_all()).await {
            *counts.entry(kind).or_default() += count;
        }
        counts
    }
}

impl Client {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    async fn open(&self) -> Result<Connection, BoxError> {
        match &self.tls {
            Some(tls) => Connection::open_tls(self.address, "one.test", tls).await,
            None => Connection::open(self.address, "one.test").await,
        }
    }

    /// Asks, and looks at the answer. `None` if the connection cannot be used any more.
    async fn ask(&self, connection: &mut Connection, path: &str) -> Option<Answer> {
        let since = self.truth.current();
        let answer = async {
            let response = connection.send("GET", path, "").await?;
            Answer::of(response).await
        };
        match answer.await {
            Ok(answer) => {
                self.truth.check(self.kind, since, &answer);
                Some(answer)
            }
            // The request met the frame that says that the connection ends, and has not been sent:
            // between `ready` and sending there is always room for that frame.
            Err(error) if self.comes_and_goes && connection.is_http2() && is_unsent(&error) => None,
            Err(error) => {
                self.truth.fail(self.kind, &format!("{error:?}"));
                None
            }
        }
    }

    /// One connection, for ever.
    async fn keep_asking(self) -> (&'static str, u64) {
        let mut count = 0;
        let mut connection = self.open().await.unwrap();
        while self.goes_on() && self.ask(&mut connection, "/").await.is_some() {
            count += 1;
            sleep(Duration::from_millis(2)).await;
        }
        (self.kind, count)
    }

    /// A connection for each request.
    async fn connect(self) -> (&'static str, u64) {
        let mut count = 0;
        while self.goes_on() {
            match self.open().await {
                Ok(mut connection) => drop(self.ask(&mut connection, "/").await),
                Err(error) => self.truth.fail(self.kind, &error),
            }
            count += 1;
            sleep(Duration::from_millis(2)).await;
        }
        (self.kind, count)
    }

    /// Downloads that take more than a second, and so some ten reloads.
    async fn download(self) -> (&'static str, u64) {
        let mut count = 0;
        let mut connection = self.open().await.unwrap();
        while self.goes_on() {
            let Some(answer) = self.ask(&mut connection, "/trickle/100").await else {
                break;
            };
            if answer.body.len() != 100_000 {
                self.truth
                    .fail(self.kind, &format!("{} bytes", answer.body.len()));
            }
            count += 1;
        }
        (self.kind, count)
    }

    async fn websocket(self) -> (&'static str, u64) {
        let mut count = 0;
        let mut websocket = websocket(self.address, "/ws").await.unwrap();
        while self.goes_on() {
            let text = Message::text(count.to_string());
            let echoed = async {
                websocket.send(text.clone()).await?;
                websocket.next().await.transpose()
            };
            match in_time(echoed).await {
                Ok(Some(echo)) if echo == text => count += 1,
                other => {
                    self.truth.fail(self.kind, &format!("{other:?}"));
                    break;
                }
            }
            sleep(Duration::from_millis(5)).await;
        }
        (self.kind, count)
    }

    /// Asks a listener that comes and goes, on connections that last as long as it does.
    async fn come_and_go(self) -> (&'static str, u64) {
        let mut count = 0;
        while self.goes_on() {
            let connection = {
                let is_there = self.truth.is_there.read().await;
                if *is_there {
                    Some(self.open().await)
                } else {
                    None
                }
            };
            match connection {
                Some(Ok(connection)) => count += self.until_told(connection).await,
                Some(Err(error)) => self.truth.fail(self.kind, &error),
                None => sleep(Duration::from_millis(5)).await,
            }
        }
        (self.kind, count)
    }

    /// Asks until the gateway has said that the connection ends.
    async fn until_told(&self, mut connection: Connection) -> u64 {
        let mut count = 0;
        while self.goes_on() {
            if !connection.is_open().await {
                // With HTTP/2 there was a frame that says so.
                if !connection.is_http2() {
                    self.truth.fail(self.kind, &"it was closed without a word");
                }
                break;
            }
            let Some(answer) = self.ask(&mut connection, "/").await else {
                break;
            };
            count += 1;
            if answer.header("connection") == "close" {
                break;
            }
            sleep(Duration::from_millis(2)).await;
        }
        count
    }
}

/// Whether an HTTP/2 connection was ended in an orderly manner before it took the request: by then
/// hyper has still got it, or h2 has, and has not given it a number.
fn is_unsent(error: &hyper::Error) -> bool {
    let frame = error
        .source()
        .and_then(|cause| cause.downcast_ref::<h2::Error>());
    let is_goodbye = |frame: &h2::Error| {
        frame.is_go_away() && frame.is_remote() && frame.reason() == Some(Reason::NO_ERROR)
    };
    error.is_canceled() || frame.is_some_and(is_goodbye)
}
