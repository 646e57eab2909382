//! One generation, several values.

use std::fmt;
use std::sync::Arc;

use super::Live;
use super::generation::Generation;
use super::publication::Publication;
use super::slot::Slot;

/// One generation, for reading several values that belong together.
///
/// It pins its generation like a [`Guard`](super::Guard). Cloning is cheap.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::Error> {
/// # let mut reload = rekindle::Manager::new();
/// let number = reload.source("number", async || Ok(2)).await?;
/// let double = reload.derive("double", &number, async |n| Ok(*n * 2)).await?;
/// let now = number.snapshot();
/// assert_eq!(now.generation(), 1);
/// assert_eq!(now.get(&number) * 2, *now.get(&double));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Snapshot {
    generation: Arc<Generation>,
}

impl Snapshot {
    pub(crate) fn of(publication: &Publication) -> Self {
        Self {
            generation: publication.load(),
        }
    }

    /// The number of the generation.
    pub fn generation(&self) -> u64 {
        self.generation.number
    }

    /// The value of one component in this generation.
    ///
    /// # Panics
    ///
    /// If the handle belongs to another manager. If its component was added after this snapshot was
    /// taken, or was [closed](Live#the-end) before.
    #[track_caller]
    pub fn get<T: Send + Sync + 'static>(&self, live: &Live<T>) -> &T {
        assert!(
            self.generation.manager == live.publication.manager,
            "component `{}` belongs to another manager than this snapshot",
            live.name(),
        );
        assert!(
            live.index < self.generation.len(),
            "component `{}` was added after this snapshot was taken",
            live.name(),
        );
        Slot::of(self.generation.slot(live.index)).value()
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("generation", &self.generation.number)
            .finish()
    }
}
