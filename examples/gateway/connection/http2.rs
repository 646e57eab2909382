//! A connection that speaks HTTP/2.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::body::{Progress, Turn};
use crate::config::Waits;
use crate::proxy::Client;

/// Requests of one client at once.
const STREAMS: u32 = 256;

/// How long a connection that is new has for its first request, when it is to end.
const FIRST: Duration = Duration::from_secs(2);

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
            let response = client.answer(request).await;
            let taken = TAKEN.with(Progress::clone);
            Ok::<_, Infallible>(response.map(|body| body.telling(&taken).holding(under_way)))
        }
    });
    let patience = waits.write_seconds.get();
    let mut builder = http2::Builder::new(Streams { patience });
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));

    // Requests that are on their way when a connection is told to end are served, so there is no
    // need to wait for a quiet moment. But who has just connected has done so to ask something, and
    // could not if this were the first thing that it is told.
    let drain = client.proxy.drain;
    let farewell = async {
        tokio::select! {
            () = async {
                client.stop.cancelled().await;
                activity.begun(FIRST.min(drain / 4)).await;
            } => patience.min(drain / 2),
            () = activity.ceased(waits.header_seconds.get(), waits.idle_seconds.get()) => patience,
        }
    };
    // The connection first each time: what it has read must not be cut because a time is up.
    let farewell = tokio::select! {
        biased;
        ended = connection.as_mut() => return ended,
        farewell = farewell => farewell,
    };
    // Tells the client, serves what it sends until it knows, and ends when all of it is answered
    // and taken. A client that does nothing more need not be waited for.
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        biased;
        ended = connection => ended,
        () = activity.ceased_from_now(farewell) => Ok(()),
    }
}

/// Runs the streams of a connection: a request and its answer each.
///
/// A client may stop to read one of them and go on with the others, so the socket tells nothing. A
/// stream whose answer it does not take is dropped, which resets it.
#[derive(Clone)]
struct Streams {
    patience: Duration,
}

tokio::task_local! {
    /// How the client takes the answer of this stream.
    static TAKEN: Progress;
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let (taken, patience) = (Progress::of(Turn::Sender), self.patience);
        let stream = TAKEN.scope(taken.clone(), stream);
        tokio::spawn(async move {
            tokio::select! {
                () = stream => {}
                () = taken.untaken(patience) => tracing::debug!("an answer was not taken in time"),
            }
        });
    }
}
