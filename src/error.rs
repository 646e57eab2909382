//! Errors of a manager, with texts that say what to do.

use std::error::Error as StdError;
use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use crate::escape::Escaping;
use crate::{Outcome, Report};

mod chain;
mod step;

pub(crate) use chain::{CHAIN, Chain};
pub use step::StepError;

/// Any error, as the app's own functions return it.
///
/// ```
/// use rekindle::BoxError;
///
/// fn port(text: &str) -> Result<u16, BoxError> {
///     match text.parse()? {
///         0 => Err("port 0 is none".into()),
///         port => Ok(port),
///     }
/// }
///
/// assert_eq!(port("0").unwrap_err().to_string(), "port 0 is none");
/// assert_eq!(port("x").unwrap_err().to_string(), "invalid digit found in string");
/// ```
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// An error of a manager.
///
/// The cause is in [`source`](std::error::Error::source). `Debug` prints the sentence with all its
/// causes, because a `main` that returns an error shows its `Debug` form.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// # let mut reload = rekindle::Manager::new();
/// let error = reload.source("port", async || Ok("x".parse::<u16>()?)).await.unwrap_err();
/// assert_eq!(error.to_string(), "component `port` could not be built");
/// assert_eq!(
///     format!("{error:?}"),
///     "component `port` could not be built: invalid digit found in string",
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Error(Arc<Kind>);

enum Kind {
    Start {
        what: &'static str,
        name: Arc<str>,
        error: StepError,
    },
    DuplicateName {
        name: Arc<str>,
    },
    UnprintableName {
        name: Arc<str>,
    },
    ForeignHandle {
        name: Arc<str>,
        input: Arc<str>,
    },
    Stopped,
    Reentrant,
    Reload(Arc<Report>),
    Notifier {
        name: Arc<str>,
        error: StepError,
    },
    Task {
        name: Arc<str>,
        error: Option<StepError>,
    },
    AppPanicked {
        error: StepError,
    },
    StillRunning {
        names: Vec<String>,
        timeout: Duration,
    },
}

impl Error {
    pub(crate) fn start(what: &'static str, name: &Arc<str>, error: StepError) -> Self {
        Self(Arc::new(Kind::Start {
            what,
            name: Arc::clone(name),
            error,
        }))
    }

    pub(crate) fn duplicate_name(name: &Arc<str>) -> Self {
        Self(Arc::new(Kind::DuplicateName {
            name: Arc::clone(name),
        }))
    }

    pub(crate) fn unprintable_name(name: &Arc<str>) -> Self {
        Self(Arc::new(Kind::UnprintableName {
            name: Arc::clone(name),
        }))
    }

    pub(crate) fn foreign_handle(name: &Arc<str>, input: &Arc<str>) -> Self {
        let (name, input) = (Arc::clone(name), Arc::clone(input));
        Self(Arc::new(Kind::ForeignHandle { name, input }))
    }

    pub(crate) fn stopped() -> Self {
        Self(Arc::new(Kind::Stopped))
    }

    pub(crate) fn reentrant() -> Self {
        Self(Arc::new(Kind::Reentrant))
    }

    pub(crate) fn reload(report: Arc<Report>) -> Self {
        Self(Arc::new(Kind::Reload(report)))
    }

    pub(crate) fn notifier(name: &Arc<str>, error: StepError) -> Self {
        Self(Arc::new(Kind::Notifier {
            name: Arc::clone(name),
            error,
        }))
    }

    pub(crate) fn task(name: &Arc<str>, error: Option<StepError>) -> Self {
        Self(Arc::new(Kind::Task {
            name: Arc::clone(name),
            error,
        }))
    }

    pub(crate) fn app_panicked(error: StepError) -> Self {
        Self(Arc::new(Kind::AppPanicked { error }))
    }

    pub(crate) fn still_running(names: Vec<String>, timeout: Duration) -> Self {
        Self(Arc::new(Kind::StillRunning { names, timeout }))
    }

