//! Listeners: the sockets, and how connections that they accept are served.
//!
//! These are two collections with the same keys. A socket is its address and nothing else, so
//! nothing but its removal from the file touches it; what the file says about an address is looked
//! up for each connection that is accepted there.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rekindle::{BoxError, Keyed, Lease, Live};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::config::{self, Waits};
use crate::connection;
use crate::proxy::Proxy;
use crate::tls;

/// How connections are served that are accepted from now on.
pub(crate) struct Listener {
    max_connections: usize,
    pub(crate) waits: Waits,
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

impl Listener {
    pub(crate) fn new(config: &config::Listener) -> Result<Self, BoxError> {
        let tls = config.tls.as_ref().map(tls::configure);
        Ok(Self {
            max_connections: config.max_connections,
            waits: config.waits.clone(),
            tls: tls.transpose()?,
        })
    }
}

/// A socket that is bound, until the task that accepts takes it.
///
/// It is taken because a socket that is removed has to be closed at once: while it is open, the
/// kernel goes on to accept. The component itself lives on until nobody reads its generation.
pub(crate) struct Socket {
    address: SocketAddr,
    bound: Mutex<Option<TcpListener>>,
}

impl Socket {
    /// An address that is taken refuses the whole reload.
    pub(crate) async fn bind(address: SocketAddr) -> Result<Self, BoxError> {
        let bound = TcpListener::bind(address).await;
        let bound = bound.map_err(|error| format!("cannot listen there: {error}"))?;
        Ok(Self {
            address,
            bound: Mutex::new(Some(bound)),
        })
    }

    /// The socket; a new one for a task that is started again.
    async fn take(&self) -> io::Result<TcpListener> {
        let bound = self
            .bound
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match bound {
            Some(bound) => Ok(bound),
            None => TcpListener::bind(self.address).await,
        }
    }
}

/// What accepts: a task for each socket.
#[derive(Clone)]
pub(crate) struct Accept {
    pub(crate) listeners: Live<Keyed<SocketAddr, Listener>>,
    pub(crate) proxy: Proxy,
}

impl Accept {
    /// Accepts until it is told to stop; then closes the socket, and waits for the connections.
    pub(crate) async fn run(
        self,
        socket: Lease<Socket>,
        stop: CancellationToken,
    ) -> Result<(), BoxError> {
        let address = socket.address;
        let bound = socket.take().await?;
        drop(socket);
        tracing::info!("accepting on {}", bound.local_addr()?);
        let mut connections = JoinSet::new();
        let mut last = None;
        while !stop.is_cancelled() {
            let Some(listener) = self.listener(&address) else {
                // It is not in the file any more, and we are about to be told.
                stop.cancelled().await;
                break;
            };
            self.accept(&bound, &listener, &mut connections, &stop)
                .await;
            last = Some(listener);
        }
        for accepted in waiting(bound)? {
            if let Some(listener) = &last {
                self.serve(&mut connections, accepted, listener, &stop);
            }
        }
        drop(last);
        tracing::info!("no longer accepting on {address}");

        // Past the drain deadline the manager drops this task, and names it; the connections go with it.
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
        Ok(())
    }

    /// Accepts until the file says something else about the address, or nothing.
    async fn accept(
        &self,
        bound: &TcpListener,
        listener: &Lease<Listener>,
        connections: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) {
        let mut replaced = pin!(listener.replaced());
        loop {
            let has_room = connections.len() < listener.max_connections;
            tokio::select! {
                // In this order, so that no connection is served as an older file said.
                biased;
                () = stop.cancelled() => return,
                () = &mut replaced => return,
                Some(ended) = connections.join_next() => report(ended),
                accepted = bound.accept(), if has_room => match accepted {
                    Ok(accepted) => self.serve(connections, accepted, listener, stop),
                    Err(error) => {
                        // No more files, say. Others may be closed soon.
                        tracing::warn!(%error, "cannot accept");
                        sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
    }

    fn listener(&self, address: &SocketAddr) -> Option<Lease<Listener>> {
        self.listeners.load().get(address).cloned()
    }

    fn serve(
        &self,
        connections: &mut JoinSet<()>,
        (socket, peer): (TcpStream, SocketAddr),
        listener: &Lease<Listener>,
        stop: &CancellationToken,
    ) {
        let (listener, proxy, stop) = (listener.clone(), self.proxy.clone(), stop.clone());
        connections.spawn(connection::serve(socket, peer, listener, proxy, stop));
    }
}

/// Closes the socket. Gives the connections that the kernel has accepted for us already: they must
/// not be reset.
fn waiting(bound: TcpListener) -> io::Result<Vec<(TcpStream, SocketAddr)>> {
    let bound = bound.into_std()?;
    let mut waiting = Vec::new();
    while let Ok((socket, peer)) = bound.accept() {
        socket.set_nonblocking(true)?;
        waiting.push((TcpStream::from_std(socket)?, peer));
    }
    Ok(waiting)
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        // The panic itself has been reported by the hook.
        tracing::error!(%error, "a connection was cut");
    }
}
