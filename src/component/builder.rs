//! The builders of components: options first, then `.await`.

use std::any::Any;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::graph::{Build, Derived, Fresh, FromSource, Node};
use super::inputs::{Bound, Inputs};
use super::pin::Pinned;
use super::runner::{OnExit, One, Runner, Runs};
use super::source::{Source, Watch};
use crate::crew::{Kind, run_alone};
use crate::live::{Draft, DraftCell, Home, Lease, Live, Retire, RetireFn, Selection};
use crate::manager::Manager;
use crate::panic::{Quiet, catch};
use crate::{BoxError, Built, Done, Error, inside};

pub(super) type Boxed<'m, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'm>>;
pub(super) type Make =
    Box<dyn FnOnce() -> Result<(Box<dyn Build>, Option<Watch>), BoxError> + Send>;

/// A component in the making, as [`Manager::source`], [`Manager::derive`] and [`Manager::pin`] return
/// it.
///
/// Options come first: the end of its values ([`retire`](Self::retire)), their task while they are
/// current ([`runs`](Self::runs)), the time limit of a build ([`timeout`](Self::timeout)). Then
/// `.await` builds the first value and returns its [`Live`] handle.
///
/// # Errors
///
/// [`Error`] names the component when its first build fails, panics or takes too long, when the name is
/// taken or has control characters, or when an input belongs to another manager. Components that were
/// built before are then dropped with the manager; [`Manager::abandon`] retires them.
///
/// # Cancel safety
///
/// Dropping the future drops the build, and the component is not added.
///
/// ```
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// # let mut reload = rekindle::Manager::new();
/// let text = reload.source("text", async || Ok("80")).timeout(Duration::from_secs(5)).await?;
/// let port = reload.derive("port", &text, async |text| Ok(text.parse::<u16>()?)).await?;
/// assert_eq!(*port.load(), 80);
///
/// // A failed build returns an error that names the component, which is not added.
/// let failed = reload.derive("level", &text, async |text| Ok(text.parse::<bool>()?)).await;
/// assert_eq!(failed.unwrap_err().to_string(), "component `level` could not be built");
/// assert_eq!(reload.handle().status().components(), 2);
/// # Ok(())
/// # }
/// ```
#[must_use = "a component is made by awaiting it: add `.await?`"]
pub struct Component<'m, T> {
    manager: &'m mut Manager,
    timeout: Duration,
    home: Arc<Home>,
    wiring: Wiring,
    make: Make,
    retire: Option<Arc<Retire>>,
    pub(super) runner: Option<Box<dyn Runner>>,
    on_exit: OnExit,
    /// `true` if its values, or their members, are retired or run.
    pub(super) drains: bool,
    value: PhantomData<fn() -> T>,
}

/// The components that the inputs read.
#[derive(Default)]
pub(super) struct Wiring {
    inputs: Vec<usize>,
    /// The name of the first input that belongs to another manager.
    foreign: Option<Arc<str>>,
}

impl Wiring {
    pub(super) fn of(manager: &Manager, bound: &impl Bound) -> Self {
        let mut wiring = Self::default();
        bound.visit(&mut |handle| {
            if !Arc::ptr_eq(handle.publication, manager.publication()) {
                wiring
                    .foreign
                    .get_or_insert_with(|| Arc::clone(handle.name));
            } else if !wiring.inputs.contains(&handle.index) {
                wiring.inputs.push(handle.index);
            }
        });
        wiring
    }

    pub(super) fn check(self, name: &Arc<str>) -> Result<Vec<usize>, Error> {
        match self.foreign {
            Some(foreign) => Err(Error::foreign_handle(name, &foreign)),
            None => Ok(self.inputs),
        }
    }
}

