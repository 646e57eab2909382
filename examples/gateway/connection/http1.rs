//! A connection that speaks HTTP/1.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, copy, sink};
use tokio::time::timeout;

use super::activity::Activity;
use crate::config::Waits;
use crate::proxy::Client;

/// How long a connection that has been idle for too long has for the head of a request that has
/// begun.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long a client may go on to send what is not read any more.
const LINGER: Duration = Duration::from_secs(5);

pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    client: &Arc<Client>,
    activity: &Arc<Activity>,
    waits: &Waits,
) -> Result<(), hyper::Error> {
    let service = service_fn(|request: Request<Incoming>| {
        let under_way = activity.begin();
        let client = Arc::clone(client);
        async move {
            let mut response = client.answer(request).await;
            if client.stop.is_cancelled() {
                say_goodbye(&mut response);
            }
            Ok::<_, Infallible>(response.map(|body| body.holding(under_way)))
        }
    });
    let mut connection = http1::Builder::new()
        // `Activity` knows more than this timeout, which counts the time between requests too.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();

    let quiet = async {
        let idle = waits.idle_seconds.get();
        let ceased = activity.ceased(waits.header_seconds.get(), idle);
        if client.stop.run_until_cancelled(ceased).await.is_none() {
            // To close an idle connection is to reset the request that is on its way. The client
            // learns from the next answer that there will not be another one.
            let linger = idle.min(client.proxy.drain / 2);
            activity.ceased_from_now(linger).await;
        }
    };
    // The connection first each time: what it has read must not be cut because a time is up.
    let ended = tokio::select! {
        biased;
        ended = &mut connection => Some(ended),
        () = quiet => None,
    };
    if let Some(ended) = ended {
        ended?;
    } else {
        Pin::new(&mut connection).graceful_shutdown();
        tokio::select! {
            biased;
            ended = &mut connection => ended?,
            () = activity.ceased_from_now(FAREWELL) => return Ok(()),
        }
    }
    // Not one that was upgraded, which is somebody else's now.
    if let Some(parts) = connection.into_parts() {
        linger(parts.io.into_inner(), LINGER.min(client.proxy.drain / 4)).await;
    }
    Ok(())
}

/// Waits for the client to end, too.
///
/// If the socket were closed before all is read that the client sends, the kernel would reset the
/// connection, and with it the answer: that a request is too large, say, of which the client is
/// still sending the rest.
async fn linger(mut stream: impl AsyncRead + Unpin, patience: Duration) {
    _ = timeout(patience, copy(&mut stream, &mut sink())).await;
}

/// The last answer on this connection.
fn say_goodbye<B>(response: &mut Response<B>) {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
}
