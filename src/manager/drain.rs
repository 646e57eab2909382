//! Replaced values that wait to be retired because they are still held.

use std::collections::BTreeSet;
use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::component::Graph;
use crate::crew::Entry;
use crate::live::{AnySlot, Draft, ErasedSlot, Generation, Generations, Pinned};
use crate::log::event;
use crate::race::race;
use crate::woken;

/// The time after which an old value that is still held is reported, unless [`Manager::drain`] sets
/// another.
///
/// [`Manager::drain`]: crate::Manager::drain
const DEADLINE: Duration = Duration::from_secs(30);

/// A value that was replaced and cannot be [retired](crate::Component::retire) because it is still held.
///
/// [`Status::draining`](crate::Status::draining) lists all of them, and
/// [`Report::overdue`](crate::Report::overdue) those past the deadline.
///
/// # Consistency
///
/// Holders are counted while they come and go, so the numbers may have changed a moment later.
///
/// `Display` is a phrase: ``component `pool` of generation 3, held for 31.0s by 2 guards and 0 leases``.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// # let mut reload = rekindle::Manager::new();
/// let pool = reload.source("pool", async || Ok("a pool")).retire(async |_| ()).await?;
/// let handle = reload.handle();
/// reload
///     .run(async move |_stop| {
///         let held = pool.load();
///         handle.reload("example").await?;
///
///         let status = handle.status();
///         let draining = &status.draining()[0];
///         assert_eq!(draining.component(), "pool");
///         assert_eq!(draining.generation(), 1);
///         assert_eq!((draining.guards(), draining.leases()), (1, 0));
///         assert!(!draining.is_overdue());
///         assert!(draining.held_for() < std::time::Duration::from_secs(30));
///         assert_eq!(draining.dependants().len(), 0);
///         drop(held);
///         assert!(handle.status().draining().is_empty());
///         Ok(())
///     })
///     .await
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Draining {
    component: Arc<str>,
    generation: u64,
    held_for: Duration,
    overdue: bool,
    guards: usize,
    leases: usize,
    dependants: Vec<Arc<str>>,
    /// The abandoned steps that still run, as phrases.
    given_up: Vec<String>,
}

impl Draining {
    /// The name of the component, with the key in a collection: `pools[web]`.
    pub fn component(&self) -> &str {
        &self.component
    }

    /// The number of the last generation that had the value, or 0 if it was built by a reload that was
    /// rejected or by a [check](crate::Handle::check).
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The time for which it has been held since it was replaced.
    pub fn held_for(&self) -> Duration {
        self.held_for
    }

    /// Returns `true` if it has been held for as long as the [drain deadline](crate::Manager::drain).
    pub fn is_overdue(&self) -> bool {
        self.overdue
    }

    /// The number of guards and snapshots that hold it. Each holds all values of its generation, so it may
    /// have been taken for another component.
    pub fn guards(&self) -> usize {
        self.guards
    }

    /// The number of other holders: leases, readers, values that were built from it, and abandoned steps that
    /// block their thread with it. `Display` names those steps.
    pub fn leases(&self) -> usize {
        self.leases
    }

    /// The components with an old value that is also held and may have been built from this one.
    pub fn dependants(&self) -> impl ExactSizeIterator<Item = &str> {
        self.dependants.iter().map(|name| &**name)
    }
}

impl fmt::Display for Draining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            component,
            generation,
            held_for,
            guards,
            leases,
            dependants,
            given_up,
            ..
        } = self;
        write!(f, "component `{component}` ")?;
        match generation {
            0 => f.write_str("that was never current")?,
            _ => write!(f, "of generation {generation}")?,
        }
        write!(f, ", held for {held_for:.1?} by ")?;
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        write!(
            f,
            "{guards} guard{} and {leases} lease{}",
            plural(*guards),
            plural(*leases)
        )?;
        for (index, name) in dependants.iter().enumerate() {
            let before = if index == 0 {
                ", among them old values of"
            } else {
                ","
            };
            write!(f, "{before} `{name}`")?;
        }
        for step in given_up {
            write!(f, ", among them those of {step}")?;
        }
        Ok(())
    }
}

/// All draining values of one manager.
pub(super) struct Drains {
    pinned: Arc<Pinned>,
    list: Mutex<List>,
    added: Notify,
}

struct List {
    deadline: Duration,
    drains: Vec<Drain>,
}

/// One replaced value.
pub(super) struct Drain {
    index: usize,
    /// The name of the component, with the key for a member of a collection.
    component: Arc<str>,
    /// The components that are built from this one.
    dependants: Arc<[(usize, Arc<str>)]>,
    /// The steps that receive values of the component.
    readers: Arc<[Arc<Entry>]>,
    /// The last generation that had the value.
    generation: u64,
    /// The time at which its drain began.
    since: Instant,
    slot: Weak<dyn ErasedSlot>,
    /// `true` if it has been logged as overdue.
    said: bool,
}

