//! Bodies that stream: limited in size, and in the time between two pieces.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

pub(crate) type Body = UnsyncBoxBody<Bytes, Cut>;

/// Why a body ended before its end.
#[derive(Debug)]
pub(crate) enum Cut {
    TooLarge,
    TooSlow,
    Broken(hyper::Error),
}

impl Cut {
    /// The cut that is at the bottom of an error of hyper's, if that is what it is about.
    pub(crate) fn of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        let mut error = Some(error);
        while let Some(cause) = error {
            if let Some(cut) = cause.downcast_ref() {
                return Some(cut);
            }
            error = cause.source();
        }
        None
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the body is larger than the route allows",
            Self::TooSlow => "the body has made no progress for too long",
            Self::Broken(_) => "the body broke off",
        })
    }
}

impl Error for Cut {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Broken(error) => Some(error),
            Self::TooLarge | Self::TooSlow => None,
        }
    }
}

pub(crate) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

pub(crate) fn text(text: &'static str) -> Body {
    Full::from(text)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// When a body was last seen to move.
#[derive(Clone)]
pub(crate) struct Progress(Arc<Mutex<Instant>>);

impl Progress {
    pub(crate) fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    pub(crate) fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mark(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// A body that is cut when it becomes too large, or does not move for too long.
pub(crate) struct Streamed<H> {
    body: Incoming,
    /// How many bytes may still come.
    left: u64,
    wait: Duration,
    /// Armed while a piece is waited for.
    late: Option<Pin<Box<Sleep>>>,
    /// Told when the body moves.
    progress: Option<Progress>,
    /// What must not go before the body has ended.
    _held: H,
}

impl<H: Send + Unpin + 'static> Streamed<H> {
    pub(crate) fn new(body: Incoming, limit: u64, wait: Duration, held: H) -> Self {
        Self {
            body,
            left: limit,
            wait,
            late: None,
            progress: None,
            _held: held,
        }
    }

    pub(crate) fn telling(mut self, progress: &Progress) -> Self {
        self.progress = Some(progress.clone());
        self
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let piece = match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(piece) => piece,
            Poll::Pending => {
                let wait = self.wait;
                let late = self
                    .late
                    .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + wait)));
                ready!(late.as_mut().poll(cx));
                return Poll::Ready(Some(Err(Cut::TooSlow)));
            }
        };
        self.late = None;
        if let Some(progress) = &self.progress {
            progress.mark();
        }
        let Some(piece) = piece else {
            return Poll::Ready(None);
        };
        let piece = piece.map_err(Cut::Broken)?;
        let size = piece.data_ref().map_or(0, Bytes::len);
        match self.left.checked_sub(size as u64) {
            Some(left) => self.left = left,
            None => return Poll::Ready(Some(Err(Cut::TooLarge))),
        }
        Poll::Ready(Some(Ok(piece)))
    }
}

impl<H: Send + Unpin + 'static> HttpBody for Streamed<H> {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        self.get_mut().poll_piece(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body that holds something until it has ended.
pub(crate) struct Holding<H> {
    body: Body,
    _held: H,
}

pub(crate) fn holding<H>(body: Body, held: H) -> Holding<H> {
    Holding { body, _held: held }
}

impl<H: Unpin> HttpBody for Holding<H> {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
