//! The builder of collections: options first, then `.await`.

use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::builder::{Component, Make, Wiring, erased};
use super::graph::Build;
use super::inputs::Inputs;
use super::runner::{OnExit, Runner};
use crate::crew::CENTURY;
use crate::live::{self, Home, Keyed, Lease, Live, Part, Retire};
use crate::manager::Manager;
use crate::panic::Quiet;
use crate::{Built, Done, Error};

mod members;

use members::{Collection, Many, Members};

/// A collection in the making, as [`Manager::each`] returns it.
///
/// `.await` builds the first values and returns the [`Live`] handle of the collection, whose value is a
/// [`Keyed`].
///
/// A key whose setting changed has two values for a while: the new one is built before the old one
/// ends. For an exclusive resource, such as a port, make the port the key and keep what changes in
/// another component.
///
/// The values keep their settings, but not the inputs of the collection, which can be retired while
/// unchanged values go on. A value must itself hold what it needs for as long as it lives.
///
/// Listeners are the example: one for each address, each with a task. An address that stays the same
/// keeps its socket. [`Component::runs`] explains how to lose no connection.
///
/// # Errors
///
/// As for [`Component`]. If the build of a value fails, panics or takes too long, the error names the
/// collection and the key, in which control characters are escaped.
///
/// # Cancel safety
///
/// Dropping the future drops the builds, and those in tasks end a moment later. The collection is not
/// added.
///
/// ```
/// # mod axum {
/// #     pub struct Router;
/// #     impl Router { pub fn new() -> Self { Self } }
/// #     pub struct Serve<L>(L);
/// #     pub fn serve<L: serve::Listener>(listener: L, _: Router) -> Serve<L> { Serve(listener) }
/// #     impl<L: serve::Listener> Serve<L> {
/// #         pub async fn with_graceful_shutdown<F: Future<Output = ()>>(mut self, end: F) -> std::io::Result<()> {
/// #             _ = self.0.local_addr()?;
/// #             let accept = async { loop { _ = self.0.accept().await; } };
/// #             tokio::select! { () = end => Ok(()), () = accept => Ok(()) }
/// #         }
/// #     }
/// #     pub mod serve {
/// #         pub trait Listener: Send + 'static {
/// #             type Io; type Addr;
/// #             fn accept(&mut self) -> impl Future<Output = (Self::Io, Self::Addr)> + Send;
/// #             fn local_addr(&self) -> std::io::Result<Self::Addr>;
/// #         }
/// #     }
/// # }
/// use std::collections::BTreeMap;
/// use std::future::pending;
/// use std::io;
/// use std::net::{SocketAddr, TcpListener};
/// use std::time::Duration;
/// use axum::Router;
/// use rekindle::{BoxError, Lease, OnExit};
/// use tokio::net::TcpStream;
/// use tokio::time::sleep;
/// use tokio_util::sync::CancellationToken;
///
/// /// A listener for `axum::serve` that ends before its connections are shut down.
/// struct Leased {
///     /// `None` when nothing more is accepted. The second one shares the socket of the first.
///     listener: Option<(Lease<TcpListener>, tokio::net::TcpListener)>,
///     address: SocketAddr,
///     stop: CancellationToken,
/// }
///
/// impl Leased {
///     fn new(listener: Lease<TcpListener>, stop: CancellationToken) -> io::Result<Self> {
///         let accepting = tokio::net::TcpListener::from_std(listener.try_clone()?)?;
///         let address = listener.local_addr()?;
///         Ok(Self { listener: Some((listener, accepting)), address, stop })
///     }
/// }
///
/// impl axum::serve::Listener for Leased {
///     type Io = TcpStream;
///     type Addr = SocketAddr;
///
///     async fn accept(&mut self) -> (TcpStream, SocketAddr) {
///         while let Some((listener, accepting)) = &self.listener {
///             match self.stop.run_until_cancelled(accepting.accept()).await {
///                 Some(Ok(accepted)) => return accepted,
///                 Some(Err(_)) => sleep(Duration::from_millis(100)).await,
///                 None => match waiting(listener) {
///                     Ok(accepted) => return accepted,
///                     Err(_) => self.listener = None,
///                 },
///             }
///         }
///         pending().await
///     }
///
///     fn local_addr(&self) -> io::Result<SocketAddr> {
///         Ok(self.address)
///     }
/// }
///
/// /// A connection that the kernel has accepted already.
/// fn waiting(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
///     let (stream, peer) = listener.accept()?;
///     stream.set_nonblocking(true)?;
///     Ok((TcpStream::from_std(stream)?, peer))
/// }
///
/// async fn serve(listener: Lease<TcpListener>, stop: CancellationToken) -> Result<(), BoxError> {
///     let leased = Leased::new(listener, stop.clone())?;
///     let end = async move {
///         stop.cancelled().await;
///         // For the first requests on new connections.
///         sleep(Duration::from_secs(1)).await;
///     };
///     Ok(axum::serve(leased, Router::new()).with_graceful_shutdown(end).await?)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// # let mut reload = rekindle::Manager::new();
/// let addresses = reload.source("addresses", async || Ok(vec!["127.0.0.1:0".parse::<SocketAddr>()?]));
/// let addresses = addresses.await?;
/// let listeners = reload
///     .each(
///         "listeners",
///         &addresses,
///         |addresses| addresses.iter().map(|address| (*address, ())).collect::<BTreeMap<_, _>>(),
///         async |address, ()| {
///             let listener = TcpListener::bind(address)?;
///             listener.set_nonblocking(true)?;
///             Ok(listener)
///         },
///     )
///     .timeout(Duration::from_secs(5))
///     .runs(serve)
///     .on_exit(OnExit::Stop)
///     .retire(async |listener: TcpListener| println!("closes {:?}", listener.local_addr()))
///     .await?;
/// assert_eq!(listeners.load().len(), 1);
/// # Ok(())
/// # }
/// ```
#[must_use = "a collection is made by awaiting it: add `.await?`"]
pub struct Each<'m, K, V: Send + Sync + 'static> {
    manager: &'m mut Manager,
    home: Arc<Home>,
    wiring: Wiring,
    make: Box<dyn FnOnce(Members) -> Box<dyn Build> + Send>,
    timeout: Duration,
    retire: Option<Arc<Retire>>,
    runner: Option<Box<dyn Runner>>,
    on_exit: OnExit,
    values: PhantomData<fn() -> Keyed<K, V>>,
}