impl Drain {
    /// Returns the drains of an old slot: the slot itself, and its members that the new slot does not have.
    fn of(
        graph: &Graph,
        index: usize,
        generation: u64,
        old: &AnySlot,
        new: &AnySlot,
    ) -> impl Iterator<Item = Self> {
        let address = |slot: &AnySlot| Arc::as_ptr(slot).cast::<()>();
        let stays: BTreeSet<_> = new.members().iter().map(address).collect();
        let mut goes = old.members();
        goes.retain(|slot| !stays.contains(&address(slot)));
        goes.push(Arc::clone(old));
        let dependants = graph.nodes[index].dependants.iter();
        let dependants: Arc<[_]> = dependants
            .map(|&index| (index, Arc::clone(&graph.nodes[index].entry.name)))
            .collect();
        let dependants_of = graph.nodes[index].dependants.iter();
        let builds = dependants_of.map(|&index| &graph.nodes[index].entry);
        let this = [index];
        let effects = graph.effects_of(&this);
        let effects = effects.map(|index| &graph.effects[index].entry);
        let readers: Arc<[_]> = builds.chain(effects).map(Arc::clone).collect();
        let since = Instant::now();
        goes.into_iter().map(move |slot| Self {
            index,
            component: Arc::clone(slot.name()),
            dependants: Arc::clone(&dependants),
            readers: Arc::clone(&readers),
            generation,
            since,
            slot: Arc::downgrade(&slot),
            said: false,
        })
    }

    fn is_held(&self) -> bool {
        self.slot.strong_count() > 0
    }

    /// Describes the drain. `old` are the components with old values that are held.
    fn describe(
        &self,
        deadline: Duration,
        generations: &mut Generations,
        old: &BTreeSet<usize>,
    ) -> Draining {
        let holders = generations.holders(self.index, &self.slot);
        let held_for = self.since.elapsed();
        let dependants = self.dependants.iter();
        let dependants = dependants.filter(|(index, _)| old.contains(index));
        // Those that began later received another value.
        let began_before = |since: Instant| since <= self.since;
        let holds = |step: &&Arc<Entry>| step.since().is_some_and(began_before);
        let given_up = self.readers.iter().filter(holds);
        Draining {
            component: Arc::clone(&self.component),
            generation: self.generation,
            held_for,
            overdue: held_for >= deadline,
            guards: holders.guards,
            leases: holders.leases,
            dependants: dependants.map(|(_, name)| Arc::clone(name)).collect(),
            given_up: given_up.map(ToString::to_string).collect(),
        }
    }
}

impl Drains {
    pub(super) fn new(pinned: Arc<Pinned>) -> Arc<Self> {
        let list = List {
            deadline: DEADLINE,
            drains: Vec::new(),
        };
        Arc::new(Self {
            pinned,
            list: Mutex::new(list),
            added: Notify::new(),
        })
    }

    pub(super) fn set_deadline(&self, deadline: Duration) {
        self.lock().deadline = deadline;
    }

    pub(super) fn deadline(&self) -> Duration {
        self.lock().deadline
    }

    /// Starts the drain of these components of the old generation, once they have been replaced for good.
    pub(super) fn add(&self, graph: &Graph, old: &Generation, new: &Generation, changed: &[usize]) {
        let drains = changed.iter().filter(|&&index| graph.nodes[index].drains);
        self.extend(drains.flat_map(|&index| {
            let (old_slot, new) = (old.slot(index), new.slot(index));
            Drain::of(graph, index, old.number, old_slot, new)
        }));
    }

    /// Starts the drain of the values of a draft that will never be current.
    pub(super) fn add_unused(&self, graph: &Graph, draft: &Draft) {
        let drains = draft.changed().iter();
        let drains = drains.filter(|&&index| graph.nodes[index].drains);
        self.extend(drains.flat_map(|&index| {
            let (unused, current) = (draft.slot(index), draft.base().slot(index));
            Drain::of(graph, index, 0, unused, current)
        }));
    }

    fn extend(&self, drains: impl Iterator<Item = Drain>) {
        let mut drains = drains.peekable();
        if drains.peek().is_some() {
            let mut list = self.lock();
            list.drains.retain(Drain::is_held);
            list.drains.extend(drains);
            drop(list);
            self.added.notify_one();
            woken::note();
        }
    }

    /// Returns the values that are still held, in the order in which they were replaced.
    pub(super) fn draining(&self) -> Vec<Draining> {
        self.describe(|_, _| true)
    }

    /// Returns the values that are held past the deadline.
    pub(super) fn overdue(&self) -> Vec<Draining> {
        self.describe(|drain, deadline| drain.since.elapsed() >= deadline)
    }

    /// Logs each overdue value once, for as long as this is polled.
    pub(super) async fn say_what_is_overdue(&self) {
        loop {
            let next = self.next_deadline();
            let deadline = async {
                match next {
                    Some(next) => sleep_until(next).await,
                    None => pending().await,
                }
            };
            _ = race(deadline, self.added.notified()).await;
            for draining in self.newly_overdue() {
                event!(WARN, "still draining: {draining}");
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let list = self.lock();
        let unsaid = list.drains.iter().filter(|drain| !drain.said);
        let ends = unsaid.map(|drain| drain.since.checked_add(list.deadline));
        ends.flatten().min()
    }

    fn newly_overdue(&self) -> Vec<Draining> {
        self.describe(|drain, deadline| {
            let is_new = !drain.said && drain.since.elapsed() >= deadline;
            drain.said |= is_new;
            is_new
        })
    }

    /// Returns those of the values still held for which `wanted` returns `true`.
    fn describe(&self, mut wanted: impl FnMut(&mut Drain, Duration) -> bool) -> Vec<Draining> {
        if self.lock().drains.is_empty() {
            return Vec::new();
        }
        // Taken before the list is locked, so that it is dropped after the list is unlocked.
        let mut generations = self.pinned.generations();
        let mut list = self.lock();
        list.drains.retain(Drain::is_held);
        let old: BTreeSet<usize> = list.drains.iter().map(|drain| drain.index).collect();
        let List { deadline, drains } = &mut *list;
        let wanted = drains.iter_mut().filter_map(|drain| {
            wanted(drain, *deadline).then(|| drain.describe(*deadline, &mut generations, &old))
        });
        wanted.collect()
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