    /// The report of the reload that did not end well.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// # let mut reload = rekindle::Manager::new();
    /// reload.add(0, "cache", async |_| Err("the cache is gone".into()));
    /// let handle = reload.handle();
    /// reload
    ///     .run(async move |_stop| {
    ///         let error = handle.reload("example").await.unwrap_err();
    ///         let failed = error.report().and_then(|report| report.failure());
    ///         assert_eq!(failed.map(|step| step.name()), Some("cache"));
    ///         Ok(())
    ///     })
    ///     .await
    /// # }
    /// ```
    pub fn report(&self) -> Option<&Arc<Report>> {
        match &*self.0 {
            Kind::Reload(report) => Some(report),
            _ => None,
        }
    }

    /// Returns `true` if the reload was rejected and the previous values are still live.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    ///
    /// static READABLE: AtomicBool = AtomicBool::new(true);
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// # let mut reload = rekindle::Manager::new();
    /// let read = async || match READABLE.load(Relaxed) {
    ///     true => Ok(10),
    ///     false => Err("the limit cannot be read".into()),
    /// };
    /// let limit = reload.source("limit", read).await?;
    /// let handle = reload.handle();
    /// reload
    ///     .run(async move |_stop| {
    ///         READABLE.store(false, Relaxed);
    ///         let error = handle.reload("example").await.unwrap_err();
    ///         assert!(error.is_rejected());
    ///         assert_eq!(*limit.load(), 10);
    ///         Ok(())
    ///     })
    ///     .await
    /// # }
    /// ```
    pub fn is_rejected(&self) -> bool {
        self.outcome() == Some(Outcome::Rejected)
    }

    /// Returns `true` if the new generation is live, but an effect or reloader failed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// # let mut reload = rekindle::Manager::new();
    /// reload.source("limit", async || Ok(10)).await?;
    /// reload.add(0, "cache", async |_| Err("the cache is gone".into()));
    /// let handle = reload.handle();
    /// reload
    ///     .run(async move |_stop| {
    ///         let error = handle.reload("example").await.unwrap_err();
    ///         assert!(error.is_partial());
    ///         assert_eq!(handle.status().generation(), 2);
    ///         Ok(())
    ///     })
    ///     .await
    /// # }
    /// ```
    pub fn is_partial(&self) -> bool {
        self.outcome() == Some(Outcome::Partial)
    }

    /// Returns `true` if the new generation failed its [probation](crate::Manager::probation) and the
    /// previous values are live again.
    ///
    /// A later reload that would bring the same values again is [rejected](Self::is_rejected), unless it was
    /// requested [explicitly](crate::Trigger::explicit).
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    /// use std::time::Duration;
    ///
    /// static FILE: AtomicU32 = AtomicU32::new(10);
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// let mut reload = rekindle::Manager::new()
    ///     .probation(Duration::from_secs(60), async || Err("too much load".into()));
    /// let limit = reload.source("limit", async || Ok(FILE.load(Relaxed))).await?;
    /// let handle = reload.handle();
    /// reload
    ///     .run(async move |_stop| {
    ///         FILE.store(1_000, Relaxed);
    ///         let error = handle.reload("example").await.unwrap_err();
    ///         assert!(error.is_rolled_back());
    ///         assert_eq!(*limit.load(), 10);
    ///         Ok(())
    ///     })
    ///     .await
    /// # }
    /// ```
    pub fn is_rolled_back(&self) -> bool {
        self.outcome() == Some(Outcome::RolledBack)
    }

    /// Returns `true` if the manager stopped before the reload began, or in the middle of it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// # let mut reload = rekindle::Manager::new();
    /// let handle = reload.handle();
    /// reload.run(async |_stop| {}).await?;
    /// assert!(handle.reload("too late").await.unwrap_err().is_stopped());
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_stopped(&self) -> bool {
        matches!(*self.0, Kind::Stopped)
            || matches!(self.outcome(), Some(Outcome::Interrupted { .. }))
    }

