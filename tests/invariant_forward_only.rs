//! Reads go forward only, and never mix generations, whatever a publisher does meanwhile.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use rekindle::{BoxError, Live, Manager, Reader};

const RELOADS: u64 = 5_000;
const READERS: u64 = 2;

/// Components that are all rebuilt by each reload, with the number of the generation as value.
type Parts = Vec<Live<u64>>;

/// What the readers and the publisher share.
struct Shared {
    start: Barrier,
    done: AtomicBool,
    /// The newest generation that anybody knows of: raised after a read or a reload, looked at before
    /// a read. So whoever sees a number here has learned of that generation.
    learned: AtomicU64,
}

impl Shared {
    fn learned(&self) -> u64 {
        // Acquire pairs with the Release in `tell`, so that the rule is tested, and not more.
        self.learned.load(Ordering::Acquire)
    }

    fn tell(&self, generation: u64) {
        if generation > self.learned.load(Ordering::Relaxed) {
            self.learned.fetch_max(generation, Ordering::Release);
        }
    }
}

async fn parts(manager: &mut Manager) -> Result<Parts, BoxError> {
    static GENERATION: AtomicU64 = AtomicU64::new(1);
    let number = async || Ok(GENERATION.fetch_add(1, Ordering::Relaxed));
    let root = manager.source("root", number).await?;
    let left = manager.derive("left", &root, async |n| Ok(*n)).await?;
    let right = manager.derive("right", &root, async |n| Ok(*n)).await?;
    let both = manager
        .derive("both", (&left, &right), async |(left, right)| {
            assert_eq!(*left, *right, "a build was given two generations");
            Ok(*left)
        })
        .await?;
    Ok(vec![root, left, right, both])
}

/// Reads random components in random ways, and checks each read against all that is known.
fn read(parts: &Parts, shared: &Shared, mut random: u64) {
    let mut readers: Vec<Reader<u64>> = parts.iter().map(Live::reader).collect();
    let mut newest = 0;
    shared.start.wait();
    loop {
        let last = shared.done.load(Ordering::Acquire);
        let learned = shared.learned();
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let index = (random >> 60) as usize % parts.len();
        let part = &parts[index];
        let (how, seen) = match (random >> 32) % 5 {
            0 => ("load", load(part)),
            1 => ("reader", *readers[index].get()),
            2 => ("lease", *part.lease()),
            3 => ("map", part.map(|n| *n).get()),
            _ => ("snapshot", snapshot(parts)),
        };
        assert!(
            seen >= newest,
            "{how} of {part:?} gave {seen} to a thread that had seen {newest}"
        );
        assert!(
            seen >= learned,
            "{how} of {part:?} gave {seen} to a thread that knew of {learned}"
        );
        newest = seen;
        shared.tell(seen);
        if last {
            break;
        }
    }
    assert_eq!(
        newest,
        RELOADS + 1,
        "the last read gave the last generation"
    );
}

fn load(part: &Live<u64>) -> u64 {
    let guard = part.load();
    assert_eq!(
        *guard,
        guard.generation(),
        "a guard is of another generation than its value"
    );
    *guard
}

fn snapshot(parts: &Parts) -> u64 {
    let snapshot = parts[0].snapshot();
    for part in parts {
        let seen = *snapshot.get(part);
        assert_eq!(
            seen,
            snapshot.generation(),
            "a snapshot mixed generations at {part:?}"
        );
    }
    snapshot.generation()
}

/// Invariants 1 and 3: no snapshot mixes generations; and once anyone has seen a generation of one
/// component, no later read of any component, in any way, by anyone who learned of it is older.
#[test]
fn invariant_3_reads_never_go_backwards_under_a_publisher_that_never_rests() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let mut manager = Manager::new();
    let parts = runtime.block_on(parts(&mut manager)).unwrap();
    let shared = Shared {
        start: Barrier::new(READERS as usize + 1),
        done: AtomicBool::new(false),
        learned: AtomicU64::new(1),
    };
    thread::scope(|scope| {
        for seed in 0..READERS {
            let (parts, shared) = (&parts, &shared);
            scope.spawn(move || read(parts, shared, seed));
        }
        shared.start.wait();
        let handle = manager.handle();
        let published = runtime.block_on(manager.run(async |_stop| {
            for _ in 0..RELOADS {
                // Whoever is told of the answer has learned of the generation, too.
                shared.tell(handle.reload("test").await?.generation());
            }
            Ok(())
        }));
        shared.done.store(true, Ordering::Release);
        published.unwrap();
    });
}
