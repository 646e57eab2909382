//! Live values: handles that always read the current generation.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

mod draft;
mod generation;
mod guard;
mod keyed;
mod pinned;
mod publication;
mod reader;
mod reaper;
mod select;
mod slot;
mod snapshot;

pub(crate) use draft::{Draft, DraftCell};
pub(crate) use generation::Generation;
pub use guard::{Guard, Lease};
pub use keyed::Keyed;
pub(crate) use keyed::members;
pub(crate) use pinned::{Generations, Pinned};
pub(crate) use publication::Publication;
pub use reader::Reader;
pub(crate) use reaper::{Arrival, Reaper, Remains, Retire, RetireFn, ToRetire};
pub use select::Selection;
pub(crate) use slot::{AnySlot, ErasedSlot, Home, Inputs, Origin, Part, Slot};
pub use snapshot::Snapshot;

/// The handle of a component, which reads its current value from anywhere, at any time.
///
/// Cloning is cheap. Choose how to hold a value by its use:
///
/// | for | use | it holds |
/// |---|---|---|
/// | a request | [`load`](Self::load) | its whole generation |
/// | a stream, a websocket | [`lease`](Self::lease) | this value |
/// | several values that belong together | [`snapshot`](Self::snapshot) | one generation |
/// | a hot loop, waiting for changes | [`reader`](Self::reader) | this value, until the next look |
/// | an input of another component | the handle itself, [`select`](Self::select), [`map`](Self::map) | this value, or nothing |
///
/// # Consistency
///
/// One publication per reload changes all components at once. Once a read has returned a
/// generation, no later read by a thread that learned of it returns an older one. Reads never wait
/// for application code. Two `load()`s may fall on both sides of a reload; a [`Snapshot`] cannot.
///
/// # The end
///
/// The value stays readable after [`Manager::run`](crate::Manager::run) has returned, until the
/// last handle is dropped. The exception is a component that is [retired](crate::Component::retire)
/// or [run](crate::Component::runs), or built from one that is: it is closed when the app has
/// returned, because its last value could not be retired while handles can read it. Reading it
/// after that panics. A [`Guard`] or [`Lease`] taken before stays readable.
///
/// A handle keeps all values alive. Do not keep a `Live`, a [`Guard`], a [`Snapshot`], a
/// [`Reader`], a [`Selection`] or a [`Handle`](crate::Handle) inside a component's value, which
/// would then keep itself alive. A build gets [`Lease`]s of its inputs, and may keep those.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// # let mut reload = rekindle::Manager::new();
/// let number = reload.source("number", async || Ok(20)).await?;
/// let double = reload.derive("double", &number, async |n| Ok(*n * 2)).await?;
///
/// assert_eq!(double.name(), "double");
/// assert_eq!(*double.load(), 40);
/// assert_eq!(*double.reader().get(), 40);
///
/// let lease = double.lease();
/// tokio::spawn(async move { assert_eq!(*lease, 40) }).await?;
///
/// let now = number.snapshot();
/// assert_eq!(now.get(&number) * 2, *now.get(&double));
/// # Ok(())
/// # }
/// ```
pub struct Live<T: Send + Sync + 'static> {
    pub(crate) publication: Arc<Publication>,
    home: Arc<Home>,
    /// The index in `home`, copied here for fast reads.
    pub(crate) index: usize,
    value: PhantomData<fn() -> T>,
}

impl<T: Send + Sync + 'static> Live<T> {
    pub(crate) fn new(publication: &Arc<Publication>, home: &Arc<Home>) -> Self {
        Self {
            publication: Arc::clone(publication),
            home: Arc::clone(home),
            index: home.index,
            value: PhantomData,
        }
    }

    /// The name under which the component was added.
    pub fn name(&self) -> &str {
        &self.home.name
    }

    pub(crate) fn home(&self) -> &Arc<Home> {
        &self.home
    }

    /// The current value, for the length of a request. See [`Guard`].
    ///
    /// Takes some nanoseconds, on any number of threads.
    ///
    /// # Panics
    ///
    /// Reading the guard panics if the component was closed, at the [end](Self#the-end) of the run,
    /// before the guard was taken.
    pub fn load(&self) -> Guard<T> {
        Guard::new(self.publication.load(), self.index)
    }

    /// The current value, for as long as needed. See [`Lease`].
    ///
    /// Costs more than [`load`](Self::load), because all threads share one reference count.
    ///
    /// # Panics
    ///
    /// If the component was closed at the [end](Self#the-end) of the run.
    pub fn lease(&self) -> Lease<T> {
        Lease::new(Slot::share(self.publication.load().slot(self.index)))
    }

    /// A cached handle for a hot loop, or to wait for changes. See [`Reader`].
    ///
    /// # Panics
    ///
    /// If the component has a [`retire`](crate::Component::retire), because an idle reader would
    /// hold up the retirement for ever. Also if the component was closed at the [end](Self#the-end)
    /// of the run.
    pub fn reader(&self) -> Reader<T> {
        Reader::new(self.clone())
    }

    /// Returns `true` if the component was closed at the end of the run.
    fn is_closed(&self) -> bool {
        Slot::<T>::is_closed(self.publication.load().slot(self.index))
    }

    /// The current generation, for reading several values that belong together. See [`Snapshot`].
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.publication)
    }

    /// A part of the value, as an input: `config.select(|c| &c.printer)`.
    ///
    /// A component that depends on the part is rebuilt only when the part changed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::Error> {
    /// # let mut reload = rekindle::Manager::new();
    /// struct Config { name: String, port: u16 }
    ///
    /// let config = reload
    ///     .source("config", async || Ok(Config { name: "Ada".into(), port: 80 }))
    ///     .await?;
    /// let greeting = reload
    ///     .derive("greeting", config.select(|c| &c.name), async |name| Ok(format!("Hi {name}")))
    ///     .await?;
    /// assert_eq!(*greeting.load(), "Hi Ada");
    /// # assert_eq!(config.load().port, 80);
    /// # Ok(())
    /// # }
    /// ```
    pub fn select<U, F>(&self, part: F) -> Selection<T, U>
    where
        U: Clone + PartialEq + Send + Sync + 'static,
        F: Fn(&T) -> &U + Send + Sync + 'static,
    {
        Selection::new(self, select::Borrowed(part))
    }

    /// A value computed from this one, as an input: `config.map(|c| (c.host, c.port))`.
    ///
    /// Like [`select`](Self::select), for a part that cannot be borrowed from the value. The
    /// function runs whenever the value changed, so keep it cheap.
    ///
    /// ```
    /// use std::net::SocketAddr;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// # let mut reload = rekindle::Manager::new();
    /// # struct Config { host: String, port: u16 }
    /// # let read = async || Ok(Config { host: "127.0.0.1".into(), port: 80 });
    /// let config = reload.source("config", read).await?;
    /// let address = config.map(|c| format!("{}:{}", c.host, c.port));
    /// let address = reload
    ///     .derive("address", address, async |text| Ok(text.parse::<SocketAddr>()?))
    ///     .await?;
    /// assert_eq!(address.load().port(), 80);
    /// # Ok(())
    /// # }
    /// ```
    pub fn map<U, F>(&self, compute: F) -> Selection<T, U>
    where
        U: Clone + PartialEq + Send + Sync + 'static,
        F: Fn(&T) -> U + Send + Sync + 'static,
    {
        Selection::new(self, select::Computed(compute))
    }
}

impl<T: Send + Sync + 'static> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self::new(&self.publication, &self.home)
    }
}

impl<T: Send + Sync + 'static> fmt::Debug for Live<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Live").field(&self.name()).finish()
    }
}
