//! How a collection is built: what is set as before keeps its value, the rest is built, concurrently.

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

/// What can be a key. `Display` names it in reports and errors.
pub(crate) trait Key: Ord + Clone + fmt::Display + Send + Sync + 'static {}

impl<K: Ord + Clone + fmt::Display + Send + Sync + 'static> Key for K {}

/// What a key may be set to. What is equal is left alone.
pub(crate) trait Setting: PartialEq + Clone + Send + Sync + 'static {}

impl<S: PartialEq + Clone + Send + Sync + 'static> Setting for S {}

/// What the members of one collection have in common.
pub(in crate::component) struct Members {
    pub(crate) collection: Arc<Home>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) retire: Option<Weak<Retire>>,
    /// How long the build of one may take.
    pub(crate) timeout: Duration,
    /// What is asked of the app to tell which there are and which stay. The collection as a whole may
    /// take as long as all of its members, so it has no time of its own.
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

    /// The names of those whose build has not ended. If these are among them, they have a moment for it.
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

    /// Where the slot of this member will belong.
    fn home<K: Key, V: Send + Sync + 'static>(&self, key: &K) -> Arc<Home> {
        let name = format!("{}[{}]", self.collection.name, Escaped(key)).into();
        // Whoever drops the home last must not meet a panic of the key's.
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
        // If that is busy, the start says so.
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
            // One that was given up and still blocks its thread is not joined by another.
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
                // In a slot from the beginning: whatever becomes of the others, it is retired.
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

/// The values of a collection in the making, by the places of their keys. They are let go when the
/// reload is given up, so that one member that blocks its thread does not hold the others.
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

    /// Returns `true` if the reload was given up.
    fn is_abandoned(&self) -> bool {
        self.lock().is_none()
    }

    /// `None` if the reload was given up.
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

/// What a build gives.
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

/// Which member could not be built.
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

/// A collection each of whose values is a task.
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
