//! Builds collections: a key with the same setting keeps its value, the others are built concurrently.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as StdError;
use std::fmt;
use std::future::{Future, ready};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::component::graph::{Build, Fresh, given_up, is_due, seen};
use crate::component::inputs::Bound;
use crate::component::runner::{Runnable, Runner};
use crate::crew::{
    Abort, BoxFuture, Crew, Entry, Failed, Finished, Kind, LETTING_GO, Ledger, Made,
};
use crate::escape::Escaped;
use crate::live::{
    AnySlot, Draft, DraftCell, Home, Inputs, Keyed, Lease, Origin, Part, Retire, Slot,
};
use crate::panic::Quiet;
use crate::{BoxError, Built, Done, KeyCounts, StepError};

/// The key of a value. `Display` names it in reports and errors.
pub(crate) trait Key: Ord + Clone + fmt::Display + Send + Sync + 'static {}

impl<K: Ord + Clone + fmt::Display + Send + Sync + 'static> Key for K {}

/// The setting of a key. A key with an equal setting is left alone.
pub(crate) trait Setting: PartialEq + Clone + Send + Sync + 'static {}

impl<S: PartialEq + Clone + Send + Sync + 'static> Setting for S {}

/// The data that the members of one collection share.
pub(in crate::component) struct Members {
    pub(crate) collection: Arc<Home>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) retire: Option<Weak<Retire>>,
    /// The time limit for the build of one member.
    pub(crate) timeout: Duration,
    /// The entry for the app's functions that list and compare the members. The collection as a whole
    /// may take as long as all of its members, so it has no limit of its own.
    pub(crate) telling: Arc<Entry>,
}

impl Members {
    pub(in crate::component) fn new(
        collection: &Arc<Home>,
        ledger: &Arc<Ledger>,
        retire: Option<&Arc<Retire>>,
        timeout: Duration,
    ) -> Self {
        Self {
            collection: Arc::clone(collection),
            ledger: Arc::clone(ledger),
            retire: retire.map(Arc::downgrade),
            timeout,
            telling: ledger.add(Kind::Component, &collection.name, timeout),
        }
    }

