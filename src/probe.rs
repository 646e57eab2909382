//! Probes: the health checks of a probation.

use std::future::Future;

use crate::stateless::Stateless;
use crate::{BoxError, Done};

/// Checks that a new generation is healthy: the probe of a [probation](crate::Manager::probation).
///
/// Every closure of the form `async || ..` that returns `()` or `Result<(), BoxError>` is a probe. It
/// is cloned for each call, so it cannot change what it captured. A probe that counts, or keeps a
/// connection, captures an `Arc` of that or is a type of its own:
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
/// use std::time::Duration;
/// use rekindle::{BoxError, Manager, Probe};
///
/// /// Forgives two failures.
/// #[derive(Default)]
/// struct Health {
///     failures: AtomicU32,
/// }
///
/// impl Probe for Health {
///     async fn probe(&self) -> Result<(), BoxError> {
///         match ask().await {
///             Err(error) if self.failures.fetch_add(1, Relaxed) == 2 => Err(error),
///             _ => Ok(()),
///         }
///     }
/// }
///
/// # async fn ask() -> Result<(), BoxError> { Ok(()) }
/// let reload = Manager::new().probation(Duration::from_secs(30), Health::default());
/// # drop(reload);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be used as a probe",
    label = "not a probe",
    note = "implement `Probe`, or pass `async || {{ Ok(()) }}`; what a closure captures must be `Clone + Send + Sync + 'static`",
    note = "a closure is called again and again, so it must not change what it captured, nor move it out: clone it there; to keep state between calls, capture an `Arc<Mutex<_>>` or an atomic in an `Arc`, or implement `Probe` for a type of your own"
)]
pub trait Probe: Send + Sync + 'static {
    /// Returns an error if the current generation is unhealthy.
    ///
    /// # Errors
    ///
    /// An error ends the probation: the previous generation is published again.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when its deadline has passed, or when the manager stops.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// use rekindle::{BoxError, Probe};
    ///
    /// let well = async || Err::<(), BoxError>("too much load".into());
    /// assert_eq!(well.probe().await.unwrap_err().to_string(), "too much load");
    /// # Ok(())
    /// # }
    /// ```
    fn probe(&self) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// A closure that keeps no state between calls (`AsyncFn() -> ()` or `Result<(), BoxError>`).
impl<F, Fut> Probe for F
where
    F: FnOnce() -> Fut + Stateless<()> + Clone + Send + Sync + 'static,
    Fut: Future<Output: Done> + Send,
{
    async fn probe(&self) -> Result<(), BoxError> {
        self.clone()().await.into_result()
    }
}
