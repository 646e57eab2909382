//! The failure of a group.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::cause::Failure;
use super::{Cancelled, Cause, Signaled};
use crate::BoxError;
use crate::error::{CHAIN, Chain};
use crate::panic::catch;

/// The failure of a group: the first actor failed, or some did not end within the shutdown timeout,
/// or both.
///
/// The error of the actor is the [`source`](StdError::source), exactly as the actor returned it.
/// `Debug` prints the sentence with all its causes, because a `main` that returns an error prints
/// it with `Debug`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use std::num::ParseIntError;
/// use rekindle::run;
///
/// let mut group = run::Group::new();
/// group.add("reader", async |_| "7x".parse::<u16>().map(drop));
/// let error = group.run().await.unwrap_err();
/// assert_eq!(error.first(), Some("reader"));
/// assert_eq!(error.to_string(), "actor `reader` failed");
/// assert!(error.is_failed() && !error.is_panic() && !error.is_cancelled());
/// assert!(!error.is_late() && error.late().len() == 0);
/// assert!(error.signal().is_none());
/// assert!(error.into_source().is_some_and(|source| source.is::<ParseIntError>()));
/// # Ok(())
/// # }
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    cause: Cause,
    late: Vec<Late>,
    share: Duration,
}

/// An actor, or something inside one, that was still running at the end of its time.
pub(super) enum Late {
    /// An actor of the group.
    Actor {
        name: Arc<str>,
        /// `true` if it was left behind because aborting it did not end it.
        stuck: bool,
    },
    /// Something in a group or manager inside this group, as a phrase.
    Inside(String),
}

impl Late {
    /// The phrases for late work inside an actor that is a group or manager, from the first error
    /// among `failure` and its causes that has some.
    pub(super) fn inside(failure: &Failure) -> Vec<Self> {
        let late = catch(|| {
            let first: &(dyn StdError + 'static) = failure.error();
            let errors = std::iter::successors(Some(first), |&error| error.source());
            errors.take(CHAIN).find_map(|error| {
                let phrases: Vec<_> = if let Some(error) = error.downcast_ref::<Error>() {
                    error.0.late.iter().map(ToString::to_string).collect()
                } else {
                    let error = error.downcast_ref::<crate::Error>()?;
                    error.leftovers().to_vec()
                };
                (!phrases.is_empty()).then_some(phrases)
            })
        });
        let phrases = late.ok().flatten().unwrap_or_default();
        phrases.into_iter().map(Self::Inside).collect()
    }
}

impl Error {
    pub(super) fn new(cause: Cause, late: Vec<Late>, share: Duration) -> Self {
        Self(Box::new(Inner { cause, late, share }))
    }

    /// The actor that returned first. `None` if the group was stopped from outside.
    pub fn first(&self) -> Option<&str> {
        self.0.cause.first()
    }

    /// The signal, if one ended the group. Some actors were [late](Self::late) then.
    pub fn signal(&self) -> Option<&Signaled> {
        self.0.cause.signal()
    }

    /// The actors that were still running at the end of their share of the shutdown timeout, by
    /// name. They were aborted; those that block a thread were left behind.
    ///
    /// After them come the leftovers of the groups and managers inside this one, each as a
    /// phrase: ``"actor `worker` (blocks its thread)"``.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// use std::time::Duration;
    /// use rekindle::run;
    ///
    /// let mut group = run::Group::new().shutdown_timeout(Duration::from_millis(10));
    /// group.add("once", async |_| ());
    /// group.add("deaf", async |_| std::future::pending::<()>().await);
    /// let error = group.run().await.unwrap_err();
    /// assert!(error.is_late() && !error.is_failed());
    /// assert_eq!(error.late().collect::<Vec<_>>(), ["deaf"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn late(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.late.iter().map(|late| match late {
            Late::Actor { name, .. } => &**name,
            Late::Inside(phrase) => phrase,
        })
    }

    /// Returns `true` if the first actor failed, by an error or a panic.
    pub fn is_failed(&self) -> bool {
        self.failure().is_some()
    }

    /// Returns `true` if the first actor panicked.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// use rekindle::{StepError, run};
    ///
    /// let mut group = run::Group::new();
    /// group.add("reader", async |_| None::<()>.expect("there is a file"));
    /// let error = group.run().await.unwrap_err();
    /// assert!(error.is_panic() && error.is_failed());
    /// assert!(error.into_source().is_some_and(|source| source.is::<StepError>()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_panic(&self) -> bool {
        matches!(self.failure(), Some(Failure::Panic(_)))
    }

    /// Returns `true` if the first actor returned [`Cancelled`], because the token of a
    /// [`run::token`](super::token) was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.failure()
            .is_some_and(|failure| failure.error().is::<Cancelled>())
    }

    /// Returns `true` if something did not end within the shutdown timeout.
    pub fn is_late(&self) -> bool {
        !self.0.late.is_empty()
    }

    /// The error that the first actor returned. If it panicked, a [`StepError`](crate::StepError).
    /// If it did not fail, `None`.
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
        let Inner { cause, late, share } = &*self.0;
        if self.is_late() {
            f.write_str(&still_running(late, *share))?;
        }
        // Last, because a chain of errors appends the cause of the failure.
        if let (Some(first), true) = (cause.first(), self.is_failed()) {
            let separator = if self.is_late() { "; " } else { "" };
            write!(f, "{separator}actor `{first}` failed")?;
        }
        Ok(())
    }
}

/// Everything that was late, in one line.
pub(super) fn still_running(late: &[Late], share: Duration) -> String {
    let phrases: Vec<_> = late.iter().map(ToString::to_string).collect();
    let phrases = phrases.join(", ");
    // A group or manager inside this one has another share.
    match late.iter().any(|late| matches!(late, Late::Actor { .. })) {
        true => format!("still running {share:?} after the stop: {phrases}"),
        false => format!("still running after the stop: {phrases}"),
    }
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Actor { name, stuck: true } => write!(f, "actor `{name}` (blocks its thread)"),
            Self::Actor { name, stuck: false } => write!(f, "actor `{name}` (aborted)"),
            Self::Inside(phrase) => f.write_str(phrase),
        }
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
