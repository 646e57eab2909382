//! The cause of a group's end.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use tokio::task::JoinError;

use crate::error::Chain;
use crate::{BoxError, StepError};

/// The cause of a group's end, passed to each interrupt function.
///
/// `Display` is a sentence for a log, with all causes of the error.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use rekindle::run;
/// use tokio_util::sync::CancellationToken;
///
/// let stop = CancellationToken::new();
/// let mut group = run::Group::new();
/// group.add("reader", async |_| "7x".parse::<u16>().map(drop));
/// group.add_pair("writer", stop.clone().cancelled_owned(), move |cause| {
///     assert_eq!(cause.first(), Some("reader"));
///     assert!(cause.error().is_some_and(|error| error.is::<std::num::ParseIntError>()));
///     assert!(cause.signal().is_none());
///     assert_eq!(
///         cause.to_string(),
///         "actor `reader` failed: invalid digit found in string",
///     );
///     stop.cancel();
/// });
/// let error = group.run().await.unwrap_err();
/// assert!(!error.is_late()); // The writer was interrupted.
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Cause {
    /// `None` when the group was stopped from outside.
    pub(super) first: Option<Arc<str>>,
    pub(super) result: Result<(), Failure>,
}

/// The failure of an actor.
pub(super) enum Failure {
    Error(BoxError),
    Panic(StepError),
    /// Its task was dropped, because it was late or because the runtime shuts down.
    Aborted(JoinError),
}

impl Cause {
    /// The actor that returned first. `None` if the group was stopped from outside, by the token of
    /// [`Group::run_until`](super::Group::run_until).
    pub fn first(&self) -> Option<&str> {
        self.first.as_deref()
    }

    /// The error of the first actor. If that panicked, a [`StepError`].
    pub fn error(&self) -> Option<&(dyn StdError + Send + Sync + 'static)> {
        self.result.as_ref().err().map(Failure::error)
    }

    /// The signal that ended the group. [`error`](Self::error) returns it, too.
    pub fn signal(&self) -> Option<&Signaled> {
        self.error().and_then(|error| error.downcast_ref())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = &self.first else {
            return f.write_str("stopped from outside");
        };
        match (self.signal(), self.error()) {
            (Some(signal), _) => write!(f, "actor `{first}` {signal}"),
            (None, Some(error)) => write!(f, "actor `{first}` failed: {}", Chain(error)),
            (None, None) => write!(f, "actor `{first}` returned"),
        }
    }
}

impl Failure {
    pub(super) fn error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        match self {
            Self::Error(error) => &**error,
            Self::Panic(error) => error,
            Self::Aborted(error) => error,
        }
    }

    pub(super) fn into_error(self) -> BoxError {
        match self {
            Self::Error(error) => error,
            Self::Panic(error) => error.into(),
            Self::Aborted(error) => error.into(),
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Chain(self.error()), f)
    }
}

/// The error of a signal actor: the process received this signal.
///
/// If the signal actor is the first of a group to return, this is a success, and
/// [`Ended::signal`](super::Ended::signal) returns it.
///
/// ```
/// # #[cfg(all(unix, feature = "signal"))]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use rekindle::run::{self, SignalKind};
///
/// let mut group = run::Group::new();
/// group.add("signals", run::signals_for([SignalKind::terminate()])?);
/// # let pid = std::process::id().to_string();
/// # std::process::Command::new("kill").args(["-s", "TERM", &pid]).status()?;
/// // `kill <pid>` sends SIGTERM.
/// let ended = group.run().await?;
/// let signal = ended.signal().expect("it was the signal");
/// assert_eq!((signal.name(), signal.number()), ("SIGTERM", 15));
/// assert_eq!(signal.to_string(), "received SIGTERM");
/// # Ok(())
/// # }
/// # #[cfg(not(all(unix, feature = "signal")))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Signaled {
    name: Cow<'static, str>,
    number: i32,
}

impl Signaled {
    #[cfg(all(unix, feature = "signal"))]
    pub(super) fn new(kind: super::SignalKind) -> Self {
        Self {
            name: crate::signals::name(kind),
            number: kind.as_raw_value(),
        }
    }

    /// The usual name, such as `SIGTERM`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number, such as 15 for SIGTERM. A program that a signal has ended reports that to a
    /// shell with `std::process::exit(128 + signal.number())`.
    pub fn number(&self) -> i32 {
        self.number
    }
}

impl fmt::Display for Signaled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "received {}", self.name)
    }
}

impl StdError for Signaled {}

/// The error of a [`token`](super::token) actor: its token was cancelled.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use rekindle::run;
/// use tokio_util::sync::CancellationToken;
///
/// let leadership_lost = CancellationToken::new();
/// let mut group = run::Group::new();
/// group.add("leader", run::token(leadership_lost.clone()));
/// leadership_lost.cancel();
/// let source = group.run().await.unwrap_err().into_source();
/// assert!(source.is_some_and(|error| error.is::<run::Cancelled>()));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the token was cancelled")
    }
}

impl StdError for Cancelled {}
