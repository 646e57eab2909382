//! The reload that a task works for.
//!
//! The manager's number makes it an error to request a reload from inside one, which would wait for
//! itself for ever. The warnings are kept so that they reach the report.

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
    /// The warnings of the reload. `None` at the start, which has no report.
    warnings: Option<Arc<Warnings>>,
}

/// The warnings that application functions gave during one reload.
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

/// Runs `f` for the reload that `inside` names, if there is one.
pub(crate) async fn same<F: Future>(inside: Option<Inside>, f: F) -> F::Output {
    match inside {
        Some(inside) => INSIDE.scope(inside, f).await,
        None => f.await,
    }
}

/// The reload that this task works for, if any.
pub(crate) fn current() -> Option<Inside> {
    INSIDE.try_get().ok()
}

/// The manager whose reload this task works for, if any.
pub(crate) fn manager() -> Option<u64> {
    INSIDE.try_with(|inside| inside.manager).ok()
}

/// Writes a warning to the log and, if called from inside a reload or a dry run, adds it to the
/// [report](crate::Report::warnings).
///
/// Use it for findings that are no reason to reject a reload but should not go unnoticed: a
/// certificate that has expired, a setting that has no effect. A warning belongs to a value that is
/// built, so the next reload that keeps the value does not repeat it.
///
/// Sources, builds, effects, probes and reloaders are inside. A thread or a task that they start is
/// not, and neither is the first build of a component, at the start. There, a warning is only
/// logged.
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
