//! The error of one step.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::BoxError;
use super::chain::texts;
use crate::escape::Escaped;
use crate::live::Reaper;

/// The error of one component, effect, reloader or notifier.
///
/// If the app's own function returned an error, `Display` shows that error and [`inner`](Self::inner)
/// returns it. Control characters in its text and in those of its causes are escaped, so each is one
/// line. The text of a panic is repeated only if it is a literal of the program, because a formatted
/// text can hold values. The panic hook has printed it anyway.
///
/// ```
/// # #[derive(Debug)]
/// # struct Connect(rekindle::BoxError);
/// # impl std::fmt::Display for Connect {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
/// #         f.write_str("no connection")
/// #     }
/// # }
/// # impl std::error::Error for Connect {
/// #     fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
/// #         Some(&*self.0)
/// #     }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// # let mut reload = rekindle::Manager::new();
/// reload.add(0, "pool", async |_| Err(Connect("invalid port number".into()).into()));
/// let handle = reload.handle();
/// reload
///     .run(async move |_stop| {
///         let error = handle.reload("example").await.unwrap_err();
///         let report = error.report().expect("the reload was made");
///         let error = report.failure().and_then(|step| step.error()).expect("a step failed");
///         assert_eq!(error.to_string(), "no connection");
///         assert_eq!(error.chain(), "no connection: invalid port number");
///         assert!(error.causes().eq(["invalid port number"]));
///         assert!(error.inner().is_some_and(|inner| inner.is::<Connect>()));
///         assert!(!error.is_panic() && !error.is_timeout());
///         Ok(())
///     })
///     .await
/// # }
/// ```
#[derive(Clone)]
pub struct StepError(Failure);

#[derive(Clone)]
enum Failure {
    Error(Arc<Returned>),
    Panicked(Option<&'static str>),
    TimedOut(Duration),
    Blocked(Duration),
    Busy,
}

/// The error that the app's own function returned, with its texts. These are read once, here, because
/// the app's `Display` can panic, and writing a report or a log line must not.
struct Returned {
    /// `Some` until the drop, which runs code of the app.
    error: Option<BoxError>,
    /// The text of the error, and those of its causes.
    texts: Vec<String>,
    /// The step that returned the error, and the reaper that drops it; `None` for an error of this
    /// crate.
    end: Option<(Arc<str>, Arc<Reaper>)>,
}

impl Drop for Returned {
    fn drop(&mut self) {
        // The reaper drops it, because this may be the middle of a reload.
        if let (Some(error), Some((name, reaper))) = (self.error.take(), &self.end) {
            reaper.forget(name, error);
        }
    }
}

impl StepError {
    /// From an error of this crate.
    pub(crate) fn error(error: BoxError) -> Self {
        Self::new(error, None)
    }

    /// From the error that the app's function for this step returned. The reaper drops it.
    pub(crate) fn returned(error: BoxError, step: &Arc<str>, reaper: &Arc<Reaper>) -> Self {
        Self::new(error, Some((Arc::clone(step), Arc::clone(reaper))))
    }

    fn new(error: BoxError, end: Option<(Arc<str>, Arc<Reaper>)>) -> Self {
        Self(Failure::Error(Arc::new(Returned {
            texts: texts(&*error),
            error: Some(error),
            end,
        })))
    }

    /// From the payload that `catch_unwind` returned.
    #[allow(clippy::needless_pass_by_value, reason = "the payload ends here")]
    pub(crate) fn panicked(payload: Box<dyn std::any::Any + Send>) -> Self {
        let literal = payload.downcast_ref::<&'static str>().copied();
        // Dropping a payload runs code of the app, which can panic again.
        let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(payload)));
        std::mem::forget(dropped);
        Self(Failure::Panicked(literal))
    }

    pub(crate) fn timed_out(after: Duration) -> Self {
        Self(Failure::TimedOut(after))
    }

    pub(crate) fn blocked(after: Duration) -> Self {
        Self(Failure::Blocked(after))
    }

    pub(crate) fn busy() -> Self {
        Self(Failure::Busy)
    }

    /// The error that the app's own function returned.
    pub fn inner(&self) -> Option<&(dyn StdError + Send + Sync + 'static)> {
        match &self.0 {
            Failure::Error(returned) => returned.error.as_deref(),
            _ => None,
        }
    }

    /// Returns `true` if the step panicked.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// # let mut reload = rekindle::Manager::new();
    /// reload.add(0, "cache", async |_| None::<()>.expect("the cache is gone"));
    /// let handle = reload.handle();
    /// reload
    ///     .run(async move |_stop| {
    ///         let error = handle.reload("example").await.unwrap_err();
    ///         let report = error.report().expect("the reload was made");
    ///         let error = report.failure().and_then(|step| step.error()).expect("a step failed");
    ///         assert!(error.is_panic());
    ///         Ok(())
    ///     })
    ///     .await
    /// # }
    /// ```
    pub fn is_panic(&self) -> bool {
        matches!(self.0, Failure::Panicked(_))
    }

    /// Returns `true` if the deadline of the step passed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// # let mut reload = rekindle::Manager::new();
    /// reload
    ///     .add(0, "cache", async |_| std::future::pending::<()>().await)
    ///     .timeout(std::time::Duration::from_millis(10));
    /// let handle = reload.handle();
    /// reload
    ///     .run(async move |_stop| {
    ///         let error = handle.reload("example").await.unwrap_err();
    ///         let report = error.report().expect("the reload was made");
    ///         let error = report.failure().and_then(|step| step.error()).expect("a step failed");
    ///         assert!(error.is_timeout());
    ///         Ok(())
    ///     })
    ///     .await
    /// # }
    /// ```
    pub fn is_timeout(&self) -> bool {
        matches!(self.0, Failure::TimedOut(_) | Failure::Blocked(_))
    }

    /// The texts of the causes, outermost first.
    pub fn causes(&self) -> impl Iterator<Item = &str> {
        let texts = match &self.0 {
            Failure::Error(returned) => &returned.texts[1..],
            _ => &[],
        };
        texts.iter().map(String::as_str)
    }

    /// The error and all its causes in one line, separated by `: `.
    pub fn chain(&self) -> String {
        match &self.0 {
            Failure::Error(returned) => returned.texts.join(": "),
            _ => self.to_string(),
        }
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Failure::Error(returned) => f.write_str(&returned.texts[0]),
            Failure::Panicked(Some(literal)) => write!(f, "panicked: {}", Escaped(literal)),
            Failure::Panicked(None) => {
                f.write_str("panicked; the panic hook has the message, which may hold values")
            }
            Failure::TimedOut(after) => write!(f, "not done after {after:?}; it was dropped"),
            Failure::Blocked(after) => write!(
                f,
                "not done after {after:?}, and it blocks its thread, so it cannot be dropped; \
                 move blocking work to `spawn_blocking`"
            ),
            Failure::Busy => f.write_str(
                "an earlier attempt was given up and has not ended; \
                 it cannot start again before that one has",
            ),
        }
    }
}

impl fmt::Debug for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain())
    }
}

impl StdError for StepError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        // The text of `inner` is the text of this error, so its cause is the cause of this one.
        self.inner().and_then(StdError::source)
    }
}
