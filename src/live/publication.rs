//! The current generation: many readers that never wait for each other, and one publisher.
//!
//! The current generation is in `master`. Each thread reads through its shard, which caches a
//! private `Arc` of it, so that readers on different threads do not share a reference count. Each
//! thread also remembers weakly the generation that it read last. While that is current, a read
//! only increments its count.
//!
//! # Invariants
//!
//! 1. `version` is the version of the generation in `master`: both change under the lock of
//!    `master`.
//! 2. A read returns a generation at least as new as `version` was when the read began. A read that
//!    returned generation n loaded a `version` of at least n. So a read that happens after it
//!    returns no older one, through any shard.
//! 3. Application code never runs under a lock: the replaced content of a lock is dropped after the
//!    unlock. So locks are held for some nanoseconds, and are not poisoned.
//! 4. After a publication, shards hold no older generation, and threads hold one only weakly. A
//!    replaced value lives exactly as long as it has holders.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

use tokio::sync::watch;

use super::generation::Generation;
use super::pinned::Pinned;
use super::slot::{AnySlot, Closed};
use crate::panic::wake_quietly;

pub(crate) struct Publication {
    /// The manager that publishes here.
    pub(super) manager: u64,
    version: AtomicU64,
    /// The number of the generation in `master`, readable without its lock.
    number: AtomicU64,
    master: Mutex<Master>,
    /// The number of shards is a power of two.
    shards: Box<[Shard]>,
    /// The replaced generations that guards still hold.
    pinned: Arc<Pinned>,
    /// Wakes the tasks that wait for a change. Holds the version.
    changes: watch::Sender<u64>,
}

struct Master {
    current: Generation,
    /// The previous generation, which may become current again while the current one is on
    /// probation.
    before: Option<Generation>,
}

/// Aligned to a pair of cache lines, because processors prefetch the adjacent line.
#[repr(align(128))]
#[derive(Default)]
struct Shard(Mutex<Option<Arc<Generation>>>);

