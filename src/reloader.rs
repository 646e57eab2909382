//! Reloaders: effects of the app that run in every reload, in priority groups.

use std::future::Future;
use std::sync::Arc;

use crate::crew::BoxFuture;
use crate::stateless::Stateless;
use crate::{BoxError, Done, Triggers};

/// An effect that runs in every reload, after the commit: slok/reload's `Reloader`.
///
/// Reloaders are added with a priority. Lower priorities run first, reloaders of one priority run
/// concurrently, and a group that fails stops the later ones. They read the new generation through
/// plain `load()`. Prefer a component for anything that is *computed* from the configuration: it is
/// rebuilt only when its inputs changed, and a failure there rejects the whole reload.
///
/// Every closure of the form `async |triggers: Triggers| ..` that returns `()` or `Result<(),
/// BoxError>` is a reloader. It is cloned for each call, so it cannot change what it captured. Keep
/// state that lasts from one reload to the next in an `Arc`, or in a type of your own:
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
/// use rekindle::{BoxError, Reloader, Triggers};
///
/// struct Audit {
///     reloads: AtomicU32,
/// }
///
/// impl Reloader for Audit {
///     async fn reload(&self, triggers: Triggers) -> Result<(), BoxError> {
///         let before = self.reloads.fetch_add(1, Relaxed);
///         println!("reload {} because of {triggers}", before + 1);
///         Ok(())
///     }
/// }
/// ```
///
/// The idea and the name are from [slok/reload](https://github.com/slok/reload).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be used as a reloader",
    label = "not a reloader",
    note = "implement `Reloader`, or pass `async |triggers: Triggers| {{ Ok(()) }}`; what a closure captures must be `Clone + Send + Sync + 'static`",
    note = "a closure is called again and again, so it must not change what it captured, nor move it out: clone it there; to keep state between calls, capture an `Arc<Mutex<_>>` or an atomic in an `Arc`, or implement `Reloader` for a type of your own"
)]
pub trait Reloader: Send + Sync + 'static {
    /// Brings a part of the app up to date.
    ///
    /// # Errors
    ///
    /// An error makes the reload *partial*: later groups do not run, and the report says so.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when its deadline or its share of the shutdown timeout has passed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// use rekindle::{Reloader, Trigger, Triggers};
    ///
    /// let audit = async |triggers: Triggers| assert!(triggers.contains("sighup"));
    /// audit.reload(Trigger::from("sighup").into()).await?;
    /// # Ok(())
    /// # }
    /// ```
    fn reload(&self, triggers: Triggers) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// A closure that keeps no state between calls (`AsyncFn(Triggers)`).
impl<F, Fut> Reloader for F
where
    F: FnOnce(Triggers) -> Fut + Stateless<(Triggers,)> + Clone + Send + Sync + 'static,
    Fut: Future<Output: Done> + Send,
{
    async fn reload(&self, triggers: Triggers) -> Result<(), BoxError> {
        self.clone()(triggers).await.into_result()
    }
}

/// The object-safe counterpart of [`Reloader`].
pub(crate) trait DynReloader: Send + Sync {
    fn start(self: Arc<Self>, triggers: Triggers) -> BoxFuture<'static, ()>;
}

impl<R: Reloader> DynReloader for R {
    fn start(self: Arc<Self>, triggers: Triggers) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.reload(triggers).await })
    }
}
