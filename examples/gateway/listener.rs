//! Listeners: the sockets, and how connections that they accept are served.
//!
//! These are two collections with the same keys. A socket is its address and nothing else, so
//! nothing but its removal from the file touches it; what the file says about an address is looked
//! up anew whenever that changes.

use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use rekindle::{BoxError, Keyed, Lease, Live};
use rustix::io::Errno;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::{self, Waits};
use crate::connection;
use crate::log::Seldom;
use crate::proxy::Proxy;
use crate::tls;

mod socket;

pub(crate) use socket::{Open, Socket};

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

/// What accepts: a task for each socket.
#[derive(Clone)]
pub(crate) struct Accept {
    pub(crate) listeners: Live<Keyed<SocketAddr, Listener>>,
    pub(crate) proxy: Proxy,
    /// The gateway ends. This is known before the tasks of the manager are told to stop, which waits
    /// for all else that ends.
    pub(crate) ending: CancellationToken,
}

impl Accept {
    /// Accepts until it is told to stop; then closes the socket, and waits for the connections.
    pub(crate) async fn run(
        self,
        socket: Lease<Socket>,
        stop: CancellationToken,
    ) -> Result<(), BoxError> {
        let address = socket.address;
        let mut accepting = Accepting {
            proxy: self.proxy.clone(),
            connections: JoinSet::new(),
            stop: CancellationToken::new(),
        };
        // If it is not in the file any more, we are about to be told. Nobody knows how to serve those
        // who have connected in between.
        if let Some(mut listener) = self.listener(&address) {
            let bound = socket.listener()?;
            tracing::info!("accepting on {}", bound.local_addr()?);
            let mut told = pin!(async {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = self.ending.cancelled() => {}
                }
            });
            while accepting
                .accept(&bound, &listener, told.as_mut())
                .await
                .is_continue()
            {
                match self.listener(&address) {
                    Some(other) => listener = other,
                    None => {
                        told.as_mut().await;
                        break;
                    }
                }
            }
            accepting.stop.cancel();
            for accepted in socket::waiting(bound) {
                accepting.serve(accepted, &listener);
            }
        }
        socket.close();
        drop(socket);
        tracing::info!("no longer accepting on {address}");
        accepting.drain(&address).await;
        // One that ends before it is told to is started again.
        stop.cancelled().await;
        Ok(())
    }

    fn listener(&self, address: &SocketAddr) -> Option<Lease<Listener>> {
        self.listeners.load().get(address).cloned()
    }
}

/// The connections of a socket.
struct Accepting {
    proxy: Proxy,
    connections: JoinSet<()>,
    /// Tells them to end.
    stop: CancellationToken,
}

impl Accepting {
    /// Waits for the connections to end, and cuts those that do not: one slow client must not turn an
    /// orderly stop into a failure.
    async fn drain(mut self, address: &SocketAddr) {
        let drain = self.proxy.drain;
        // Before the manager drops this task, and names it in an error.
        let patience = drain - (drain / 10).min(Duration::from_millis(250));
        let all = async {
            while let Some(ended) = self.connections.join_next().await {
                report(ended);
            }
        };
        if timeout(patience, all).await.is_err() {
            let late = self.connections.len();
            tracing::warn!("{address}: {late} connections had not ended after {patience:?}: cut");
            self.connections.shutdown().await;
        }
    }

    /// Accepts until it is told to stop, or goes on when the file says something else about the
    /// address, or nothing.
    async fn accept(
        &mut self,
        bound: &TcpListener,
        listener: &Lease<Listener>,
        mut told: Pin<&mut impl Future<Output = ()>>,
    ) -> ControlFlow<()> {
        let mut replaced = pin!(listener.replaced());
        let complaint = Seldom::new();
        loop {
            let has_room = self.connections.len() < listener.max_connections;
            tokio::select! {
                // In this order, so that no connection is served as an older file said.
                biased;
                () = &mut told => return ControlFlow::Break(()),
                () = &mut replaced => return ControlFlow::Continue(()),
                Some(ended) = self.connections.join_next() => report(ended),
                accepted = bound.accept(), if has_room => match accepted {
                    Ok(accepted) => self.serve(accepted, listener),
                    Err(error) if is_scarce(&error) => {
                        if complaint.is_due() {
                            tracing::warn!(%error, "cannot accept");
                        }
                        // Others may be closed soon.
                        sleep(Duration::from_millis(100)).await;
                    }
                    Err(error) => tracing::debug!(%error, "a client was gone before it was accepted"),
                },
            }
        }
    }

    fn serve(&mut self, (stream, peer): (TcpStream, SocketAddr), listener: &Lease<Listener>) {
        let (listener, proxy, stop) = (listener.clone(), self.proxy.clone(), self.stop.clone());
        self.connections
            .spawn(connection::serve(stream, peer, listener, proxy, stop));
    }
}

/// Whether it is the machine that has no more files or memory. All other errors are about the one
/// connection that was to be accepted.
fn is_scarce(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    let scarce = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    errno.is_none_or(|errno| scarce.contains(&errno))
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        // The panic itself has been reported by the hook.
        tracing::error!(%error, "a connection was cut");
    }
}
