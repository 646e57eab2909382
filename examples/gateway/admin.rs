//! The admin endpoints, on a socket of their own.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rekindle::{BoxError, Handle, http};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::listener::Socket;

/// How long a client may take for the head of a request, or for the next one to begin.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long what has been asked has to be answered when the gateway stops.
const FAREWELL: Duration = Duration::from_secs(2);

type Service = TowerToHyperService<Router>;

/// An address that is taken ends the start, and has to be named.
pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener, BoxError> {
    let bound = Socket::bound(address);
    let bound = bound.map_err(|error| format!("`admin`: cannot listen on {address}: {error}"))?;
    let listener = bound.listener();
    listener.map_err(|error| format!("`admin`: {error}").into())
}

/// Serves until it is told to stop, and a little longer.
pub(crate) async fn serve(listener: TcpListener, handle: Handle, stop: CancellationToken) {
    let router = Router::new().nest_service("/-", http::Admin::new(handle));
    let service = TowerToHyperService::new(router);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(answer(stream, service.clone(), stop.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "`admin`: cannot accept");
                    sleep(Duration::from_secs(1)).await;
                }
            },
        }
    }
    drop(listener);
    // Somebody who has sent half a request must not be in the way of the end.
    let answered = async { while connections.join_next().await.is_some() {} };
    _ = timeout(FAREWELL, answered).await;
}

async fn answer(stream: TcpStream, service: Service, stop: CancellationToken) {
    let mut builder = http1::Builder::new();
    // One that has sent all that it wants to, as `nc -N` does, waits for its answer.
    builder
        .half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "`admin`: a connection broke off"
        );
    }
}
