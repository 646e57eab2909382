//! The ways to read a value that somebody replaces: rekindle's own, and those beside it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use arc_swap::{ArcSwap, Cache};
use dynamic_config::ConfigCell;
use hotswap_config::prelude::HotswapConfig;
use rekindle::{Live, Manager};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::measure::{Pace, Stopwatch, Timed, Writes};

/// One way to read a value that somebody replaces.
pub(crate) trait Contender: Send + Sync {
    /// Reads, on the calling thread, for as long as the stopwatch says. One read is to obtain the
    /// value, to use it and to let it go.
    fn read(&self, stopwatch: &Stopwatch) -> Timed;

    /// Replaces the value, on the calling thread, until `writes` ends.
    fn write(&self, writes: Writes<'_>);
}

// The names of those that the promises are about.
pub(crate) const RAW: &str = "raw atomic pointer";
pub(crate) const READER: &str = "rekindle reader";
pub(crate) const LOAD: &str = "rekindle load";
pub(crate) const ARC_SWAP: &str = "arc-swap load";

/// What is compared, in the order of the table.
pub(crate) const ALL: [(&str, Make); 12] = [
    (RAW, || Box::new(Raw::new())),
    (READER, || {
        Rekindle::with(|live, stopwatch| {
            let mut reader = live.reader();
            stopwatch.time(|| *reader.get())
        })
    }),
    ("arc-swap Cache", || {
        Box::new(Cached(ArcSwap::from_pointee(0)))
    }),
    (LOAD, || {
        Rekindle::with(|live, stopwatch| stopwatch.time(|| *live.load()))
    }),
    (ARC_SWAP, || Box::new(ArcSwap::from_pointee(0))),
    ("rekindle snapshot", || {
        Rekindle::with(|live, stopwatch| stopwatch.time(|| *live.snapshot().get(live)))
    }),
    ("rekindle lease", || {
        Rekindle::with(|live, stopwatch| stopwatch.time(|| *live.lease()))
    }),
    ("RwLock<Arc<_>>, std", || Box::new(RwLock::new(Arc::new(0)))),
    ("RwLock<Arc<_>>, parking_lot", || {
        Box::new(parking_lot::RwLock::new(Arc::new(0)))
    }),
    ("tokio watch borrow", || Box::new(watch::Sender::new(0))),
    ("hotswap-config get", || Box::new(HotswapConfig::new(0))),
    ("dynamic-config current", || {
        let cell = ConfigCell::new();
        cell.store(0);
        Box::new(cell)
    }),
];

/// The locks: a read takes one, or counts what all threads count.
pub(crate) const LOCKS: [&str; 3] = [
    "RwLock<Arc<_>>, std",
    "RwLock<Arc<_>>, parking_lot",
    "tokio watch borrow",
];

type Make = fn() -> Box<dyn Contender>;
type Read = fn(&Live<u64>, &Stopwatch) -> Timed;

/// A component of a real manager, replaced by real reloads.
struct Rekindle {
    live: Live<u64>,
    read: Read,
    /// Taken by the writer.
    manager: Mutex<Option<(Runtime, Manager)>>,
}

impl Rekindle {
    fn with(read: Read) -> Box<dyn Contender> {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime without I/O needs nothing that could be missing");
        let mut manager = Manager::new();
        let next = Arc::new(AtomicUsize::new(0));
        let source = async move || Ok(next.fetch_add(1, Ordering::Relaxed) as u64);
        let live = runtime
            .block_on(async { manager.source("number", source).await })
            .expect("counting never fails");
        Box::new(Self {
            live,
            read,
            manager: Mutex::new(Some((runtime, manager))),
        })
    }
}

impl Contender for Rekindle {
    fn read(&self, stopwatch: &Stopwatch) -> Timed {
        (self.read)(&self.live, stopwatch)
    }

