//! Sources of values that are read from outside: the [`Source`] trait.

use std::future::Future;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::LazyLock;

use crate::notify::DynNotifier;
use crate::stateless::Stateless;
use crate::{BoxError, Built, Notifier, Trigger};

/// Reads a value from outside: a file, a key in a store, the environment.
///
/// [`file::json`](crate::file) and its siblings are sources, and so is every closure of the form
/// `async || Ok(value)`. A closure has no [`Stamp`], so its value counts as changed in every reload. It
/// is cloned for each call, so it cannot change what it captured. Keep state that lasts from one read to
/// the next, such as an ETag or a connection, in an `Arc`, or in a type of your own.
///
/// ```
/// use rekindle::{BoxError, Reading, Source, Stamp};
///
/// /// Reads a name from the environment.
/// struct Name;
///
/// impl Source for Name {
///     type Value = String;
///
///     async fn read(&self, committed: Option<Stamp>) -> Result<Reading<String>, BoxError> {
///         let name = std::env::var("HOME")?;
///         let stamp = Stamp::of(name.as_bytes());
///         if committed == Some(stamp) {
///             return Ok(Reading::Unchanged);
///         }
///         Ok(Reading::Stamped(name, stamp))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a source",
    label = "not a source",
    note = "implement `Source`, use `file::json(path)`, or pass `async || Ok(value)`; what a closure captures must be `Clone + Send + Sync + 'static`",
    note = "a closure is called again and again, so it must not change what it captured, nor move it out: clone it there; to keep state between calls, capture an `Arc<Mutex<_>>` or an atomic in an `Arc`, or implement `Source` for a type of your own"
)]
pub trait Source: Send + Sync + 'static {
    /// The value that it reads.
    type Value: Send + Sync + 'static;

    /// Reads the value. `committed` is the stamp of the live value, if it has one. A source that would
    /// read the same value again returns [`Reading::Unchanged`].
    ///
    /// # Errors
    ///
    /// An error rejects the reload.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when its deadline has passed, or when something else rejects the reload.
    /// The next reload calls `read` again.
    fn read(
        &self,
        committed: Option<Stamp>,
    ) -> impl Future<Output = Result<Reading<Self::Value>, BoxError>> + Send;

    /// Starts watching, and returns the notifier that reports the changes, or `None` if the source does
    /// not watch. Called once, before the first [`read`](Self::read), so that no change after that read
    /// is missed.
    ///
    /// # Errors
    ///
    /// An error ends the start-up.
    ///
    /// ```
    /// use rekindle::{BoxError, Notifier, Reading, Source, Stamp, Watch};
    /// use tokio::sync::mpsc;
    ///
    /// struct Limit {
    ///     changes: Option<mpsc::Receiver<&'static str>>,
    /// }
    ///
    /// impl Source for Limit {
    ///     type Value = u32;
    ///
    ///     async fn read(&self, _: Option<Stamp>) -> Result<Reading<u32>, BoxError> {
    ///         Ok(Reading::Value(10))
    ///     }
    ///
    ///     fn watch(&mut self) -> Result<Option<Watch>, BoxError> {
    ///         Ok(self.changes.take().map(Watch::new))
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// # let (sender, receiver) = mpsc::channel(1);
    /// # sender.send("etcd").await?;
    /// let mut source = Limit { changes: Some(receiver) };
    /// let mut watch = source.watch()?.expect("this source watches");
    /// assert_eq!(watch.notify().await?.as_str(), "etcd");
    /// # Ok(())
    /// # }
    /// ```
    fn watch(&mut self) -> Result<Option<Watch>, BoxError> {
        Ok(None)
    }
}

/// A closure that keeps no state between calls (`AsyncFn() -> Result<T, BoxError>`).
impl<F, Fut> Source for F
where
    F: FnOnce() -> Fut + Stateless<()> + Clone + Send + Sync + 'static,
    Fut: Future<Output: Built> + Send,
{
    type Value = <Fut::Output as Built>::Value;

    async fn read(&self, _: Option<Stamp>) -> Result<Reading<Self::Value>, BoxError> {
        self.clone()().await.into_result().map(Reading::Value)
    }
}

/// The result of reading a [`Source`].
///
/// ```
/// use rekindle::{Reading, Stamp};
///
/// fn reading(text: String, committed: Option<Stamp>) -> Reading<String> {
///     let stamp = Stamp::of(text.as_bytes());
///     match committed == Some(stamp) {
///         true => Reading::Unchanged,
///         false => Reading::Stamped(text, stamp),
///     }
/// }
///
/// let live = Stamp::of(b"port = 1");
/// assert!(matches!(reading("port = 1".into(), Some(live)), Reading::Unchanged));
/// assert!(matches!(reading("port = 2".into(), Some(live)), Reading::Stamped(..)));
/// ```
#[derive(Clone, Debug)]
pub enum Reading<T> {
    /// The source would read the live value again.
    Unchanged,
    /// A value that counts as changed.
    Value(T),
    /// A value, and the stamp by which it is recognized.
    Stamped(T, Stamp),
}

/// A digest of what was read, which identifies one reading of a source.
///
/// It has 128 bits and is keyed anew in each process, so that an attacker cannot prepare two texts with
/// one digest. It lives in the slot of the value, so a stamp is live exactly when its value is.
///
/// ```
/// use rekindle::Stamp;
///
/// assert_eq!(Stamp::of(b"port = 1"), Stamp::of(b"port = 1"));
/// assert_ne!(Stamp::of(b"port = 1"), Stamp::of(b"port = 2"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Stamp(u64, u64);

impl Stamp {
    /// The stamp of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::of_value(bytes)
    }

    /// The stamp of a value that is made of stamps.
    pub(crate) fn of_value(value: &(impl Hash + ?Sized)) -> Self {
        // Two keys make two independent halves.
        static KEYS: LazyLock<[RandomState; 2]> =
            LazyLock::new(|| [RandomState::new(), RandomState::new()]);
        Self(KEYS[0].hash_one(value), KEYS[1].hash_one(value))
    }
}

/// The notifier of a source that watches what it reads, as [`Source::watch`] returns it.
///
/// The manager drives it. It is a [`Notifier`] itself, so that a source can be tested, or used, without
/// a manager.
///
/// ```
/// use rekindle::{Notifier, Watch};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// let (sender, receiver) = tokio::sync::mpsc::channel(1);
/// let mut watch = Watch::new(receiver);
/// assert_eq!(watch.name(), "channel");
///
/// sender.send("etcd").await?;
/// assert_eq!(watch.notify().await?.as_str(), "etcd");
/// # Ok(())
/// # }
/// ```
pub struct Watch(pub(crate) Box<dyn DynNotifier>);

impl Watch {
    /// Wraps a notifier.
    pub fn new(notifier: impl Notifier) -> Self {
        Self(Box::new(notifier))
    }
}

impl Notifier for Watch {
    async fn notify(&mut self) -> Result<Trigger, BoxError> {
        self.0.notify().await
    }

    fn name(&self) -> String {
        self.0.name()
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Watch").field(&self.0.name()).finish()
    }
}
