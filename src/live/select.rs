//! A part of a value as an input, which causes a rebuild only when the part changed.

use std::fmt;
use std::sync::Arc;

use super::Live;
use crate::panic::drop_quietly;

/// A part of a component's value, as [`Live::select`] and [`Live::map`] return it.
///
/// As an input it gives the build a copy of the part. The build runs again only when the part is no
/// longer equal (`PartialEq`) to that copy. A selection pins nothing.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// # let mut reload = rekindle::Manager::new();
/// let config = reload.source("config", async || Ok(("Ada", 80))).await?;
/// let port = config.select(|config| &config.1);
/// assert_eq!(port.get(), 80);
///
/// let url = reload.derive("url", port, async |port| Ok(format!("http://[::1]:{port}/"))).await?;
/// assert_eq!(*url.load(), "http://[::1]:80/");
/// # Ok(())
/// # }
/// ```
pub struct Selection<T: Send + Sync + 'static, U: 'static> {
    pub(crate) live: Live<T>,
    /// `Some` until the drop.
    part: Option<Arc<dyn Part<T, U>>>,
}

/// Access to the part of a value.
pub(super) trait Part<T, U>: Send + Sync {
    fn get(&self, value: &T) -> U;
    fn is(&self, value: &T, part: &U) -> bool;
}

/// A part that is borrowed from the value, and compared without a copy.
pub(super) struct Borrowed<F>(pub(super) F);

impl<T, U: Clone + PartialEq, F: Fn(&T) -> &U + Send + Sync> Part<T, U> for Borrowed<F> {
    fn get(&self, value: &T) -> U {
        (self.0)(value).clone()
    }

    fn is(&self, value: &T, part: &U) -> bool {
        (self.0)(value) == part
    }
}

/// A part that is computed.
pub(super) struct Computed<F>(pub(super) F);

impl<T, U: PartialEq, F: Fn(&T) -> U + Send + Sync> Part<T, U> for Computed<F> {
    fn get(&self, value: &T) -> U {
        (self.0)(value)
    }

    fn is(&self, value: &T, part: &U) -> bool {
        (self.0)(value) == *part
    }
}

impl<T: Send + Sync + 'static, U> Selection<T, U> {
    pub(super) fn new(live: &Live<T>, part: impl Part<T, U> + 'static) -> Self {
        Self {
            live: live.clone(),
            part: Some(Arc::new(part)),
        }
    }

    fn part(&self) -> &dyn Part<T, U> {
        self.part.as_deref().expect("it is there until the drop")
    }

    /// The part of `value`.
    pub(crate) fn of(&self, value: &T) -> U {
        self.part().get(value)
    }

    /// Returns `true` if the part of `value` is equal to `part`.
    pub(crate) fn is(&self, value: &T, part: &U) -> bool {
        self.part().is(value, part)
    }

    /// The part of the current value.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::Error> {
    /// # let mut reload = rekindle::Manager::new();
    /// let pair = reload.source("pair", async || Ok((1, "one"))).await?;
    /// assert_eq!(pair.select(|pair| &pair.1).get(), "one");
    /// # Ok(())
    /// # }
    /// ```
    pub fn get(&self) -> U {
        self.part().get(&self.live.load())
    }
}

impl<T: Send + Sync + 'static, U> Clone for Selection<T, U> {
    fn clone(&self) -> Self {
        Self {
            live: self.live.clone(),
            part: self.part.clone(),
        }
    }
}

impl<T: Send + Sync + 'static, U> Drop for Selection<T, U> {
    fn drop(&mut self) {
        drop_quietly(self.live.name(), self.part.take());
    }
}

impl<T: Send + Sync + 'static, U> fmt::Debug for Selection<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Selection").field(&self.live.name()).finish()
    }
}
