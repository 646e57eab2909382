//! Closures as notifiers.

use std::future::Future;

use crate::stateless::Stateless;
use crate::{BoxError, Notifier, Trigger};

/// A closure is called again after each trigger.
///
/// It is cloned for each call, and a change in the clone would be lost, so it cannot change its
/// captures (it is an `AsyncFn`). These forms compile:
///
/// ```
/// use std::sync::Arc;
/// use rekindle::{BoxError, Notifier, Trigger};
/// use tokio::sync::{Mutex, Notify, mpsc};
///
/// fn is_notifier(_: impl Notifier) {}
///
/// is_notifier(async || Ok("at once".into()));
///
/// async fn named() -> Result<Trigger, BoxError> {
///     Ok("named".into())
/// }
/// is_notifier(named);
///
/// let asked = Arc::new(Notify::new());
/// let also = Arc::clone(&asked);
/// is_notifier(async move || {
///     asked.notified().await;
///     Ok("asked".into())
/// });
/// is_notifier(move || {
///     let asked = Arc::clone(&also);
///     async move {
///         asked.notified().await;
///         Ok("asked".into())
///     }
/// });
///
/// // State that must change while the closure waits goes behind a lock ...
/// let (_sender, receiver) = mpsc::channel::<()>(1);
/// let receiver = Arc::new(Mutex::new(receiver));
/// is_notifier(async move || {
///     receiver.lock().await.recv().await.ok_or("no sender is left")?;
///     Ok("channel".into())
/// });
///
/// // ... or into a type of its own, which is the better place for it.
/// struct Changes(tokio::sync::watch::Receiver<u32>);
///
/// impl Notifier for Changes {
///     async fn notify(&mut self) -> Result<Trigger, BoxError> {
///         self.0.changed().await?;
///         Ok("changed".into())
///     }
/// }
/// ```
///
/// A `tokio::sync::watch::Receiver` in a closure would be cloned with the version that it had seen
/// when the closure was created, and report the first change for ever. So this is rejected:
///
/// ```compile_fail,E0277
/// # fn is_notifier(_: impl rekindle::Notifier) {}
/// # let (_sender, mut receiver) = tokio::sync::watch::channel(0);
/// is_notifier(async move || {
///     receiver.changed().await?;
///     Ok("changed".into())
/// });
/// ```
impl<F, Fut> Notifier for F
where
    F: FnOnce() -> Fut + Stateless<()> + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Trigger, BoxError>> + Send,
{
    fn notify(&mut self) -> impl Future<Output = Result<Trigger, BoxError>> + Send {
        self.clone()()
    }
}
