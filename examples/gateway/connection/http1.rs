//! A connection that speaks HTTP/1.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::config::Waits;
use crate::proxy::Client;

/// How long a connection that has been idle for too long has for the head of a request that has
/// begun.
const FAREWELL: Duration = Duration::from_secs(1);

pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    client: &Arc<Client>,
    waits: &Waits,
) -> Result<(), hyper::Error> {
    let activity = &client.activity;
    let service = service_fn(|request: Request<Incoming>| {
        let under_way = activity.begin();
        let client = Arc::clone(client);
        async move {
            let mut response = client.answer(request).await;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                activity.switch();
            } else if client.stop.is_cancelled() {
                // The last answer on this connection.
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
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
        return ended;
    }
    Pin::new(&mut connection).graceful_shutdown();
    tokio::select! {
        biased;
        ended = &mut connection => ended,
        () = activity.ceased_from_now(FAREWELL) => Ok(()),
    }
}
