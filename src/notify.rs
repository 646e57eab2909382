//! Notifiers, which wait for the outside world and request reloads.
//!
//! | from | with |
//! |---|---|
//! | a signal such as SIGHUP | [`signal`] |
//! | the clock | [`interval`] |
//! | a channel that the app already has | `tokio::sync::mpsc::Receiver` is a notifier |
//! | anything else to wait for | an `async` closure is a notifier |
//! | a file | [`file::json(path).watch()`](crate::file), which is a source and its notifier in one |

use std::future::Future;
use std::pin::Pin;

use crate::{BoxError, Trigger};

mod channel;
mod func;
mod interval;
#[cfg(all(unix, feature = "signal"))]
mod signal;

pub use interval::{Interval, interval};
#[cfg(all(unix, feature = "signal"))]
pub use signal::{Signal, SignalKind, signal};

/// Waits for the outside world and yields [`Trigger`]s.
///
/// The manager calls [`notify`](Self::notify) again after each trigger. A notifier that fails or
/// panics does not end the app: the manager reports the failure and calls it again, with growing
/// pauses ([`OnError::Stop`](crate::OnError) ends the run instead).
///
/// The trigger is automatic unless the notifier makes it [`explicit`](Trigger::explicit).
///
/// `async` closures and `tokio::sync::mpsc::Receiver`s are notifiers. A closure is cloned for each
/// call, so it cannot change its captures. Pass a receiver itself, and put state that changes
/// between calls into a type of its own.
///
/// ```
/// use rekindle::{BoxError, Manager, Notifier, Trigger};
///
/// struct Ticks(tokio::time::Interval);
///
/// impl Notifier for Ticks {
///     async fn notify(&mut self) -> Result<Trigger, BoxError> {
///         self.0.tick().await;
///         Ok("tick".into())
///     }
/// }
///
/// let mut reload = Manager::new();
/// reload.on(async || {
///     tokio::time::sleep(std::time::Duration::from_secs(60)).await;
///     Ok("every minute".into())
/// });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a notifier",
    label = "not a notifier",
    note = "implement `Notifier`, pass an `async || Ok(\"name\".into())` closure, or a `tokio::sync::mpsc::Receiver` of what is `Into<Trigger>`; what a closure captures must be `Clone + Send + Sync + 'static`",
    note = "a closure is called again and again, so it must not change what it captured, nor move it out: clone it there; to keep state between calls, pass an `mpsc::Receiver` itself, capture an `Arc<Mutex<_>>` or an atomic in an `Arc`, or implement `Notifier` for a type of your own"
)]
pub trait Notifier: Send + 'static {
    /// Resolves when a reload is wanted, with the trigger that names the reason.
    ///
    /// # Errors
    ///
    /// The manager reports an error and calls the notifier again after a pause.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped before it resolves only at shutdown.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// use rekindle::{BoxError, Notifier, Trigger};
    ///
    /// async fn asked() -> Result<Trigger, BoxError> {
    ///     Ok("asked".into())
    /// }
    ///
    /// let mut notifier = asked;
    /// assert_eq!(notifier.notify().await?.as_str(), "asked");
    /// # Ok(())
    /// # }
    /// ```
    fn notify(&mut self) -> impl Future<Output = Result<Trigger, BoxError>> + Send;

    /// The name for log lines and the status, which escape its control characters.
    ///
    /// ```
    /// use rekindle::{BoxError, Notifier, Trigger};
    ///
    /// struct Etcd;
    ///
    /// impl Notifier for Etcd {
    ///     async fn notify(&mut self) -> Result<Trigger, BoxError> {
    ///         std::future::pending().await
    ///     }
    ///
    ///     fn name(&self) -> String {
    ///         "etcd".into()
    ///     }
    /// }
    ///
    /// assert_eq!(Etcd.name(), "etcd");
    /// ```
    fn name(&self) -> String {
        std::any::type_name::<Self>().to_owned()
    }
}

/// The object-safe variant of [`Notifier`].
pub(crate) trait DynNotifier: Send {
    fn notify<'a>(
        &'a mut self,
    ) -> Pin<Box<dyn Future<Output = Result<Trigger, BoxError>> + Send + 'a>>;
    fn name(&self) -> String;
}

impl<N: Notifier> DynNotifier for N {
    fn notify<'a>(
        &'a mut self,
    ) -> Pin<Box<dyn Future<Output = Result<Trigger, BoxError>> + Send + 'a>> {
        Box::pin(Notifier::notify(self))
    }

    fn name(&self) -> String {
        Notifier::name(self)
    }
}
