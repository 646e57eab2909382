//! An upstream that does what the path asks for.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use futures_util::stream;
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, split};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// An upstream of a few lines: it reads the head of a request, and then sends this and no more.
pub(crate) struct Rude {
    pub(crate) address: SocketAddr,
    pub(crate) heads: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Rude {
    pub(crate) async fn start(says: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::<Mutex<Vec<_>>>::default();
        let heard = Arc::clone(&heads);
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n")
                    && let Ok(byte) = stream.read_u8().await
                {
                    head.push(byte.into());
                }
                heard.lock().unwrap().push(head);
                stream.write_all(says.as_bytes()).await.unwrap();
            }
        });
        Self {
            address,
            heads,
            task,
        }
    }
}

impl Drop for Rude {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// It ends when this is dropped.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    pub(crate) state: Arc<Its>,
    task: JoinHandle<()>,
}

pub(crate) struct Its {
    name: &'static str,
    pub(crate) is_well: AtomicBool,
    pub(crate) checks: AtomicU64,
    /// Each permit lets a download at `/steps` send one more step.
    pub(crate) steps: Semaphore,
    /// How many WebSockets the client has ended with a close frame.
    pub(crate) closed: AtomicU64,
    /// How many answers of bytes have not ended.
    pub(crate) under_way: AtomicU64,
}

impl Upstream {
    pub(crate) async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Its {
            name,
            is_well: AtomicBool::new(true),
            checks: AtomicU64::new(0),
            steps: Semaphore::new(0),
            closed: AtomicU64::new(0),
            under_way: AtomicU64::new(0),
        });
        let app = Router::new()
            .route("/bytes/{size}", get(bytes))
            .route("/sleep/{milliseconds}", get(sleep))
            .route("/steps", get(steps))
            .route("/trickle/{pieces}", get(trickle))
            .route("/well", get(well))
            .route("/endless", get(endless))
            .route("/ws", any(websocket))
            .route("/upgrade", any(upgrade))
            .route("/stays", any(stays))
            .route("/echo", any(async |request: Request| request.into_body()))
            .fallback(tell)
            .with_state(Arc::clone(&state))
            .into_make_service_with_connect_info::<SocketAddr>();
        let task = tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
        Self {
            address,
            state,
            task,
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers with the request as it arrived, and tells on which connection.
async fn tell(
    State(its): State<Arc<Its>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> impl IntoResponse {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes().len());
    let mut text = format!("{}: {} {}\n", its.name, head.method, head.uri);
    for (name, value) in &head.headers {
        text.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
    }
    text.push_str(&format!("{body:?}\n"));
    let headers = [
        ("x-upstream", its.name.to_owned()),
        ("x-connection", peer.port().to_string()),
        ("keep-alive", "timeout=5".to_owned()),
    ];
    (headers, text)
}

/// As many bytes, in a body whose size is told only if it is odd.
async fn bytes(State(its): State<Arc<Its>>, Path(size): Path<usize>) -> Response {
    if size % 2 == 1 {
        return vec![b'x'; size].into_response();
    }
    let pieces = stream::unfold((size, UnderWay::of(its)), async |(left, under_way)| {
        tokio::task::yield_now().await;
        let piece = left.min(16 * 1024);
        (piece > 0).then(|| {
            let bytes = Bytes::from(vec![b'x'; piece]);
            (Ok::<_, axum::Error>(bytes), (left - piece, under_way))
        })
    });
    Body::from_stream(pieces).into_response()
}

struct UnderWay(Arc<Its>);

impl UnderWay {
    fn of(its: Arc<Its>) -> Self {
        its.under_way.fetch_add(1, Ordering::Relaxed);
        Self(its)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn sleep(Path(milliseconds): Path<u64>) -> &'static str {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    "awake\n"
}

/// A download that goes on when the test says so: four lines, the first at once.
async fn steps(State(its): State<Arc<Its>>) -> Body {
    Body::from_stream(stream::unfold((0, its), async |(step, its)| {
        if step == 4 {
            return None;
        }
        if step > 0 {
            its.steps.acquire().await.unwrap().forget();
        }
        let line = format!("step {step} of {}\n", its.name);
        Some((Ok::<_, axum::Error>(Bytes::from(line)), (step + 1, its)))
    }))
}

/// So many kilobytes, one every 10 ms.
async fn trickle(Path(pieces): Path<usize>) -> Body {
    Body::from_stream(stream::unfold(pieces, async |left| {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let piece = Bytes::from_static(&[b'x'; 1000]);
        (left > 0).then(|| (Ok::<_, axum::Error>(piece), left - 1))
    }))
}

async fn well(State(its): State<Arc<Its>>) -> StatusCode {
    its.checks.fetch_add(1, Ordering::Relaxed);
    match its.is_well.load(Ordering::Relaxed) {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// An answer to a check that never ends.
async fn endless(State(its): State<Arc<Its>>) -> Body {
    its.checks.fetch_add(1, Ordering::Relaxed);
    Body::from_stream(stream::unfold((), async |()| {
        tokio::task::yield_now().await;
        Some((Ok::<_, axum::Error>(Bytes::from_static(&[b'x'; 1000])), ()))
    }))
}

async fn websocket(State(its): State<Arc<Its>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async move |websocket| echo(websocket, &its).await)
}

/// Echoes, but for what it is asked for.
async fn echo(mut websocket: WebSocket, its: &Its) {
    while let Some(Ok(message)) = websocket.recv().await {
        match message {
            Message::Close(_) => {
                its.closed.fetch_add(1, Ordering::Relaxed);
            }
            Message::Text(_) | Message::Binary(_) => {
                let answer = match message.to_text().unwrap_or_default().split_once(' ') {
                    Some(("give", size)) => Message::from(vec![b'x'; size.parse().unwrap()]),
                    Some(("leave", _)) => Message::Close(None),
                    _ => message,
                };
                if websocket.send(answer).await.is_err() {
                    return;
                }
            }
            Message::Ping(_) | Message::Pong(_) => {}
        }
    }
}

/// Says that it is a WebSocket, and stays, whatever happens to its client.
async fn stays(mut request: Request) -> impl IntoResponse {
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let _upgraded = upgrade.await;
        std::future::pending::<()>().await;
    });
    let headers = [("connection", "upgrade"), ("upgrade", "websocket")];
    (StatusCode::SWITCHING_PROTOCOLS, headers)
}

/// Another protocol: it echoes, and says goodbye when nothing more comes.
async fn upgrade(mut request: Request) -> impl IntoResponse {
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let (mut read, mut write) = split(TokioIo::new(upgrade.await.unwrap()));
        copy(&mut read, &mut write).await.unwrap();
        write.write_all(b"goodbye").await.unwrap();
        write.shutdown().await.unwrap();
    });
    let headers = [("connection", "upgrade"), ("upgrade", "echo")];
    (StatusCode::SWITCHING_PROTOCOLS, headers)
}
