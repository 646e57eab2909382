//! Options of a reloader.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::Manager;
use crate::crew::Entry;

/// A reloader that was added, for options: what [`Manager::add`] gives.
///
/// ```
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// # let mut reload = rekindle::Manager::new();
/// reload
///     .add(0, "cache", async |_| std::future::pending::<()>().await)
///     .timeout(Duration::from_millis(10));
///
/// let handle = reload.handle();
/// reload
///     .run(async move |_stop| {
///         let error = handle.reload("example").await.unwrap_err();
///         assert!(error.is_partial());
///         Ok(())
///     })
///     .await
/// # }
/// ```
pub struct Added<'m> {
    pub(super) entry: Arc<Entry>,
    /// Keeps others from running the manager before the options are set.
    pub(super) manager: PhantomData<&'m mut Manager>,
}

impl Added<'_> {
    /// How long one run may take (default: [`Manager::timeout`]). Past it the run is dropped, and
    /// the reload is partial.
    pub fn timeout(self, timeout: Duration) {
        self.entry.set_timeout(timeout);
    }
}

impl fmt::Debug for Added<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Added").field(&self.entry.name).finish()
    }
}