    fn write(&self, writes: Writes<'_>) {
        let manager = self
            .manager
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let (runtime, manager) = manager.expect("there is one writer");
        let handle = manager.handle();
        let reloads = manager.run(async move |_stop| {
            let mut millisecond = tokio::time::interval(Pace::INTERVAL);
            while writes.go_on() {
                if writes.pace == Pace::Relaxed {
                    millisecond.tick().await;
                }
                handle.reload("bench").await?;
            }
            Ok(())
        });
        runtime.block_on(reloads).expect("counting never fails");
    }
}

/// What no safe way can beat: one acquiring load, and one load that depends on it.
///
/// An index into values that are never freed stands for the pointer, which safe code cannot follow.
/// It costs the same.
struct Raw {
    index: AtomicUsize,
    values: Box<[u64; Self::VALUES]>,
}

impl Raw {
    const VALUES: usize = 64;

    fn new() -> Self {
        Self {
            index: AtomicUsize::new(0),
            values: Box::new([0; Self::VALUES]),
        }
    }
}

impl Contender for Raw {
    fn read(&self, stopwatch: &Stopwatch) -> Timed {
        stopwatch.time(|| self.values[self.index.load(Ordering::Acquire) % Self::VALUES])
    }

    fn write(&self, writes: Writes<'_>) {
        writes.each(|number| self.index.store(number as usize, Ordering::Release));
    }
}

impl Contender for ArcSwap<u64> {
    fn read(&self, stopwatch: &Stopwatch) -> Timed {
        stopwatch.time(|| **self.load())
    }

    fn write(&self, writes: Writes<'_>) {
        writes.each(|number| self.store(Arc::new(number)));
    }
}

struct Cached(ArcSwap<u64>);

impl Contender for Cached {
    fn read(&self, stopwatch: &Stopwatch) -> Timed {
        let mut cache = Cache::new(&self.0);
        stopwatch.time(|| **cache.load())
    }

    fn write(&self, writes: Writes<'_>) {
        self.0.write(writes);
    }
}

impl Contender for RwLock<Arc<u64>> {
    fn read(&self, stopwatch: &Stopwatch) -> Timed {
        stopwatch.time(|| {
            let value = Arc::clone(&RwLock::read(self).unwrap_or_else(PoisonError::into_inner));
            *value
        })
    }

    fn write(&self, writes: Writes<'_>) {
        writes.each(|number| {
            let fresh = Arc::new(number);
            let mut value = RwLock::write(self).unwrap_or_else(PoisonError::into_inner);
            let replaced = std::mem::replace(&mut *value, fresh);
            drop(value);
            drop(replaced);
        });
    }
}

impl Contender for watch::Sender<u64> {
    fn read(&self, stopwatch: &Stopwatch) -> Timed {
        let receiver = self.subscribe();
        stopwatch.time(|| *receiver.borrow())
    }

    fn write(&self, writes: Writes<'_>) {
        writes.each(|number| {
            self.send_replace(number);
        });
    }
}

impl Contender for parking_lot::RwLock<Arc<u64>> {
    fn read(&self, stopwatch: &Stopwatch) -> Timed {
        stopwatch.time(|| {
            let value = Arc::clone(&parking_lot::RwLock::read(self));
            *value
        })
    }

    fn write(&self, writes: Writes<'_>) {
        writes.each(|number| {
            let fresh = Arc::new(number);
            let replaced = std::mem::replace(&mut *parking_lot::RwLock::write(self), fresh);
            drop(replaced);
        });
    }
}

impl Contender for HotswapConfig<u64> {
    fn read(&self, stopwatch: &Stopwatch) -> Timed {
        stopwatch.time(|| *self.get())
    }

    fn write(&self, writes: Writes<'_>) {
        let runtime = rekindle_benches::runtime(0);
        writes.each(|number| {
            let updated = runtime.block_on(self.update(number));
            updated.expect("there is no validator");
        });
    }
}

/// What `current()` of a configuration reads.
impl Contender for ConfigCell<u64> {
    fn read(&self, stopwatch: &Stopwatch) -> Timed {
        stopwatch.time(|| *self.get_or_panic("u64"))
    }

    fn write(&self, writes: Writes<'_>) {
        writes.each(|number| self.store(number));
    }
}
