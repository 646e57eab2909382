//! One connection of a client, from the handshake to its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rekindle::Lease;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::activity::Activity;
use crate::body;
use crate::config::Waits;
use crate::listener::Listener;
use crate::proxy::{Client, Proxy};

/// How long a connection that has been idle for too long has to end in an orderly manner.
const FAREWELL: Duration = Duration::from_secs(1);

/// After how long without a word the kernel looks whether the peer is still there. That is for those
/// that may be silent for hours, WebSockets above all; the others have shorter deadlines.
pub(crate) const SILENCE: Duration = Duration::from_secs(60);

/// Requests of one client at once, with HTTP/2.
const STREAMS: u32 = 256;

/// Serves a connection to its end, with what was current when it was accepted.
pub(crate) async fn serve(
    socket: TcpStream,
    peer: SocketAddr,
    listener: Lease<Listener>,
    proxy: Proxy,
    stop: CancellationToken,
) {
    let waits = listener.waits.clone();
    let tls = listener.tls.clone();
    // Nothing of the listener is needed from here on, so it need not be kept from going.
    drop(listener);
    // Neither is needed to serve, so a socket that cannot is served without.
    _ = socket.set_nodelay(true);
    _ = SockRef::from(&socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(SILENCE));
    let mut socket = Box::pin(TimeoutStream::new(socket));
    let patience = Some(waits.write_seconds.get());
    socket.as_mut().set_write_timeout_pinned(patience);

    let client = |is_secure| Client {
        proxy,
        address: peer.ip(),
        is_secure,
        stop,
        tunnels: TaskTracker::new(),
    };
    let Some(tls) = tls else {
        return serve_http(socket, false, client(false), &waits).await;
    };
    let handshake = TlsAcceptor::from(tls).accept(socket);
    match timeout(waits.header_seconds.get(), handshake).await {
        Ok(Ok(stream)) => {
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            serve_http(stream, is_http2, client(true), &waits).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "a handshake failed"),
        Err(_) => tracing::debug!("a handshake took too long"),
    }
}

async fn serve_http(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    is_http2: bool,
    client: Client,
    waits: &Waits,
) {
    let client = Arc::new(client);
    let activity = Activity::new();
    let service = service_fn(|request: Request<Incoming>| {
        let under_way = activity.begin();
        let client = Arc::clone(&client);
        async move {
            let mut response = client.answer(request).await;
            if client.stop.is_cancelled() && !is_http2 {
                say_goodbye(&mut response);
            }
            Ok::<_, Infallible>(response.map(|body| body::holding(body, under_way)))
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS);
    // `Activity` knows more than this timeout, which counts the time between requests too.
    builder.http1().header_read_timeout(None);
    let builder = match is_http2 {
        true => builder.http2_only(),
        false => builder.http1_only(),
    };
    let mut connection =
        pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));

    let (first, next) = (waits.header_seconds.get(), waits.idle_seconds.get());
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = activity.ceased(first, next) => None,
        () = client.stop.cancelled() => {
            if is_http2 {
                // Tells the client, serves what it has sent until it knows, and ends.
                connection.as_mut().graceful_shutdown();
                Some(connection.as_mut().await)
            } else {
                // To close an idle connection is to reset the request that is on its way. The client
                // learns from the next answer that there will not be another one.
                let linger = next.min(client.proxy.drain / 2);
                tokio::select! {
                    ended = connection.as_mut() => Some(ended),
                    () = activity.ceased_from_now(linger) => None,
                }
            }
        }
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            timeout(FAREWELL, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = &*error, "a connection broke off");
    }
    client.tunnels.close();
    client.tunnels.wait().await;
}

/// The last answer on this connection, with HTTP/1.1.
fn say_goodbye(response: &mut Response<body::Body>) {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
}
