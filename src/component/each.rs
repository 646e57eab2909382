//! What `each` gives: options first, then `.await`.

use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::builder::{Component, Make, Wiring, erased};
use super::inputs::Inputs;
use super::runner::OnExit;
use crate::live::{Keyed, Lease, Live};
use crate::manager::Manager;
use crate::{Built, Done, Error};

mod members;

use members::{Collection, Many, Members};

/// How much longer than each of its members a collection may take, so that the member is named.
const SLACK: Duration = Duration::from_secs(1);

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
/// keeps its socket.
///
/// # Errors
///
/// As for [`Component`]. The build of a value that fails, panics or takes too long is named by
/// the collection and its key.
///
/// # Cancel safety
///
/// Dropping the future drops the builds; the collection is not added.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::net::SocketAddr;
/// use std::time::Duration;
/// use rekindle::{Lease, OnExit};
/// use tokio::net::TcpListener;
/// use tokio_util::sync::CancellationToken;
///
/// async fn serve(listener: Lease<TcpListener>, stop: CancellationToken) {
///     while let Some(Ok((_connection, _peer))) = stop.run_until_cancelled(listener.accept()).await {
///         // A task for each connection.
///     }
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
///         async |address, ()| Ok(TcpListener::bind(address).await?),
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
    component: Component<'m, Keyed<K, V>>,
    members: Arc<Members>,
}

impl<'m, K, V> Each<'m, K, V>
where
    K: Ord + Clone + fmt::Display + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    pub(crate) fn new<I, F, S, G, Fut>(
        manager: &'m mut Manager,
        name: Arc<str>,
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
        let home = manager.home(&name);
        let members = Arc::new(Members {
            name,
            index: home.index,
            publication: home.publication.clone(),
            reaper: home.reaper.clone(),
            ledger: Arc::clone(manager.ledger()),
            retire: OnceLock::new(),
            timeout: Mutex::default(),
        });
        let collection = Collection {
            home: Arc::clone(&home),
            members: Arc::clone(&members),
            inputs,
            settings,
            build,
            keys: PhantomData,
        };
        let make: Make = Box::new(move || Ok((Box::new(collection), None)));
        let timeout = manager.default_timeout();
        let each = Self {
            component: Component::new(manager, home, wiring, make),
            members,
        };
        each.timeout(timeout)
    }

    /// How long the build of one value may take (default: [`Manager::timeout`]); changed and added
    /// ones are built concurrently. Past it the build is dropped, and the reload is refused, which
    /// names the key.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.members.set_timeout(timeout);
        self.component = self.component.timeout(timeout.saturating_add(SLACK));
        self
    }

    /// How each value ends whose key is gone or whose setting changed, and at the end of the run all of
    /// them. As [`Component::retire`]; those of one collection are retired side by side.
    pub fn retire<F, Fut>(mut self, retire: F) -> Self
    where
        F: FnOnce(V) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Done> + Send + 'static,
    {
        // Given twice, the first counts.
        _ = self.members.retire.set(erased(retire));
        self.component.drains = true;
        self
    }

    /// What each value does while it is current: a task for each key. As [`Component::runs`]; the
    /// tasks of keys that a reload leaves alone are left alone, too.
    pub fn runs<F, Fut>(mut self, run: F) -> Self
    where
        F: FnOnce(Lease<V>, CancellationToken) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Done> + Send + 'static,
    {
        self.component.runner = Some(Box::new(Many::<K, V, F>::new(run)));
        self.component.drains = true;
        self
    }

    /// What becomes of a task that ends though nobody told it to. As [`Component::on_exit`].
    pub fn on_exit(mut self, on_exit: OnExit) -> Self {
        self.component = self.component.on_exit(on_exit);
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
        self.component.into_future()
    }
}

impl<K, V: Send + Sync + 'static> fmt::Debug for Each<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Each").field(&self.members.name).finish()
    }
}