    /// The names of the members whose build has not ended. If any of `due` are among them, they get a
    /// moment to end.
    async fn running(&self, due: impl Iterator<Item = &Arc<str>> + Clone) -> BTreeSet<Arc<str>> {
        let give_up = Instant::now() + LETTING_GO;
        loop {
            let running = self.ledger.running().into_iter();
            let members = running.filter(|entry| entry.kind == Kind::Member);
            let members: BTreeSet<_> = members.map(|entry| Arc::clone(&entry.name)).collect();
            if !due.clone().any(|name| members.contains(name)) || Instant::now() > give_up {
                return members;
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// The `Home` of the slot of this member.
    fn home<K: Key, V: Send + Sync + 'static>(&self, key: &K) -> Arc<Home> {
        let name = format!("{}[{}]", self.collection.name, Escaped(key)).into();
        // `Quiet`, because the drop of the key can panic on the thread that drops the last `Home`.
        let key = Quiet::new(&self.collection.name, key.clone());
        Arc::new(Home {
            name,
            index: self.collection.index,
            publication: Weak::clone(&self.collection.publication),
            reaper: Arc::clone(&self.collection.reaper),
            retire: self
                .retire
                .clone()
                .map_or_else(OnceLock::new, OnceLock::from),
            part: Some(Box::new(Part::Member(Box::new(move |slot| {
                let collection = Slot::<Keyed<K, V>>::of(slot).value();
                collection.get(&key).map(Lease::serial)
            })))),
        })
    }
}

/// A component with one value per key.
pub(super) struct Collection<B, F, G, K, S> {
    pub(super) members: Arc<Members>,
    pub(super) inputs: B,
    pub(super) settings: Quiet<F>,
    pub(super) build: Quiet<G>,
    pub(super) keys: PhantomData<fn(K, S)>,
}

impl<B, F, G, K, S, Fut> Build for Collection<B, F, G, K, S>
where
    B: Bound,
    F: FnOnce(B::Values) -> BTreeMap<K, S> + Clone + Send + Sync + 'static,
    G: FnOnce(K, S) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output: Built> + Send + 'static,
    K: Key,
    S: Setting,
{
    fn is_due(&self, draft: &DraftCell) -> bool {
        // If the entry is busy, `start` returns the error.
        let _telling = self.members.telling.enter();
        is_due(self.members.collection.index, &self.inputs, draft)
    }

    fn start(&self, draft: &DraftCell) -> BoxFuture<'static, Fresh> {
        let Ok(_telling) = self.members.telling.enter() else {
            return Box::pin(ready(Err(StepError::busy().into())));
        };
        let Some(held) = draft.read(|draft| self.inputs.hold(draft)) else {
            return given_up();
        };
        let (values, seen, kept) = self.inputs.values(held);
        let inputs: Inputs = Arc::new((seen, kept));
        let settings = F::clone(&self.settings)(values);
        let committed = |draft: &Draft| draft.committed(self.members.collection.index).cloned();
        let Some(committed) = draft.read(committed) else {
            return given_up();
        };
        let before = committed.as_ref();
        let before = before.map(|slot| Slot::<Keyed<K, Value<Fut>>>::of(slot).value());
        let name = &self.members.collection.name;
        let leases = Leases::new(&self.members.ledger);
        let (mut keys, mut due) = (Vec::new(), Vec::new());
        let mut counts = Box::new(KeyCounts::default());
        for (key, setting) in settings {
            let known = before.and_then(|before| before.get(&key));
            match known {
                Some(lease) if is_built_from(lease, &setting) => {
                    counts.kept += 1;
                    leases.add(keys.len(), lease.clone());
                    keys.push(Quiet::new(name, key));
                }
                _ => {
                    match known {
                        Some(_) => counts.changed += 1,
                        None => counts.added += 1,
                    }
                    let home = self.members.home::<K, Value<Fut>>(&key);
                    due.push((home, Quiet::new(name, key), Quiet::new(name, setting)));
                }
            }
        }
        counts.removed = before.map_or(0, Keyed::len) - counts.kept - counts.changed;
        let members = Arc::clone(&self.members);
        let build = G::clone(&self.build);
        Box::pin(async move {
            // A member whose abandoned build still blocks its thread must not be built beside it.
            let names = due.iter().map(|(home, ..)| &home.name);
            let busy = members.running(names).await;
            let mut crew = Crew::new(members.ledger.clock());
            for (home, key, setting) in due {
                if leases.is_abandoned() {
                    return Ok(Fresh::Unchanged);
                }
                if busy.contains(&home.name) {
                    return Err(failed(&*key, StepError::busy()));
                }
                let timeout = members.timeout;
                let entry = members.ledger.add(Kind::Member, &home.name, timeout);
                let anchor = Arc::clone(&inputs);
                // In a slot from the beginning, so that it is retired even if other members fail.
                let make = || {
                    let setting = S::clone(&setting);
                    let future = build.clone()(K::clone(&key), setting.clone());
                    Made::Future(Box::pin(async move {
                        let value = future.await.into_result()?;
                        let setting = Origin::Built(Arc::new(setting));
                        Ok(Lease::new(Slot::new(&home, value, setting, Some(anchor))))
                    }))
                };
                crew.breathe().await;
                let finished = crew.push(keys.len(), &entry, make);
                keys.push(key);
                if let Some(finished) = finished {
                    settle(&members, &keys, &leases, finished)?;
                }
            }
            while let Some(finished) = crew.next().await {
                settle(&members, &keys, &leases, finished)?;
            }
            let Some(leases) = leases.take() else {
                return Ok(Fresh::Unchanged);
            };
            let _telling = members.telling.enter()?;
            let mut keys: Vec<_> = keys.into_iter().map(Some).collect();
            let mut built = Keyed(BTreeMap::new());
            for (id, lease) in leases {
                let key = keys[id].take().expect("each key has one lease");
                built.0.insert(key.into_inner(), lease);
            }
            let slot = Slot::new(&members.collection, built, Origin::Built(inputs), None);
            Ok(Fresh::Collection(slot, counts))
        })
    }
}

/// The values of a collection in the making, with the positions of their keys. They are dropped when
/// the reload is abandoned, so that a member that blocks its thread does not hold the others.
struct Leases<V: Send + Sync + 'static>(Mutex<Option<Places<V>>>);

type Places<V> = Vec<(usize, Lease<V>)>;

impl<V: Send + Sync + 'static> Leases<V> {
    fn new(ledger: &Ledger) -> Arc<Self> {
        let leases = Arc::new(Self(Mutex::new(Some(Vec::new()))));
        let made: Weak<Self> = Arc::downgrade(&leases);
        ledger.note_waiting(made);
        leases
    }

