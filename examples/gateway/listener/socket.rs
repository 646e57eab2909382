//! The socket of a listener: bound while a reload is prepared, listening from its commit to the end of
//! its task.

use std::io;
use std::net::{Shutdown, SocketAddr};

use rekindle::BoxError;
use socket2::{Domain, Protocol, Type};
use tokio::net::{TcpListener, TcpStream};

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
    pub(crate) fn bind(address: SocketAddr) -> Result<Self, BoxError> {
        let bind = || {
            let socket = socket2::Socket::new(
                Domain::for_address(address),
                Type::STREAM,
                Some(Protocol::TCP),
            )?;
            socket.set_nonblocking(true)?;
            // Connections of an earlier listener that are still being closed are no reason to refuse.
            socket.set_reuse_address(true)?;
            if address.is_ipv6() {
                // `[::]` beside `0.0.0.0` is two listeners.
                socket.set_only_v6(true)?;
            }
            socket.bind(&address.into())?;
            io::Result::Ok(socket)
        };
        match bind() {
            Ok(bound) => Ok(Self { address, bound }),
            Err(error) => Err(format!("cannot listen there: {error}").into()),
        }
    }

    /// To listen already is no error.
    pub(crate) fn listen(&self) -> io::Result<()> {
        self.bound.listen(BACKLOG)
    }

    /// What accepts. It has to listen before, as the runtime takes a socket that does not for one
    /// that has ended.
    pub(super) fn listener(&self) -> io::Result<TcpListener> {
        self.listen()?;
        TcpListener::from_std(self.bound.try_clone()?.into())
    }

    /// Ends to listen: at once on Linux, and elsewhere when the last one who holds this value lets go
    /// of it.
    pub(super) fn close(&self) {
        if let Err(error) = self.bound.shutdown(Shutdown::Read) {
            tracing::debug!(%error, "a socket listens until it is closed");
        }
    }
}

/// The connections that the kernel has accepted for us already, however many: they must not be reset.
/// One that is completed between the last of them and the end is.
pub(super) fn waiting(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    let waiting = listener.into_std().and_then(|listener| {
        let mut waiting = Vec::new();
        while let Ok((stream, peer)) = listener.accept() {
            stream.set_nonblocking(true)?;
            waiting.push((TcpStream::from_std(stream)?, peer));
        }
        Ok(waiting)
    });
    waiting.unwrap_or_else(|error| {
        tracing::warn!(%error, "what waited to be accepted is lost");
        Vec::new()
    })
}
