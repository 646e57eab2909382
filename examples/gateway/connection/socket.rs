//! The socket of a client: what it does not take ends it, whether it takes anything is noted, and it is
//! closed when the client has ended, too.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_io_timeout::TimeoutStream;

use super::activity::Activity;

/// After how long without a word the kernel looks whether the peer is still there, how often it then
/// asks, and how many times. That is for those that may be silent for hours, WebSockets above all;
/// the others have shorter deadlines.
pub(crate) const SILENCE: Duration = Duration::from_secs(60);
pub(crate) const PROBES: Duration = Duration::from_secs(10);
pub(crate) const UNANSWERED: u32 = 6;

/// How long a client may go on to send what is not read any more.
const LINGER: Duration = Duration::from_secs(5);

/// A socket below TLS, so that what is seen is what the kernel takes.
pub(super) struct Socket {
    stream: Pin<Box<TimeoutStream<TcpStream>>>,
    activity: Arc<Activity>,
    linger: Duration,
    /// Armed when it has been shut down.
    late: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    /// With so much time for the client to take anything, and a part of `drain` for it to end.
    pub(super) fn new(
        stream: TcpStream,
        patience: Duration,
        drain: Duration,
        activity: &Arc<Activity>,
    ) -> Self {
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
            linger: LINGER.min(drain / 4),
            late: None,
        }
    }

    /// Waits for the client to end, too, and drops what it sends until then.
    ///
    /// If the socket were closed before all is read that the client sends, the kernel would reset the
    /// connection, and the client might lose its last answer: that a request is too large, say, of
    /// which it is still sending the rest.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.activity.blocked();
        if let Some(late) = &mut self.late
            && late.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(());
        }
        let mut bytes = [0; 4096];
        loop {
            let mut rest = ReadBuf::new(&mut bytes);
            let read = ready!(self.stream.as_mut().poll_read(cx, &mut rest));
            if read.is_err() || rest.filled().is_empty() {
                return Poll::Ready(());
            }
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
        if self.late.is_none() {
            ready!(self.stream.as_mut().poll_shutdown(cx))?;
            if self.activity.has_switched() {
                // One direction of a tunnel ends, and the other goes on.
                return Poll::Ready(Ok(()));
            }
            self.late = Some(Box::pin(sleep(self.linger)));
        }
        self.poll_linger(cx).map(Ok)
    }
}