    fn add(&self, id: usize, lease: Lease<V>) {
        if let Some(leases) = &mut *self.lock() {
            leases.push((id, lease));
        }
    }

    /// Returns `true` if the reload was abandoned.
    fn is_abandoned(&self) -> bool {
        self.lock().is_none()
    }

    /// `None` if the reload was abandoned.
    fn take(&self) -> Option<Places<V>> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Places<V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: Send + Sync + 'static> Abort for Leases<V> {
    fn abort(&self) -> Vec<Failed> {
        drop(self.take());
        Vec::new()
    }
}

/// The value that a build returns.
type Value<Fut> = <<Fut as Future>::Output as Built>::Value;

/// Puts a value that was built in its place.
fn settle<K: Key, V: Send + Sync + 'static>(
    members: &Members,
    keys: &[Quiet<K>],
    leases: &Leases<V>,
    Finished { id, result, .. }: Finished<Lease<V>>,
) -> Result<(), BoxError> {
    match result {
        Ok(lease) => leases.add(id, lease),
        Err(error) => {
            let _telling = members.telling.enter()?;
            return Err(failed(&*keys[id], error));
        }
    }
    Ok(())
}

fn is_built_from<V: Send + Sync + 'static, S: Setting>(lease: &Lease<V>, setting: &S) -> bool {
    seen::<S>(lease.inputs()) == setting
}

fn failed(key: &impl fmt::Display, error: StepError) -> BoxError {
    Box::new(MemberError {
        key: key.to_string(),
        error,
    })
}

/// The error of a member that could not be built.
#[derive(Debug)]
struct MemberError {
    key: String,
    error: StepError,
}

impl fmt::Display for MemberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` could not be built", Escaped(&self.key))
    }
}

impl StdError for MemberError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.error)
    }
}

/// A collection whose values run one task each.
pub(super) struct Many<K, V, F> {
    run: Arc<Quiet<F>>,
    values: PhantomData<fn(K, V)>,
}

impl<K, V, F> Many<K, V, F> {
    pub(super) fn new(name: &Arc<str>, run: F) -> Self {
        Self {
            run: Arc::new(Quiet::new(name, run)),
            values: PhantomData,
        }
    }
}

impl<K, V, F, Fut> Runner for Many<K, V, F>
where
    K: Key,
    V: Send + Sync + 'static,
    F: FnOnce(Lease<V>, CancellationToken) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output: Done> + Send + 'static,
{
    fn tasks(&self, slot: &AnySlot) -> Vec<Runnable> {
        let collection = Slot::<Keyed<K, V>>::of(slot).value();
        let runnable = |lease: &Lease<V>| Runnable::new(lease.clone(), &self.run);
        collection.0.values().map(runnable).collect()
    }
}
