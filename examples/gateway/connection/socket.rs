//! The socket of a client, watched: what it does not take ends it, and whether it takes anything is
//! noted.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_io_timeout::TimeoutStream;

use super::activity::Activity;

/// After how long without a word the kernel looks whether the peer is still there, how often it then
/// asks, and how many times. That is for those that may be silent for hours, WebSockets above all;
/// the others have shorter deadlines.
pub(crate) const SILENCE: Duration = Duration::from_secs(60);
pub(crate) const PROBES: Duration = Duration::from_secs(10);
pub(crate) const UNANSWERED: u32 = 6;

/// A socket below TLS, so that what is seen is what the kernel takes.
pub(super) struct Socket {
    stream: Pin<Box<TimeoutStream<TcpStream>>>,
    activity: Arc<Activity>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, patience: Duration, activity: &Arc<Activity>) -> Self {
        // Neither is needed to serve, so a socket that cannot is served without.
        _ = stream.set_nodelay(true);
        let keepalive = TcpKeepalive::new()
            .with_time(SILENCE)
            .with_interval(PROBES)
            .with_retries(UNANSWERED);
        _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
        let mut stream = Box::pin(TimeoutStream::new(stream));
        stream.as_mut().set_write_timeout_pinned(Some(patience));
        Self {
            stream,
            activity: Arc::clone(activity),
        }
    }

    fn note<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match written {
            Poll::Pending => self.activity.blocked(),
            Poll::Ready(_) => self.activity.wrote(),
        }
        written
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream.as_mut().poll_write(cx, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream.as_mut().poll_write_vectored(cx, pieces);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(cx)
    }
}
