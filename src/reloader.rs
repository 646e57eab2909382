//! Effects of the app's own that run in every reload, in priority groups.

use std::future::Future;
use std::sync::Arc;

use crate::crew::BoxFuture;
use crate::{BoxError, Done, Triggers};

/// An effect that runs in every reload, after the commit: slok/reload's `Reloader`.
///
/// Reloaders are added with a priority: lower ones first, those of one priority concurrently, and
/// a group that fails stops the later ones. They read the new generation through plain `load()`.
/// Prefer a component where something is *computed* from the configuration: it is rebuilt only when
/// its inputs changed, and a failure there refuses the reload as a whole.
///
/// Every `async |triggers: Triggers| ..` closure that is `Clone` is a reloader.
///
/// ```
/// use rekindle::{BoxError, Reloader, Triggers};
///
/// struct Audit;
///
/// impl Reloader for Audit {
///     async fn reload(&self, triggers: Triggers) -> Result<(), BoxError> {
///         println!("reloaded because of {triggers}");
///         Ok(())
///     }
/// }
/// ```
///
/// The idea and the name are from [slok/reload](https://github.com/slok/reload).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be used as a reloader",
    label = "not a reloader",
    note = "implement `Reloader`, or pass `async |triggers: Triggers| {{ Ok(()) }}`; what a closure captures must be `Clone + Send + Sync + 'static`"
)]
pub trait Reloader: Send + Sync + 'static {
    /// Brings something of the app's up to date.
    ///
    /// # Errors
    ///
    /// An error makes the reload *partial*: later groups do not run, and the report says so.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when its deadline has passed, or its share of the shutdown timeout.
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

impl<F, Fut> Reloader for F
where
    F: FnOnce(Triggers) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output: Done> + Send,
{
    async fn reload(&self, triggers: Triggers) -> Result<(), BoxError> {
        self.clone()(triggers).await.into_result()
    }
}

/// The object-safe twin.
pub(crate) trait DynReloader: Send + Sync {
    fn start(self: Arc<Self>, triggers: Triggers) -> BoxFuture<'static, ()>;
}

impl<R: Reloader> DynReloader for R {
    fn start(self: Arc<Self>, triggers: Triggers) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.reload(triggers).await })
    }
}
