//! The socket of a listener: bound while a reload is prepared, listening from its commit to the end of
//! its task.

use std::io;
use std::net::{Shutdown, SocketAddr};

use rekindle::{BoxError, Keyed, Live};
use rekindle_examples::addresses::overlap;
use rekindle_examples::leased;
use socket2::{Domain, Protocol, Type};
use tokio::net::{TcpListener, TcpStream};

use super::Listener;

/// So many may wait to be accepted.
const BACKLOG: i32 = 1024;

/// An address that is ours.
///
/// It is bound while the reload is prepared, so one that is taken refuses the whole reload. It does
/// not listen before the commit: the kernel would accept for a reload that may be refused.
pub(crate) struct Socket {
    pub(super) address: SocketAddr,
    bound: socket2::Socket,
}

impl Socket {
    /// An address that is still open for another part of this process is named, too: it may be on its way
    /// out of the file, but is open until the commit.
    pub(crate) fn bind(address: SocketAddr, open: &Open) -> Result<Self, BoxError> {
        Self::bound(address).map_err(|error| match open.in_the_way_of(&address) {
            Some(reason) if error.kind() == io::ErrorKind::AddrInUse => {
                format!("cannot listen on {address}: {reason}").into()
            }
            _ => format!("cannot listen on {address}: {error}").into(),
        })
    }

    pub(crate) fn bound(address: SocketAddr) -> io::Result<Self> {
        let domain = Domain::for_address(address);
        let bound = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        bound.set_nonblocking(true)?;
        // Connections of an earlier listener that are still being closed are no reason to refuse.
        bound.set_reuse_address(true)?;
        if address.is_ipv6() {
            // `[::]` beside `0.0.0.0` is two listeners.
            bound.set_only_v6(true)?;
        }
        bound.bind(&address.into())?;
        Ok(Self { address, bound })
    }

    /// To listen already is no error.
    pub(crate) fn listen(&self) -> Result<(), BoxError> {
        let address = self.address;
        let listening = self.bound.listen(BACKLOG);
        listening.map_err(|error| format!("cannot listen on {address}: {error}").into())
    }

    /// What accepts. It has to listen before, as the runtime takes a socket that does not for one
    /// that has ended.
    pub(crate) fn listener(&self) -> Result<TcpListener, BoxError> {
        self.listen()?;
        Ok(TcpListener::from_std(self.bound.try_clone()?.into())?)
    }

    /// Ends to listen: at once on Linux, and elsewhere when the last one who holds this value lets go
    /// of it.
    pub(super) fn close(&self) {
        if let Err(error) = self.bound.shutdown(Shutdown::Read) {
            tracing::debug!(%error, "a socket listens until it is closed");
        }
    }
}

/// The addresses that are open while a reload is prepared.
#[derive(Clone)]
pub(crate) struct Open {
    pub(crate) listeners: Live<Keyed<SocketAddr, Listener>>,
    pub(crate) admin: SocketAddr,
}

impl Open {
    /// Returns the reason why an address cannot be bound, with the remedy, if it is one of these.
    fn in_the_way_of(&self, address: &SocketAddr) -> Option<String> {
        if overlap(address, &self.admin) {
            let admin = self.admin;
            return Some(format!(
                "{admin}, the address of `admin`, is open until a restart"
            ));
        }
        let listeners = self.listeners.load();
        let (other, _) = listeners
            .iter()
            .find(|(other, _)| overlap(address, other))?;
        Some(format!(
            "{other} is open until this reload: remove {other} in one save and add {address} in \
             the next, or restart"
        ))
    }
}

/// The connections that the kernel has accepted for us already, however many: they must not be reset.
/// One that is completed between the last of them and the end is.
pub(super) fn waiting(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    let mut connections = Vec::new();
    let taken = listener.into_std().and_then(|listener| {
        loop {
            connections.push(leased::waiting(&listener)?);
        }
    });
    match taken {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
            tracing::warn!(%error, "what still waits to be accepted is lost");
        }
        Ok(()) | Err(_) => {}
    }
    connections
}
