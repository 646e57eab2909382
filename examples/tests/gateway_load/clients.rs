//! The load: clients that try nothing again and forgive nothing.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rekindle::BoxError;
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::gateway_support::*;
use crate::truth::{Setup, Truth};

/// How long an answer may take, or a handshake. The longest downloads take a second.
const PATIENCE: Duration = Duration::from_secs(20);

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
        };
        for _ in 0..3 {
            tasks.spawn(client("keep-alive", setup.plain, &None).keep_asking());
            tasks.spawn(client("keep-alive TLS", setup.tls, &h1).keep_asking());
            tasks.spawn(client("HTTP/2", setup.tls, &h2).keep_asking());
            tasks.spawn(client("upload", setup.plain, &None).upload());
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
            tasks.spawn(client("second listener HTTP/2", tls, &h2).come_and_go_by_frames());
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
        let opened = async {
            match &self.tls {
                Some(tls) => Connection::open_tls(self.address, "one.test", tls).await,
                None => Connection::open(self.address, "one.test").await,
            }
        };
        timeout(PATIENCE, opened).await?
    }

    /// Asks, and looks at the answer. `None` if it failed.
    async fn ask(&self, connection: &mut Connection, path: &str) -> Option<Answer> {
        self.send(connection, "GET", path, "").await
    }

    async fn send(
        &self,
        connection: &mut Connection,
        method: &str,
        path: &str,
        body: &'static str,
    ) -> Option<Answer> {
        let since = self.truth.current();
        let answer = async {
            let response = connection.send(method, path, body).await?;
            Answer::of(response).await
        };
        match timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => {
                self.truth.check(self.kind, since, &answer);
                Some(answer)
            }
            Ok(Err(error)) => {
                self.truth.fail(self.kind, &format!("{error:?}"));
                None
            }
            Err(late) => {
                self.truth.fail(self.kind, &late);
                None
            }
        }
    }

    /// One connection, for ever.
    async fn keep_asking(self) -> (&'static str, u64) {
        let mut count = 0;
        let mut connection = self.open().await.unwrap();
        let body = "some words";
        while self.goes_on() && self.ask(&mut connection, "/").await.is_some() {
            let Some(echo) = self.send(&mut connection, "POST", "/echo", body).await else {
                break;
            };
            if echo.body != body {
                self.truth.fail(self.kind, &format!("no echo: {echo:?}"));
            }
            count += 2;
            sleep(Duration::from_millis(2)).await;
        }
        (self.kind, count)
    }

    /// Uploads that take about a second, on a connection each.
    async fn upload(self) -> (&'static str, u64) {
        const PIECES: usize = 100;
        let mut count = 0;
        while self.goes_on() {
            let answer = async {
                let mut stream = socket(self.address).await?;
                let size = 1000 * PIECES;
                let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n");
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(b"connection: close\r\n\r\n").await?;
                for _ in 0..PIECES {
                    stream.write_all(&[b'x'; 1000]).await?;
                    sleep(Duration::from_millis(10)).await;
                }
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await?;
                io::Result::Ok(answer)
            };
            match timeout(PATIENCE, answer).await {
                Ok(Ok(answer))
                    if answer.starts_with("HTTP/1.1 200") && answer.contains("Ok(100000)\n") => {}
                other => self.truth.fail(self.kind, &format!("{other:?}")),
            }
            count += 1;
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
            let there = self.is_there().await;
            if there.is_some() {
                let connection = self.open().await;
                drop(there);
                match connection {
                    Ok(connection) => count += self.until_told(connection).await,
                    Err(error) => self.truth.fail(self.kind, &error),
                }
            }
        }
        (self.kind, count)
    }

    /// As long as this is held, the second listeners do not go. `None` if they are not there.
    async fn is_there(&self) -> Option<impl Drop> {
        let there = self.truth.is_there.read().await;
        if !*there {
            drop(there);
            sleep(Duration::from_millis(5)).await;
            return None;
        }
        Some(there)
    }

    /// Asks until the gateway has said that the connection ends.
    async fn until_told(&self, mut connection: Connection) -> u64 {
        let mut count = 0;
        while self.goes_on() {
            if !connection.is_open().await {
                self.truth.fail(self.kind, &"it was closed without a word");
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

    /// As `come_and_go`, with HTTP/2, where libraries hide what they are told, and when.
    async fn come_and_go_by_frames(self) -> (&'static str, u64) {
        let mut count = 0;
        while self.goes_on() {
            let there = self.is_there().await;
            if there.is_some() {
                let config = self.tls.as_ref().expect("HTTP/2 is spoken over TLS");
                let connection = timeout(PATIENCE, Frames::connect(self.address, config)).await;
                drop(there);
                match connection {
                    Ok(Ok(connection)) => match self.until_goaway(connection, &mut count).await {
                        Ok(()) => {}
                        Err(error) => self.truth.fail(self.kind, &error),
                    },
                    other => self
                        .truth
                        .fail(self.kind, &format!("{:?}", other.map(|_| ()))),
                }
            }
        }
        (self.kind, count)
    }

    /// Asks until a frame says that the connection ends. A request that was sent before that was
    /// read is answered.
    async fn until_goaway(&self, mut connection: Frames, count: &mut u64) -> io::Result<()> {
        connection.begin(None).await?;
        let mut is_told = false;
        for stream in (1..).step_by(2) {
            connection.get(stream, "/").await?;
            let mut is_answered = false;
            while !is_answered {
                let frame = connection.read().await?;
                connection.acknowledge(&frame).await?;
                let is_ours = frame.stream == stream;
                match frame.kind {
                    // The first byte stands for the status 200.
                    Kind::HEADERS if is_ours && frame.payload[0] == 0x88 => {}
                    Kind::DATA if is_ours => {
                        let size = u32::try_from(frame.payload.len()).expect("a frame is small");
                        if size > 0 {
                            connection.widen(stream, size).await?;
                        }
                        is_answered = frame.is_last;
                    }
                    Kind::GOAWAY => is_told = true,
                    Kind::PING | Kind::SETTINGS | Kind::WINDOW => {}
                    _ => return Err(io::Error::other(format!("{frame:?}"))),
                }
            }
            *count += 1;
            if is_told || !self.goes_on() {
                break;
            }
            sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }
}