    /// Returns `true` if a reload was asked for, and waited for, from inside a reload, which could never
    /// end.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// # let mut reload = rekindle::Manager::new();
    /// let handle = reload.handle();
    /// let inner = handle.clone();
    /// reload.add(0, "again", async move |_| {
    ///     let error = inner.reload("again").await.unwrap_err();
    ///     assert!(error.is_reentrant());
    /// });
    /// reload
    ///     .run(async move |_stop| {
    ///         handle.reload("example").await?;
    ///         Ok(())
    ///     })
    ///     .await
    /// # }
    /// ```
    pub fn is_reentrant(&self) -> bool {
        matches!(*self.0, Kind::Reentrant)
    }

    /// Returns `true` if something did not end within the shutdown timeout.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rekindle::{Error, Manager};
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// # let (began, mut begins) = tokio::sync::mpsc::channel(1);
    /// let mut reload = Manager::new().shutdown_timeout(Duration::from_millis(20));
    /// reload.add(0, "flush", async move |_| {
    /// #     began.send(()).await?;
    ///     // It blocks its thread, so the manager cannot stop it.
    ///     std::thread::sleep(Duration::from_millis(500));
    ///     Ok(())
    /// });
    /// let handle = reload.handle();
    /// let ended = reload
    ///     .run(async move |_stop| {
    ///         handle.trigger("example");
    /// #         begins.recv().await;
    ///         Ok(())
    ///     })
    ///     .await;
    /// let error = ended.unwrap_err().downcast::<Error>()?;
    /// assert!(error.is_still_running());
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_still_running(&self) -> bool {
        matches!(*self.0, Kind::StillRunning { .. })
    }

    /// A phrase for each thing that did not end within the shutdown timeout.
    pub(crate) fn leftovers(&self) -> &[String] {
        match &*self.0 {
            Kind::StillRunning { names, .. } => names,
            _ => &[],
        }
    }

    fn outcome(&self) -> Option<Outcome> {
        self.report().map(|report| report.outcome())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A rejected name can contain any characters.
        let f = &mut Escaping(f);
        match &*self.0 {
            Kind::Start {
                what: "effect", name, ..
            } => write!(f, "effect `{name}` could not be run"),
            Kind::Start { what, name, .. } => write!(f, "{what} `{name}` could not be built"),
            Kind::DuplicateName { name } => {
                write!(f, "there is a component `{name}` already; give this one another name")
            }
            Kind::UnprintableName { name } => write!(
                f,
                "the name `{name}` has control characters; give it one of printable text"
            ),
            Kind::ForeignHandle { name, input } => write!(
                f,
                "component `{name}` reads `{input}`, which belongs to another manager; \
                 build both with the same one"
            ),
            Kind::Stopped => f.write_str("the manager has stopped and makes no more reloads"),
            Kind::Reentrant => f.write_str(
                "a reload cannot wait for another one; use `trigger` to ask for one without waiting",
            ),
            Kind::Reload(report) => {
                let what = if report.is_check() { "check" } else { "reload" };
                write!(f, "the {what} was {}", report.outcome())?;
                match report.failure() {
                    Some(step) => write!(f, ": `{}` failed", step.name()),
                    None => Ok(()),
                }
            }
            Kind::Notifier { name, .. } => write!(f, "notifier `{name}` failed"),
            Kind::Task { name, error: None } => {
                write!(f, "the task of component `{name}` ended by itself")
            }
            Kind::Task { name, .. } => write!(f, "the task of component `{name}` failed"),
            Kind::AppPanicked { .. } => f.write_str("the app panicked"),
            Kind::StillRunning { names, timeout } => write!(
                f,
                "not ended within the shutdown timeout of {timeout:?}: {}",
                names.join(", ")
            ),
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
        match &*self.0 {
            Kind::Start { error, .. }
            | Kind::Notifier { error, .. }
            | Kind::AppPanicked { error } => Some(error),
            Kind::Task { error, .. } => error.as_ref().map(|error| error as _),
            Kind::Reload(report) => report
                .failure()
                .and_then(|step| step.error())
                .map(|error| error as _),
            _ => None,
        }
    }
}
