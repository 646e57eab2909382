//! Handles that hold a value, for the length of a request or of a stream.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::generation::Generation;
use super::slot::{AnySlot, ErasedSlot, Inputs, Slot};
use crate::panic::wait_quietly;

/// One value, held for the length of a request, as [`Live::load`](super::Live::load) returns it.
///
/// It pins its whole generation, so nothing in that is dropped before the guard. Hold a [`Lease`]
/// where that may take long. A guard is `Send` and may be held across `await`. `clone` clones the
/// guard, never the value.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::Error> {
/// # let mut reload = rekindle::Manager::new();
/// let name = reload.source("name", async || Ok("Ada".to_owned())).await?;
/// let guard = name.load();
/// assert_eq!(guard.len(), 3);
/// assert_eq!(guard.generation(), 1);
/// # Ok(())
/// # }
/// ```
pub struct Guard<T: Send + Sync + 'static> {
    generation: Arc<Generation>,
    index: usize,
    value: std::marker::PhantomData<fn() -> T>,
}

impl<T: Send + Sync + 'static> Guard<T> {
    pub(super) fn new(generation: Arc<Generation>, index: usize) -> Self {
        Self {
            generation,
            index,
            value: std::marker::PhantomData,
        }
    }

    /// The number of the generation that this value was read from.
    pub fn generation(&self) -> u64 {
        self.generation.number
    }
}

impl<T: Send + Sync + 'static> Deref for Guard<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        Slot::of(self.generation.slot(self.index)).value()
    }
}

impl<T: Send + Sync + 'static> Clone for Guard<T> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.generation), self.index)
    }
}

impl<T: fmt::Debug + Send + Sync + 'static> fmt::Debug for Guard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T: fmt::Display + Send + Sync + 'static> fmt::Display for Guard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

/// One value, held for as long as needed. [`Live::lease`](super::Live::lease) returns it, and a
/// build gets one for each input that is a handle.
///
/// It holds this value and the inputs of this value, and nothing else of its generation. It is
/// `Send` and may be held across `await`. `clone` clones the lease, never the value.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::Error> {
/// # let mut reload = rekindle::Manager::new();
/// let name = reload.source("name", async || Ok("Ada".to_owned())).await?;
/// let lease = name.lease();
/// tokio::spawn(async move { assert_eq!(*lease, "Ada") }).await.unwrap();
/// # Ok(())
/// # }
/// ```
pub struct Lease<T: Send + Sync + 'static>(Arc<Slot<T>>);

impl<T: Send + Sync + 'static> Lease<T> {
    pub(crate) fn new(slot: Arc<Slot<T>>) -> Self {
        Self(slot)
    }

    /// The serial number of the value, unique in this process.
    pub(crate) fn serial(&self) -> u64 {
        self.0.serial()
    }

    /// The name of the component that owns the value.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.0.home().name
    }

    /// The inputs that the value was built from.
    pub(crate) fn inputs(&self) -> Option<&Inputs> {
        self.0.inputs()
    }

    /// The slot without its value's type.
    pub(crate) fn erased(&self) -> AnySlot {
        Arc::<Slot<T>>::clone(&self.0)
    }

    /// Resolves when this value is neither current nor can become current again.
    ///
    /// That is when another value is current; when the component, or the value's key in a
    /// [collection](crate::Keyed), is gone; or when the reload that built the value was rejected,
    /// or was a dry run.
    ///
    /// On [probation](crate::Manager::probation) a replacement counts when it has passed, and not
    /// at the commit, because the previous values may become current again. If they do, the
    /// rolled-back values are the ones that count as replaced.
    ///
    /// Streams and websockets wait for this beside their work, to end or to take the new value. A
    /// component is gone when it is [closed](crate::Live#the-end) at the end of the run, or when
    /// the manager and the last handle are dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: a later call resolves at once if the value was replaced.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// # let mut reload = rekindle::Manager::new();
    /// let motto = reload.source("motto", async || Ok("onwards")).await?;
    /// let lease = motto.lease();
    /// let stream = tokio::spawn(async move {
    ///     lease.replaced().await;
    ///     format!("sent `{}` until it was replaced", *lease)
    /// });
    ///
    /// let handle = reload.handle();
    /// reload
    ///     .run(async move |_stop| {
    ///         handle.reload("example").await?;
    ///         assert_eq!(stream.await?, "sent `onwards` until it was replaced");
    ///         Ok(())
    ///     })
    ///     .await
    /// # }
    /// ```
    pub async fn replaced(&self) {
        let publication = self.0.home().publication.upgrade();
        let Some(mut changes) = publication.map(|publication| publication.changes()) else {
            return;
        };
        loop {
            // Mark the version as seen before the check, so that a commit between the two wakes
            // this task.
            changes.mark_unchanged();
            if self.0.is_replaced() || wait_quietly(changes.changed()).await.is_err() {
                return;
            }
        }
    }
}

impl<T: Send + Sync + 'static> Deref for Lease<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.value()
    }
}

impl<T: Send + Sync + 'static> Clone for Lease<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: fmt::Debug + Send + Sync + 'static> fmt::Debug for Lease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T: fmt::Display + Send + Sync + 'static> fmt::Display for Lease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}