impl<'m, K, V> Each<'m, K, V>
where
    K: Ord + Clone + fmt::Display + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    pub(crate) fn new<I, F, S, G, Fut>(
        manager: &'m mut Manager,
        name: &Arc<str>,
        inputs: &I,
        settings: F,
        build: G,
    ) -> Self
    where
        I: Inputs,
        F: FnOnce(I::Values) -> BTreeMap<K, S> + Clone + Send + Sync + 'static,
        S: PartialEq + Clone + Send + Sync + 'static,
        G: FnOnce(K, S) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Built<Value = V>> + Send + 'static,
    {
        let inputs = inputs.bind();
        let wiring = Wiring::of(manager, &inputs);
        let home = Arc::new(Home {
            part: Some(Box::new(Part::Whole(live::members::<K, V>))),
            ..manager.home(name)
        });
        let (settings, build) = (Quiet::new(name, settings), Quiet::new(name, build));
        Self {
            timeout: manager.default_timeout(),
            manager,
            wiring,
            make: Box::new(|members| {
                Box::new(Collection {
                    members: Arc::new(members),
                    inputs,
                    settings,
                    build,
                    keys: PhantomData,
                })
            }),
            home,
            retire: None,
            runner: None,
            on_exit: OnExit::default(),
            values: PhantomData,
        }
    }

    /// Sets the time limit for the build of one value (default: [`Manager::timeout`]). Changed and
    /// added values are built concurrently. A build that exceeds the limit is dropped, and the reload
    /// is rejected with the key named. The function that returns the settings has the same limit, and
    /// so has the comparison of all settings with those before.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the function that closes each value whose key is gone or whose setting changed, and all
    /// values at the end of the run. Works as [`Component::retire`]; the values of one collection are
    /// retired side by side.
    pub fn retire<F, Fut>(mut self, retire: F) -> Self
    where
        F: FnOnce(V) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Done> + Send + 'static,
    {
        self.retire = Some(erased(&self.home.name, retire));
        self
    }

    /// Sets the task that each value runs while it is current, one for each key. Works as
    /// [`Component::runs`]; a reload leaves the tasks of unchanged keys alone.
    pub fn runs<F, Fut>(mut self, run: F) -> Self
    where
        F: FnOnce(Lease<V>, CancellationToken) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Done> + Send + 'static,
    {
        self.runner = Some(Box::new(Many::<K, V, F>::new(&self.home.name, run)));
        self
    }

    /// Sets the reaction to a task that ends before its token is cancelled. Works as
    /// [`Component::on_exit`].
    pub fn on_exit(mut self, on_exit: OnExit) -> Self {
        self.on_exit = on_exit;
        self
    }
}

impl<'m, K, V> IntoFuture for Each<'m, K, V>
where
    K: Ord + Clone + fmt::Display + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    type Output = Result<Live<Keyed<K, V>>, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'm>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self {
            manager,
            home,
            wiring,
            make,
            timeout,
            retire,
            runner,
            on_exit,
            ..
        } = self;
        let members = Members::new(&home, manager.ledger(), retire.as_ref(), timeout);
        let drains = retire.is_some() || runner.is_some();
        // Values of members are retired, and not those of the collection.
        retire.into_iter().for_each(|retire| manager.keep(retire));
        let make: Make = Box::new(|| Ok((make(members), None)));
        let mut component = Component::new(manager, home, wiring, make).timeout(CENTURY);
        component.runner = runner;
        component.drains = drains;
        component.on_exit(on_exit).into_future()
    }
}

impl<K, V: Send + Sync + 'static> fmt::Debug for Each<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Each").field(&self.home.name).finish()
    }
}
