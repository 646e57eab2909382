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

/// Whose turn it is with a body, and since when.
#[derive(Clone)]
pub(crate) struct Progress(Arc<Mutex<(Turn, Instant)>>);

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Turn {
    /// Of who sends it: a piece is waited for.
    Sender,
    /// Of who takes it: it has a piece, or all of them, and has not asked for more.
    Taker,
}

impl Progress {
    pub(crate) fn of(turn: Turn) -> Self {
        Self(Arc::new(Mutex::new((turn, Instant::now()))))
    }

    fn turns_to(&self, turn: Turn) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (turn, Instant::now());
    }

    /// Resolves when who takes the body has not done anything for so long.
    ///
    /// It looks when a time is up and not at each piece, so that pieces need not wake it.
    pub(crate) async fn untaken(&self, patience: Duration) {
        loop {
            let (turn, since) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            match turn {
                Turn::Taker if since + patience <= now => return,
                Turn::Taker => sleep_until(since + patience).await,
                Turn::Sender => sleep_until(now + patience).await,
            }
        }
    }
}

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
            held: (self.held, more),
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let polled = match &mut self.pieces {
            Pieces::Own(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|never| match never {}),
            Pieces::Passing(body) => Pin::new(body).poll_frame(cx).map_err(Cut::Broken),
        };
        let Poll::Ready(piece) = polled else {
            let wait = self.wait;
            let late = self
                .late
                .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + wait)));
            if let Some(progress) = &self.progress {
                progress.turns_to(Turn::Sender);
            }
            ready!(late.as_mut().poll(cx));
            return Poll::Ready(Some(Err(Cut::TooSlow)));
        };
        self.late = None;
        if let Some(progress) = &self.progress {
            progress.turns_to(Turn::Taker);
        }
        let Some(piece) = piece.transpose()? else {
            return Poll::Ready(None);
        };
        let size = piece.data_ref().map_or(0, Bytes::len);
        match self.left.checked_sub(size as u64) {
            Some(left) => self.left = left,
            None => return Poll::Ready(Some(Err(Cut::TooLarge))),
        }
        Poll::Ready(Some(Ok(piece)))
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
        match &self.pieces {
            Pieces::Own(body) => body.is_end_stream(),
            Pieces::Passing(body) => body.is_end_stream(),
        }
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
