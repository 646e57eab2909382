//! The options of a reloader.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::Manager;
use crate::crew::Entry;

/// The options of a reloader, as [`Manager::add`] returns them.
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
    /// Borrows the manager, so that it cannot run before the options are set.
    pub(super) manager: PhantomData<&'m mut Manager>,
}

impl Added<'_> {
    /// Sets the timeout of one run (default: [`Manager::timeout`]). Past it the run is dropped, and the
    /// reload is partial.
    pub fn timeout(self, timeout: Duration) {
        self.entry.set_timeout(timeout);
    }
}

impl fmt::Debug for Added<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Added").field(&self.entry.name).finish()
    }
}
