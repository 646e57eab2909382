//! What `each` gives: options first, then `.await`.

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

/// A collection in the making: what [`Manager::each`] gives.
///
/// `.await` builds the first values and gives the [`Live`] handle of the collection, whose value is a
/// [`Keyed`].
///
/// A key whose setting changed has two values for a while: the new one is built before the old one
/// ends. So of something exclusive, such as a port, the setting has to be what never changes, and what
/// does change belongs into another component.
///
/// The values hold their settings, not the inputs of the collection: those may be retired while values
/// that were left alone go on. What a value needs for as long as it lives, it keeps itself.
///
/// Listeners are the example: one for each address, each of which runs. An address that stays the same
/// keeps its socket. [`Component::runs`] says what it takes to lose no connection.
///
/// # Errors
///
/// As for [`Component`]. The build of a value that fails, panics or takes too long is named by
/// the collection and its key, in which control characters are escaped.
///
/// # Cancel safety
///
/// Dropping the future ends the builds, those that wait a moment later; the collection is not added.
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
/// /// What `axum::serve` takes: a listener that ends before the connections are told to end.
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

    /// How long the build of one value may take (default: [`Manager::timeout`]); changed and added
    /// ones are built concurrently. Past it the build is dropped, and the reload is refused, which
    /// names the key. The function that tells the settings has as long, too, and so has the comparison
    /// of all of them with those before.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How each value ends whose key is gone or whose setting changed, and at the end of the run all of
    /// them. As [`Component::retire`]; those of one collection are retired side by side.
    pub fn retire<F, Fut>(mut self, retire: F) -> Self
    where
        F: FnOnce(V) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Done> + Send + 'static,
    {
        self.retire = Some(erased(&self.home.name, retire));
        self
    }

    /// What each value does while it is current: a task for each key. As [`Component::runs`]; the
    /// tasks of keys that a reload leaves alone are left alone, too.
    pub fn runs<F, Fut>(mut self, run: F) -> Self
    where
        F: FnOnce(Lease<V>, CancellationToken) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Done> + Send + 'static,
    {
        self.runner = Some(Box::new(Many::<K, V, F>::new(&self.home.name, run)));
        self
    }

    /// What becomes of a task that ends though nobody told it to. As [`Component::on_exit`].
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
