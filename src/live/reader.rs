//! A private cached handle for hot loops.

use std::fmt;
use std::future::pending;
use std::sync::Arc;

use tokio::sync::watch;

use super::Live;
use super::slot::Slot;
use crate::panic::wait_quietly;

/// A cached handle for hot loops, as [`Live::reader`] returns it.
///
/// [`get`](Self::get) costs one atomic load while nothing changes. In return, a reader holds its
/// value until the next `get`, so an idle reader keeps an old value alive. It is not shared
/// (`&mut self`); give each thread its own.
///
/// The idea is arc-swap's `Cache`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::Error> {
/// # let mut reload = rekindle::Manager::new();
/// let limit = reload.source("limit", async || Ok(10_u32)).await?;
/// let mut limit = limit.reader();
/// assert_eq!((0..100).filter(|n| n < limit.get()).count(), 10);
/// # Ok(())
/// # }
/// ```
pub struct Reader<T: Send + Sync + 'static> {
    live: Live<T>,
    slot: Arc<Slot<T>>,
    /// `slot` belongs to the generation with this version, or to a newer one.
    version: u64,
    changes: watch::Receiver<u64>,
}

impl<T: Send + Sync + 'static> Reader<T> {
    pub(super) fn new(live: Live<T>) -> Self {
        let generation = live.publication.load();
        let slot = Slot::<T>::share(generation.slot(live.index));
        assert!(
            slot.home().retire.get().is_none(),
            "component `{}` is retired, and a reader would hold an old value until its next look; \
             use `load` or `lease`",
            live.name(),
        );
        Self {
            slot,
            version: generation.version,
            changes: live.publication.changes(),
            live,
        }
    }

    /// The current value.
    ///
    /// # Consistency
    ///
    /// The value is at least as new as that of every read this thread has learned of.
    ///
    /// # Panics
    ///
    /// If the component was closed at the [end](Live#the-end) of the run.
    pub fn get(&mut self) -> &T {
        if self.live.publication.version() != self.version {
            self.refresh();
        }
        self.slot.value()
    }

    /// Waits for a value other than the last one that [`get`](Self::get) or this method returned,
    /// and returns it. Never resolves if no newer value comes, for example because the component is
    /// closed at the [end](Live#the-end) of the run.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: a later call resolves at once if there is a newer value.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    ///
    /// static LIMIT: AtomicU32 = AtomicU32::new(10);
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// # let mut reload = rekindle::Manager::new();
    /// let limit = reload.source("limit", async || Ok(LIMIT.load(Relaxed))).await?;
    /// let handle = reload.handle();
    /// reload
    ///     .run(async move |_stop| {
    ///         let mut reader = limit.reader();
    ///         assert_eq!(*reader.get(), 10);
    ///
    ///         LIMIT.store(20, Relaxed);
    ///         handle.trigger("example");
    ///         assert_eq!(*reader.changed().await, 20);
    ///         Ok(())
    ///     })
    ///     .await
    /// # }
    /// ```
    pub async fn changed(&mut self) -> &T {
        loop {
            // Mark the version as seen before the check, so that a commit between the two wakes
            // this task.
            self.changes.mark_unchanged();
            if self.live.is_closed() {
                return pending().await;
            }
            if self.refresh() {
                return self.slot.value();
            }
            if wait_quietly(self.changes.changed()).await.is_err() {
                unreachable!("the publication that is held here owns the sender");
            }
        }
    }

    /// Takes the current value. Returns `true` if it is a different one.
    #[cold]
    fn refresh(&mut self) -> bool {
        let generation = self.live.publication.load();
        self.version = generation.version;
        let slot = Slot::share(generation.slot(self.live.index));
        let changed = !Arc::ptr_eq(&self.slot, &slot);
        self.slot = slot;
        changed
    }
}

impl<T: Send + Sync + 'static> Clone for Reader<T> {
    fn clone(&self) -> Self {
        Self {
            live: self.live.clone(),
            slot: Arc::clone(&self.slot),
            version: self.version,
            changes: self.changes.clone(),
        }
    }
}

impl<T: Send + Sync + 'static> fmt::Debug for Reader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reader").field(&self.live.name()).finish()
    }
}
