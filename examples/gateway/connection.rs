//! One connection of a client, from the handshake to its end.

use std::net::SocketAddr;
use std::sync::Arc;

use rekindle::Lease;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::listener::Listener;
use crate::proxy::{Client, Proxy};

mod activity;
mod http1;
mod http2;
mod socket;

pub(crate) use activity::{Activity, UnderWay};
use socket::Socket;
pub(crate) use socket::{PROBES, SILENCE, UNANSWERED};

/// Serves a connection to its end, with what was current when it was accepted.
pub(crate) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    listener: Lease<Listener>,
    proxy: Proxy,
    stop: CancellationToken,
) {
    let waits = listener.waits.clone();
    let tls = listener.tls.clone();
    // Nothing of the listener is needed from here on, so it need not be kept from going.
    drop(listener);
    let activity = Activity::new();
    let patience = waits.write_seconds.get();
    let socket = Socket::new(stream, patience, proxy.drain, &activity);
    let client = Arc::new(Client {
        proxy,
        address: peer.ip(),
        is_secure: tls.is_some(),
        stop,
        activity,
        tunnels: TaskTracker::new(),
    });
    let ended = match tls {
        None => http1::serve(socket, &client, &waits).await,
        Some(tls) => {
            let handshake = TlsAcceptor::from(tls).accept(socket);
            let stream = match timeout(waits.header_seconds.get(), handshake).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return tracing::debug!(%error, "a handshake failed"),
                Err(_) => return tracing::debug!("a handshake took too long"),
            };
            match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => http2::serve(stream, &client, &waits).await,
                _ => http1::serve(stream, &client, &waits).await,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "a connection broke off"
        );
    }
    client.tunnels.close();
    client.tunnels.wait().await;
}
