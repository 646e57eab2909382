//! The reload that a task works for.
//!
//! The manager's number is there so that asking for a reload from inside one is an error: waiting for it
//! would never end. The warnings are there so that they reach the report.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use crate::escape::Escaped;
use crate::log::event;

tokio::task_local! {
    static INSIDE: Inside;
}

/// The manager and the reload that a task works for.
#[derive(Clone)]
pub(crate) struct Inside {
    /// The number of the manager.
    manager: u64,
    /// Those of the reload. `None` at the start, which has no report.
    warnings: Option<Arc<Warnings>>,
}

/// The warnings of the app's functions during one reload.
#[derive(Default)]
pub(crate) struct Warnings(Mutex<Vec<Arc<str>>>);

impl Warnings {
    pub(crate) fn all(&self) -> Vec<Arc<str>> {
        let warnings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.clone()
    }
}

/// Runs `f` as part of this manager.
pub(crate) fn scope<F: Future>(manager: u64, f: F) -> impl Future<Output = F::Output> {
    let warnings = None;
    INSIDE.scope(Inside { manager, warnings }, f)
}

/// Runs `f` as part of a reload of this manager.
pub(crate) fn reload<F: Future>(
    manager: u64,
    warnings: &Arc<Warnings>,
    f: F,
) -> impl Future<Output = F::Output> {
    let warnings = Some(Arc::clone(warnings));
    INSIDE.scope(Inside { manager, warnings }, f)
}

/// For a task that works for the same reload as this one, if this one does.
pub(crate) async fn same<F: Future>(inside: Option<Inside>, f: F) -> F::Output {
    match inside {
        Some(inside) => INSIDE.scope(inside, f).await,
        None => f.await,
    }
}

/// The reload that this task works for, if it works for one.
pub(crate) fn current() -> Option<Inside> {
    INSIDE.try_get().ok()
}

/// The manager whose reload this task works for.
pub(crate) fn manager() -> Option<u64> {
    INSIDE.try_with(|inside| inside.manager).ok()
}

/// Writes a warning to the log and, if this is called from inside a reload or a check, adds it to
/// the [report](crate::Report::warnings).
///
/// For what is no reason to reject a reload but should not go unnoticed: a certificate that has
/// expired, a setting that has no effect. A warning belongs to a value that is built, so the next
/// reload that leaves the value alone does not repeat it.
///
/// Sources, builds, effects, probes and reloaders are inside; a thread or a task that they start is
/// not, and neither is the first build of a component, at the start. There a warning is in the log alone.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// # let mut reload = rekindle::Manager::new();
/// let port = reload.source("port", async || Ok(80)).await?;
/// reload
///     .derive("address", &port, async |port| {
///         if *port < 1024 {
///             rekindle::warn(format_args!("`port` {port} takes privileges"));
///         }
///         Ok(format!("[::]:{port}"))
///     })
///     .await?;
///
/// let handle = reload.handle();
/// reload
///     .run(async move |_stop| {
///         let report = handle.check().await?;
///         assert!(report.warnings().eq(["`port` 80 takes privileges"]));
///         Ok(())
///     })
///     .await
/// # }
/// ```
pub fn warn(message: impl fmt::Display) {
    let message = Escaped(message).to_string();
    event!(WARN, "{message}");
    if let Some(warnings) = current().and_then(|inside| inside.warnings) {
        let mut warnings = warnings.0.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.push(message.into());
    }
}
