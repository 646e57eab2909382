//! Bodies that stream: limited in size, and in the time between two pieces.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

mod progress;

pub(crate) use progress::{Progress, Turn};

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

/// A frame of HTTP/2, as large as it usually may be.
const PIECE: usize = 16 * 1024;

/// A body that is cut when it becomes too large, or does not move for too long.
pub(crate) struct Body<H = ()> {
    pieces: Pieces,
    /// How many bytes may still come.
    left: u64,
    wait: Duration,
    /// Armed while a piece is waited for.
    late: Option<Pin<Box<Sleep>>>,
    /// Told whose turn it is.
    progress: Option<Progress>,
    /// Of a piece that was too large to be taken at once.
    rest: Bytes,
    /// What must not go before the body has ended.
    held: H,
}

enum Pieces {
    Own(Full<Bytes>),
    Passing(Incoming),
}

impl Body {
    pub(crate) fn empty() -> Self {
        Self::text("")
    }

    pub(crate) fn text(text: impl Into<Bytes>) -> Self {
        // What is there already is neither late nor too much.
        Self::new(Pieces::Own(Full::new(text.into())), u64::MAX, Duration::MAX)
    }

    /// The body of a message that is passed on, of at most so many bytes, with so much time between
    /// two pieces.
    pub(crate) fn passing(body: Incoming, limit: u64, wait: Duration) -> Self {
        Self::new(Pieces::Passing(body), limit, wait)
    }

    fn new(pieces: Pieces, limit: u64, wait: Duration) -> Self {
        Self {
            pieces,
            left: limit,
            wait,
            late: None,
            progress: None,
            rest: Bytes::new(),
            held: (),
        }
    }
}

impl<H> Body<H> {
    pub(crate) fn telling(mut self, progress: &Progress) -> Self {
        self.progress = Some(progress.clone());
        self
    }

    /// Holds this too, until the body has ended.
    pub(crate) fn holding<M>(self, more: M) -> Body<(H, M)> {
        Body {
            pieces: self.pieces,
            left: self.left,
            wait: self.wait,
            late: self.late,
            progress: self.progress,
            rest: self.rest,
            held: (self.held, more),
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            self.turns_to(Turn::Taker);
            return Poll::Ready(Some(Ok(self.pass(rest))));
        }
        let polled = match &mut self.pieces {
            Pieces::Own(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|never| match never {}),
            Pieces::Passing(body) => Pin::new(body).poll_frame(cx).map_err(Cut::Broken),
        };
        let Poll::Ready(piece) = polled else {
            self.turns_to(Turn::Sender);
            let wait = self.wait;
            let late = self
                .late
                .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + wait)));
            ready!(late.as_mut().poll(cx));
            return Poll::Ready(Some(Err(Cut::TooSlow)));
        };
        self.late = None;
        self.turns_to(Turn::Taker);
        let Some(piece) = piece.transpose()? else {
            return Poll::Ready(None);
        };
        match piece.into_data() {
            Ok(data) => match self.left.checked_sub(data.len() as u64) {
                Some(left) => {
                    self.left = left;
                    Poll::Ready(Some(Ok(self.pass(data))))
                }
                None => Poll::Ready(Some(Err(Cut::TooLarge))),
            },
            Err(trailers) => Poll::Ready(Some(Ok(trailers))),
        }
    }

    /// Passes as much as is taken at once. Who takes a large piece little by little would seem not to
    /// take anything.
    fn pass(&mut self, mut data: Bytes) -> Frame<Bytes> {
        if self.progress.is_some() && data.len() > PIECE {
            self.rest = data.split_off(PIECE);
        }
        Frame::data(data)
    }

    fn turns_to(&self, turn: Turn) {
        if let Some(progress) = &self.progress {
            progress.turns_to(turn);
        }
    }
}

impl<H: Unpin> HttpBody for Body<H> {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        self.get_mut().poll_piece(cx)
    }

    fn is_end_stream(&self) -> bool {
        let is_end = match &self.pieces {
            Pieces::Own(body) => body.is_end_stream(),
            Pieces::Passing(body) => body.is_end_stream(),
        };
        is_end && self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.pieces {
            Pieces::Own(body) => body.size_hint(),
            Pieces::Passing(body) => body.size_hint(),
        }
    }
}

/// A body that can be sent again, to somebody else, as long as nobody has begun to take it.
pub(crate) struct Shared<H>(Arc<Mutex<Body<H>>>);

impl<H> Shared<H> {
    pub(crate) fn new(body: Body<H>) -> Self {
        Self(Arc::new(Mutex::new(body)))
    }

    fn lock(&self) -> MutexGuard<'_, Body<H>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<H> Clone for Shared<H> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<H: Unpin> HttpBody for Shared<H> {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        self.lock().poll_piece(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.lock().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().size_hint()
    }
}
