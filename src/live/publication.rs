//! Which generation is current: many readers that never wait for each other, one publisher.
//!
//! The current generation is in `master`. Each thread reads through a shard of its own, which
//! caches a private `Arc` of it, so that readers on different threads touch no common count. And each
//! thread remembers, weakly, what it read last: while that is current, a read is to count it once more.
//!
//! # Invariants
//!
//! 1. `version` is the version of the generation in `master`: both change under the master's lock.
//! 2. A read returns a generation at least as new as `version` was when the read began. So once
//!    anyone has seen generation n, which took a `version` of at least n, nobody who learned of it
//!    sees an older one, through whichever shard.
//! 3. No code of the app's runs under a lock: what a lock replaces is dropped after it. So locks are
//!    held for some nanoseconds, and are not poisoned.
//! 4. After a publication the shards hold no older generation, and threads remember weakly: a value
//!    that was replaced lives as long as somebody holds it, and no longer.

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
    /// The number of the generation in `master`, for those who need no more of it.
    number: AtomicU64,
    master: Mutex<Master>,
    /// A power of two.
    shards: Box<[Shard]>,
    /// Generations that were replaced while guards held them.
    pinned: Arc<Pinned>,
    /// Wakes those who wait for a change. Holds the version.
    changes: watch::Sender<u64>,
}

struct Master {
    current: Generation,
    /// The generation before, while the current one is on probation: it may become current again.
    before: Option<Generation>,
}

/// On a cache line (and its neighbour, which is fetched with it) of its own.
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
        // While a thread ends it remembers nothing any more.
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

    /// The current generation, put into the shard whose lock is given.
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
        // Relaxed will do for invariant 2: who has learned of a read that saw version n does not see an
        // older one in the same atomic. What belongs to the version is had under a lock.
        self.version.load(Ordering::Relaxed)
    }

    /// The current generation itself, for those who do not read often.
    pub(crate) fn current(&self) -> Generation {
        lock(&self.master).current.clone()
    }

    /// The current generation, and the one before if that may become current again.
    pub(super) fn current_and_before(&self) -> (Generation, Option<Generation>) {
        let master = lock(&self.master);
        (master.current.clone(), master.before.clone())
    }

    /// The current generation stays: the one before will not become current again. Nobody is woken yet.
    pub(crate) fn confirm(&self) {
        let before = lock(&self.master).before.take();
        // Not under the lock: the last one to let go sends values to the reaper.
        drop(before);
    }

    /// The number of the current generation.
    pub(crate) fn number(&self) -> u64 {
        // Relaxed, as in `version`.
        self.number.load(Ordering::Relaxed)
    }

    /// The generations that were replaced and are held.
    pub(crate) fn pinned(&self) -> &Arc<Pinned> {
        &self.pinned
    }

    /// Told after each publication.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Adds a component and gives its index.
    pub(crate) fn add(&self, slot: &AnySlot) -> usize {
        let current = self.current();
        self.publish(current.with(Arc::clone(slot)), None);
        slot.show(None);
        self.wake();
        current.len()
    }

    /// Takes these components out of the current generation, at the end of the run. Whoever holds
    /// values of them keeps those; nobody gets new ones.
    pub(crate) fn close(&self, components: impl IntoIterator<Item = (usize, Arc<str>)>) {
        let closed = components
            .into_iter()
            .map(|(index, name)| (index, Arc::new(Closed(name)) as AnySlot));
        self.publish(self.current().replacing(closed), None);
        self.wake();
    }

    /// The one place where something becomes visible; nobody is woken yet. There is one publisher at a time: the
    /// manager's start-up, then its one transaction. `before` is what may become current again.
    pub(super) fn publish(&self, current: Generation, before: Option<Generation>) {
        let (number, version) = (current.number, current.version);
        let mut master = lock(&self.master);
        let replaced = std::mem::replace(&mut *master, Master { current, before });
        // Under the lock, so that whoever finds a shard behind finds this generation in the master.
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

    /// Lets those look again who wait for a change. Their wakers may be the app's.
    pub(crate) fn wake(&self) {
        wake_quietly(|| self.changes.send_replace(self.version()));
    }
}

/// What a thread read last.
struct Last {
    manager: u64,
    version: u64,
    /// That of its shard, which is gone soon after it is not current any more.
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
    /// What was read, if it was read here and is current.
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

/// Numbers the threads in the order in which they first read.
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
