//! Serving with axum on a listener that a component holds.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use rekindle::{BoxError, Lease};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// The time that a connection that has just been accepted has for its first request when the task is told
/// to stop. hyper closes one without a request at once, which resets the request that is on its way.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// A task for [`runs`](rekindle::Component::runs): serves until it is told to stop, and answers every
/// connection that the kernel has accepted by then.
///
/// The task that comes after it may accept on the same listener from the commit on. If there is none, the
/// listener is closed as soon as no connection waits to be accepted.
///
/// # Errors
///
/// If the listener cannot be registered with the runtime, as when it is a blocking one.
pub async fn serve(
    listener: Lease<std::net::TcpListener>,
    router: Router,
    stop: CancellationToken,
) -> Result<(), BoxError> {
    let leased = Leased::new(listener, stop.clone())?;
    let end = async move {
        stop.cancelled().await;
        sleep(FIRST_REQUEST).await;
    };
    Ok(axum::serve(leased, router)
        .with_graceful_shutdown(end)
        .await?)
}

/// A listener that ends to accept when the task is told to stop, before the connections are told to end.
#[derive(Debug)]
pub struct Leased {
    address: SocketAddr,
    /// `None` when nothing more is accepted. The second one shares the socket of the first.
    listener: Option<(Lease<std::net::TcpListener>, TcpListener)>,
    stop: CancellationToken,
}

impl Leased {
    /// Accepts on `listener`, which does not block, until `stop`.
    ///
    /// # Errors
    ///
    /// If the listener cannot be registered with the runtime.
    pub fn new(
        listener: Lease<std::net::TcpListener>,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        let accepting = TcpListener::from_std(listener.try_clone()?)?;
        Ok(Self {
            address: listener.local_addr()?,
            listener: Some((listener, accepting)),
            stop,
        })
    }
}

impl Listener for Leased {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        while let Some((listener, accepting)) = &self.listener {
            match self.stop.run_until_cancelled(accepting.accept()).await {
                Some(Ok(accepted)) => return accepted,
                // The client may be gone, or there are no more files until another one is.
                Some(Err(_)) => sleep(Duration::from_millis(100)).await,
                // What the kernel has accepted by now would be reset with the socket.
                None => match waiting(listener) {
                    Ok(accepted) => return accepted,
                    // Also when there are no more files: the task must come to its end.
                    Err(_) => self.listener = None,
                },
            }
        }
        pending().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// Takes a connection that the kernel has accepted already, from a listener that does not block. The
/// runtime may not have heard of it yet, so it is not asked. Connections whose client is gone are passed
/// over.
///
/// # Errors
///
/// [`WouldBlock`](io::ErrorKind::WouldBlock) if there are no more, and any other error of `accept`.
pub fn waiting(listener: &std::net::TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = loop {
        match listener.accept() {
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            accepted => break accepted?,
        }
    };
    stream.set_nonblocking(true)?;
    Ok((TcpStream::from_std(stream)?, peer))
}
