//! What went wrong in a group.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use super::cause::Failure;
use super::{Cancelled, Cause, Signaled};
use crate::BoxError;
use crate::error::Chain;

/// The first actor failed, or some did not end within the grace period, or both.
///
/// The error of the actor is the [`source`](StdError::source), exactly as it was returned. `Debug`
/// prints the sentence with all its causes, because that is what a `main` that returns an error
/// shows.
pub struct Error(Box<Inner>);

struct Inner {
    cause: Cause,
    late: Vec<Late>,
    grace: Duration,
}

/// An actor that was still running at the end of the grace period.
pub(super) struct Late {
    pub(super) name: String,
    /// Whether it was left behind because it did not end when it was aborted, either.
    pub(super) stuck: bool,
}

impl Error {
    pub(super) fn new(cause: Cause, late: Vec<Late>, grace: Duration) -> Self {
        Self(Box::new(Inner { cause, late, grace }))
    }

    /// The actor that returned first. `None` if the group was stopped from outside.
    pub fn first(&self) -> Option<&str> {
        self.0.cause.first()
    }

    /// The signal, if it was one that ended the group; then some actors were [late](Self::late).
    pub fn signal(&self) -> Option<&Signaled> {
        self.0.cause.signal()
    }

    /// The actors that were still running at the end of the grace period. They were aborted, and
    /// those that block a thread were left behind.
    pub fn late(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.late.iter().map(|late| late.name.as_str())
    }

    /// Whether the first actor failed, by an error or a panic.
    pub fn is_failed(&self) -> bool {
        self.failure().is_some()
    }

    /// Whether the first actor panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self.failure(), Some(Failure::Panic(_)))
    }

    /// Whether the first actor returned [`Cancelled`]: somebody cancelled the token of a
    /// [`run::token`](super::token).
    pub fn is_cancelled(&self) -> bool {
        self.failure()
            .is_some_and(|failure| failure.error().is::<Cancelled>())
    }

    /// Whether some actors did not end within the grace period.
    pub fn is_late(&self) -> bool {
        !self.0.late.is_empty()
    }

    /// The error that the first actor returned. If it panicked, a [`StepError`](crate::StepError);
    /// if it did not fail, `None`.
    pub fn into_source(self) -> Option<BoxError> {
        // A signal is no failure.
        self.failure()?;
        self.0.cause.result.err().map(Failure::into_error)
    }

    fn failure(&self) -> Option<&Failure> {
        let failure = self.0.cause.result.as_ref().err()?;
        (!failure.error().is::<Signaled>()).then_some(failure)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { cause, late, grace } = &*self.0;
        if self.is_late() {
            write!(f, "still running {grace:?} after the stop: {}", list(late))?;
        }
        // Last, because the cause that a chain of errors appends is that of the failure.
        if let (Some(first), true) = (cause.first(), self.is_failed()) {
            let separator = if self.is_late() { "; " } else { "" };
            write!(f, "{separator}actor `{first}` failed")?;
        }
        Ok(())
    }
}

/// The names in one line.
pub(super) fn list(late: &[Late]) -> String {
    let phrases: Vec<_> = late.iter().map(ToString::to_string).collect();
    phrases.join(", ")
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.stuck {
            "blocks its thread"
        } else {
            "aborted"
        };
        write!(f, "actor `{}` ({how})", self.name)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Chain(self), f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.failure().map(|failure| failure.error() as _)
    }
}