impl<'m, T: Send + Sync + 'static> Component<'m, T> {
    pub(crate) fn from_source<S: Source<Value = T>>(
        manager: &'m mut Manager,
        name: &Arc<str>,
        mut source: S,
    ) -> Self {
        let home = Arc::new(manager.home(name));
        let slots = Arc::clone(&home);
        let make: Make = Box::new(move || {
            let watch = source.watch()?;
            let home = slots;
            let source = Arc::new(Quiet::new(&home.name, source));
            Ok((Box::new(FromSource { home, source }), watch))
        });
        Self::new(manager, home, Wiring::default(), make)
    }

    pub(crate) fn derived<I, F, Fut>(
        manager: &'m mut Manager,
        name: &Arc<str>,
        inputs: &I,
        build: F,
    ) -> Self
    where
        I: Inputs,
        F: FnOnce(I::Values) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Built<Value = T>> + Send + 'static,
    {
        let inputs = inputs.bind();
        let wiring = Wiring::of(manager, &inputs);
        let home = Arc::new(manager.home(name));
        let derived = Derived {
            home: Arc::clone(&home),
            inputs,
            build: Quiet::new(name, build),
        };
        let make: Make = Box::new(move || Ok((Box::new(derived), None)));
        Self::new(manager, home, wiring, make)
    }

    /// A component that keeps its first value.
    pub(crate) fn pinned<U>(
        manager: &'m mut Manager,
        name: &Arc<str>,
        selection: Selection<U, T>,
    ) -> Self
    where
        U: Send + Sync + 'static,
        T: Clone + PartialEq,
    {
        let wiring = Wiring::of(manager, &selection);
        let home = Arc::new(manager.home(name));
        let pinned = Pinned {
            home: Arc::clone(&home),
            selection,
        };
        let make: Make = Box::new(move || Ok((Box::new(pinned), None)));
        Self::new(manager, home, wiring, make)
    }

    pub(super) fn new(
        manager: &'m mut Manager,
        home: Arc<Home>,
        wiring: Wiring,
        make: Make,
    ) -> Self {
        let timeout = manager.default_timeout();
        Self {
            manager,
            timeout,
            home,
            wiring,
            make,
            retire: None,
            runner: None,
            on_exit: OnExit::default(),
            drains: false,
            value: PhantomData,
        }
    }

    /// Sets the time limit of one build (default: [`Manager::timeout`]). A build that exceeds it is
    /// dropped, and the reload is rejected.
    ///
    /// ```
    /// use std::future::pending;
    /// use std::time::Duration;
    /// use rekindle::BoxError;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// # let mut reload = rekindle::Manager::new();
    /// let late = reload
    ///     .source("late", async || pending::<Result<u16, BoxError>>().await)
    ///     .timeout(Duration::from_millis(10))
    ///     .await;
    /// assert_eq!(late.unwrap_err().to_string(), "component `late` could not be built");
    /// # Ok(())
    /// # }
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the function that closes replaced values. `retire` gets each of them by move, exactly once,
    /// after the last [`Guard`](crate::Guard), [`Snapshot`](crate::Snapshot), [`Lease`](crate::Lease)
    /// and dependant has let go of it. By default the value is dropped then.
    ///
    /// It is for values that take time to close: a pool with connections, a buffer to be written. It
    /// runs outside of reloads, beside the app. Values that were built from this one are retired (or
    /// dropped) before it, each after the one before it has ended. Values that a rejected reload had
    /// prepared, or that a [check](crate::Handle::check) built, are retired too.
    ///
    /// At the end of [`Manager::run`], and by [`Manager::abandon`], the component is closed, together
    /// with what was built from it. The last values are retired, as far as that is done within the
    /// [shutdown timeout](Manager::shutdown_timeout), and reading the component after that panics. A
    /// value that is still held, or is not retired by then, is named in the error of the run, and
    /// dropped when its last holder lets go.
    ///
    /// A value that is held for longer than the [drain deadline](Manager::drain) is named in the log,
    /// in [`Status::draining`](crate::Status::draining) and in [reports](crate::Report::overdue). It is
    /// never taken away from a reader.
    ///
    /// Each call gets a fresh clone of the closure, so changes to its captures are lost with the call.
    ///
    /// # Errors
    ///
    /// An error or a panic of `retire` is logged, and what the value was built from is retired next all
    /// the same. The time it takes is limited only at the end of the run.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    ///
    /// static CLOSED: AtomicU32 = AtomicU32::new(0);
    ///
    /// struct Pool;
    ///
    /// impl Pool {
    ///     async fn close(self) {
    ///         CLOSED.fetch_add(1, Relaxed);
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// # let mut reload = rekindle::Manager::new();
    /// let url = reload.source("url", async || Ok("db://localhost")).await?;
    /// let pool = reload
    ///     .derive("pool", &url, async |_url| Ok(Pool))
    ///     .retire(async |old: Pool| old.close().await)
    ///     .await?;
    ///
    /// let handle = reload.handle();
    /// reload
    ///     .run(async move |_stop| {
    ///         handle.reload("example").await?;
    ///         Ok(())
    ///     })
    ///     .await?;
    /// assert_eq!(CLOSED.load(Relaxed), 2);
    /// # let _ = pool;
    /// # Ok(())
    /// # }
    /// ```
    pub fn retire<F, Fut>(mut self, retire: F) -> Self
    where
        F: FnOnce(T) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Done> + Send + 'static,
    {
        self.retire = Some(erased(&self.home.name, retire));
        self.drains = true;
        self
    }

    /// Sets the task that the value runs while it is current. The task starts at the commit, with a
    /// [`Lease`] of the value and a token that is cancelled when the task must stop.
    ///
    /// It is for work that is replaced as a whole: a consumer, a poller, the accept loop of a listener.
    /// A build prepares and starts nothing, so a rejected reload has started nothing. At the commit the
    /// new task starts and the token of the old one is cancelled. The two overlap: the old one has the
    /// [drain deadline](Manager::drain) to finish, after which it is dropped and named in the log. The
    /// first task starts with [`Manager::run`]. At the end the tokens are cancelled when the app has
    /// returned, and the tasks have until 80 % of the [shutdown timeout](Manager::shutdown_timeout).
    /// Then the component is closed, as with [`retire`](Self::retire).
    ///
    /// A task that ends by itself is logged, listed in [`Status::tasks`](crate::Status::tasks), and
    /// treated as [`on_exit`](Self::on_exit) says. An error or a panic counts as an end.
    ///
    /// A task that was replaced is the only holder of its value, unless the app holds it elsewhere. If
    /// the task drops its lease, it lets go of the value, so that a socket is closed while its
    /// connections still end.
    ///
    /// Each task gets a fresh clone of the closure, also one that is started again.
    ///
    /// # Listeners
    ///
    /// Two things can reset a connection when one task takes over from another. Closing a socket resets
    /// the connections that the kernel has accepted for it and the task has not, so the old task must
    /// take those first. And a graceful shutdown of a server closes a connection that has not sent a
    /// request yet, together with the request that is on its way: hyper does this, and `axum::serve`
    /// with it. So the task shuts an old connection down at once, and a new one after a moment for its
    /// first request. This is the loop; [`Each`](crate::Each) shows it for axum.
    ///
    /// ```
    /// use std::net::TcpListener;
    /// use rekindle::{BoxError, Lease};
    /// use tokio::net::TcpStream;
    /// use tokio::task::JoinSet;
    /// use tokio_util::sync::CancellationToken;
    ///
    /// async fn serve(listener: Lease<TcpListener>, stop: CancellationToken) -> Result<(), BoxError> {
    ///     // The second one shares the socket of the first, which does not block.
    ///     let accepting = tokio::net::TcpListener::from_std(listener.try_clone()?)?;
    ///     let mut connections = JoinSet::new();
    ///     // A connection that was accepted is never lost here: `accept` is cancel safe.
    ///     while let Some(accepted) = stop.run_until_cancelled(accepting.accept()).await {
    ///         connections.spawn(answer(accepted?.0, stop.clone()));
    ///         while connections.try_join_next().is_some() {}
    ///     }
    ///     // The kernel can have accepted connections that tokio has not seen yet.
    ///     while let Ok((stream, _)) = listener.accept() {
    ///         stream.set_nonblocking(true)?;
    ///         connections.spawn(answer(TcpStream::from_std(stream)?, stop.clone()));
    ///     }
    ///     drop((accepting, listener));
    ///     connections.join_all().await;
    ///     Ok(())
    /// }
    /// # async fn answer(_: TcpStream, _: CancellationToken) {}
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BoxError> {
    /// # let mut reload = rekindle::Manager::new();
    /// let listener = async || {
    ///     let listener = TcpListener::bind("127.0.0.1:0")?;
    ///     listener.set_nonblocking(true)?;
    ///     Ok(listener)
    /// };
    /// reload.source("listener", listener).runs(serve).await?;
    /// # reload.run(async |_stop| tokio::task::yield_now().await).await
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// The task is dropped at an `await` if it is late. It is never dropped before its token was
    /// cancelled and the deadline has passed, unless the future of [`Manager::run`] is dropped.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rekindle::Lease;
    /// use tokio::sync::mpsc;
    /// use tokio_util::sync::CancellationToken;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// # let mut reload = rekindle::Manager::new();
    /// let (beats, mut received) = mpsc::unbounded_channel();
    /// let heart = async move |every: Lease<Duration>, stop: CancellationToken| {
    ///     while !stop.is_cancelled() {
    ///         _ = beats.send(());
    ///         _ = tokio::time::timeout(*every, stop.cancelled()).await;
    ///     }
    /// };
    /// reload.source("heart", async || Ok(Duration::from_millis(10))).runs(heart).await?;
    /// reload
    ///     .run(async move |_stop| {
    ///         received.recv().await;
    ///         received.recv().await;
    ///     })
    ///     .await
    /// # }
    /// ```
    pub fn runs<F, Fut>(mut self, run: F) -> Self
    where
        F: FnOnce(Lease<T>, CancellationToken) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Done> + Send + 'static,
    {
        self.runner = Some(Box::new(One::new(&self.home.name, run)));
        self.drains = true;
        self
    }

    /// Sets the reaction to a [task](Self::runs) that ends before its token is cancelled (default:
    /// [`OnExit::Restart`]). It has no effect without a task.
    ///
    /// ```
    /// use rekindle::OnExit;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// # let mut reload = rekindle::Manager::new();
    /// let cache = reload.source("cache", async || Ok("a cache"));
    /// cache.runs(async |_, _| println!("warmed up")).on_exit(OnExit::Leave).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_exit(mut self, on_exit: OnExit) -> Self {
        self.on_exit = on_exit;
        self
    }

    async fn build(self) -> Result<Live<T>, Error> {
        let Self {
            manager,
            timeout,
            home,
            wiring,
            make,
            retire,
            runner,
            on_exit,
            drains,
            ..
        } = self;
        let name = Arc::clone(&home.name);
        let inputs = wiring.check(&name)?;
        manager.check_name(&name)?;
        if let Some(retire) = retire {
            _ = home.retire.set(Arc::downgrade(&retire));
            manager.keep(retire);
        }
        let entry = manager.ledger().add(Kind::Component, &name, timeout);
        let failed = |error| Error::start("component", &name, error);
        let (build, watch) = catch(make)
            .and_then(|made| made.map_err(|error| entry.failed(error)))
            .map_err(failed)?;
        let draft = DraftCell::new(Draft::on(manager.publication()));
        let first = run_alone(&entry, || build.start(&draft));
        let first = inside::scope(manager.id(), first).await.map_err(failed)?;
        let (Fresh::Slot(slot) | Fresh::Collection(slot, _)) = first else {
            unreachable!("a first build has nothing to be unchanged from");
        };
        let index = manager.publication().add(&slot);
        let runs = runner.map(|runner| Runs { runner, on_exit });
        manager
            .graph()
            .add_node(Node::new(&entry, inputs, build, drains, runs));
        manager.claim_name(&name);
        if let Some(Watch(notifier)) = watch {
            manager.attend(notifier);
        }
        debug_assert_eq!(index, home.index);
        Ok(Live::new(manager.publication(), &home))
    }
}

/// Erases the type of the value from the function.
pub(super) fn erased<T, F, Fut>(name: &Arc<str>, retire: F) -> Arc<Retire>
where
    T: Send + Sync + 'static,
    F: FnOnce(T) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output: Done> + Send + 'static,
{
    let retire: Box<RetireFn> = Box::new(move |value: Box<dyn Any + Send>| {
        let value = value
            .downcast()
            .expect("a slot has the type of its component");
        let future = retire.clone()(*value);
        Box::pin(async move { future.await.into_result() })
    });
    Arc::new(Quiet::new(name, retire))
}

impl<'m, T: Send + Sync + 'static> IntoFuture for Component<'m, T> {
    type Output = Result<Live<T>, Error>;
    type IntoFuture = Boxed<'m, Live<T>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.build())
    }
}

impl<T> fmt::Debug for Component<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Component").field(&self.home.name).finish()
    }
}