impl Publication {
    pub(crate) fn new(manager: u64) -> Arc<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let shards = (4 * cores).next_power_of_two().clamp(8, 256);
        let first = Generation::first(manager);
        Arc::new(Self {
            manager,
            version: AtomicU64::new(first.version),
            number: AtomicU64::new(first.number),
            changes: watch::Sender::new(first.version),
            master: Mutex::new(Master {
                current: first,
                before: None,
            }),
            pinned: Arc::default(),
            shards: (0..shards).map(|_| Shard::default()).collect(),
        })
    }

    /// The current generation, counted in this thread's shard.
    #[inline]
    pub(crate) fn load(&self) -> Arc<Generation> {
        // Fails while the thread's locals are destroyed.
        let last = LAST.try_with(|last| last.borrow().get(self));
        last.ok().flatten().unwrap_or_else(|| self.load_anew())
    }

    #[cold]
    fn load_anew(&self) -> Arc<Generation> {
        let cached = lock(&self.shards[thread_number() & (self.shards.len() - 1)].0);
        let generation = match &*cached {
            Some(generation) if generation.version == self.version() => {
                let generation = Arc::clone(generation);
                drop(cached);
                generation
            }
            _ => self.refresh(cached),
        };
        let last = Last {
            manager: self.manager,
            version: generation.version,
            generation: Arc::downgrade(&generation),
        };
        _ = LAST.try_with(|place| *place.borrow_mut() = last);
        generation
    }

    /// Replaces the content of the locked shard with the current generation, and returns that.
    fn refresh(&self, mut cached: MutexGuard<'_, Option<Arc<Generation>>>) -> Arc<Generation> {
        let fresh = Arc::new(self.current());
        let stale = cached.replace(Arc::clone(&fresh));
        drop(cached);
        self.pinned.let_go(stale);
        fresh
    }

    /// The version of the current generation.
    #[inline]
    pub(super) fn version(&self) -> u64 {
        // Relaxed is enough for invariant 2: a read that happens after one that saw version n sees
        // no older value of the same atomic. Everything else that belongs to the version is read
        // under a lock.
        self.version.load(Ordering::Relaxed)
    }

    /// The current generation by value, for infrequent reads.
    pub(crate) fn current(&self) -> Generation {
        lock(&self.master).current.clone()
    }

    /// The current generation, and the previous one if that may become current again.
    pub(super) fn current_and_before(&self) -> (Generation, Option<Generation>) {
        let master = lock(&self.master);
        (master.current.clone(), master.before.clone())
    }

    /// Makes the current generation final: the previous one cannot become current again. Does not
    /// wake waiting tasks.
    pub(crate) fn confirm(&self) {
        let before = lock(&self.master).before.take();
        // Outside the lock: dropping the last reference sends values to the reaper.
        drop(before);
    }

    /// The number of the current generation.
    pub(crate) fn number(&self) -> u64 {
        // Relaxed, as in `version`.
        self.number.load(Ordering::Relaxed)
    }

    /// The replaced generations that guards still hold.
    pub(crate) fn pinned(&self) -> &Arc<Pinned> {
        &self.pinned
    }

    /// A channel that receives the version after each publication.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Adds a component and returns its index.
    pub(crate) fn add(&self, slot: &AnySlot) -> usize {
        let current = self.current();
        self.publish(current.with(Arc::clone(slot)), None);
        slot.show(None);
        self.wake();
        current.len()
    }

    /// Closes these components at the end of the run. Guards and leases that hold their values stay
    /// readable, and later reads panic.
    pub(crate) fn close(&self, components: impl IntoIterator<Item = (usize, Arc<str>)>) {
        let closed = components
            .into_iter()
            .map(|(index, name)| (index, Arc::new(Closed(name)) as AnySlot));
        self.publish(self.current().replacing(closed), None);
        self.wake();
    }

    /// Publishes a generation, without waking waiting tasks. Nothing else makes values visible.
    ///
    /// There is one publisher at a time: the manager's start-up, then its one transaction. `before`
    /// is the generation that may become current again.
    pub(super) fn publish(&self, current: Generation, before: Option<Generation>) {
        let (number, version) = (current.number, current.version);
        let mut master = lock(&self.master);
        let replaced = std::mem::replace(&mut *master, Master { current, before });
        // Under the lock, so that a thread that finds its shard outdated finds this generation in
        // `master`.
        self.number.store(number, Ordering::Relaxed);
        self.version.store(version, Ordering::Relaxed);
        drop(master);
        drop(replaced);
        for shard in &self.shards {
            let mut cached = lock(&shard.0);
            let stale = cached.take_if(|generation| generation.version < version);
            drop(cached);
            self.pinned.let_go(stale);
        }
    }

    /// Wakes the tasks that wait for a change. Their wakers may be application code.
    pub(crate) fn wake(&self) {
        wake_quietly(|| self.changes.send_replace(self.version()));
    }
}

/// The generation that a thread read last.
struct Last {
    manager: u64,
    version: u64,
    /// The generation in the thread's shard, which is dropped soon after it was replaced.
    generation: Weak<Generation>,
}

thread_local! {
    static LAST: RefCell<Last> = const {
        RefCell::new(Last {
            manager: u64::MAX,
            version: 0,
            generation: Weak::new(),
        })
    };
}

impl Last {
    /// The remembered generation, if it is the current one of this publication.
    #[inline]
    fn get(&self, publication: &Publication) -> Option<Arc<Generation>> {
        let is_current =
            self.manager == publication.manager && self.version == publication.version();
        match is_current {
            true => self.generation.upgrade(),
            false => None,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number of this thread, in the order in which threads first read.
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
    }
    NUMBER.get().unwrap_or_else(|| {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        NUMBER.set(Some(number));
        number
    })
}
