//! Invariant 7: reads never wait for the app's code, and a commit never waits for a reader's work.

mod support;

use std::sync::{Arc, Mutex, mpsc};

use rekindle::{Lease, Live, Manager, Outcome};
use support::{Dial, in_time};

/// Code of the app's that blocks its thread, in one place of a reload.
#[derive(Clone)]
struct Block {
    arrived: mpsc::Sender<()>,
    release: Arc<Mutex<mpsc::Receiver<()>>>,
}

impl Block {
    fn new() -> (Self, mpsc::Receiver<()>, mpsc::Sender<()>) {
        let (arrived, arrivals) = mpsc::channel();
        let (release, released) = mpsc::channel();
        (
            Self {
                arrived,
                release: Arc::new(Mutex::new(released)),
            },
            arrivals,
            release,
        )
    }

    fn hold(&self) {
        self.arrived.send(()).unwrap();
        self.release.lock().unwrap().recv().unwrap();
    }
}

/// Every way of reading, on a thread of its own, comes back while the app's code is held.
fn assert_reads_come_back(number: &Live<u64>, held: &mpsc::Receiver<()>) {
    held.recv().unwrap();
    let number = number.clone();
    let reads = std::thread::spawn(move || {
        let mut reader = number.reader();
        for _ in 0..1_000 {
            let guard = *number.load();
            assert!(guard <= *number.lease());
            assert!(guard <= *number.snapshot().get(&number));
            assert!(guard <= *reader.get());
        }
    });
    reads.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn invariant_7_reads_do_not_wait_for_a_build_a_comparison_an_effect_or_a_drop() {
    /// Blocks in its `PartialEq`.
    #[derive(Clone)]
    struct Slow(u64, Block);
    impl PartialEq for Slow {
        fn eq(&self, other: &Self) -> bool {
            self.1.hold();
            self.0 == other.0
        }
    }
    /// Blocks in its `Drop`.
    struct Held(Block);
    impl Drop for Held {
        fn drop(&mut self) {
            self.0.hold();
        }
    }

    let (block, held, release) = Block::new();
    let dial = Dial::new(1);
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let compares = block.clone();
    let part = number.map(move |n| Slow(*n, compares.clone()));
    reload
        .derive("compares", part, async |slow| Ok(slow.0))
        .await
        .unwrap();
    let builds = block.clone();
    let build = async move |n: Lease<u64>| {
        if *n > 1 {
            builds.hold();
        }
        Ok(Held(builds))
    };
    let held_value = reload.derive("held", &number, build).await.unwrap();
    let applies = block.clone();
    let effect = async move |n: Lease<u64>| {
        if *n > 1 {
            applies.hold();
        }
    };
    reload.apply("applies", &number, effect).await.unwrap();
    let handle = reload.handle();
    let reading = number.clone();
    let run = reload.run(async move |_| {
        dial.set(2);
        let asked = tokio::spawn(async move { handle.reload("test").await });
        tokio::task::spawn_blocking(move || {
            for _what in ["comparison", "build", "effect", "drop of the old value"] {
                assert_reads_come_back(&reading, &held);
                release.send(()).unwrap();
            }
            // For the drop of the last value, at the end.
            release.send(()).unwrap();
        })
        .await?;
        let report = asked.await??;
        assert_eq!(report.outcome(), Outcome::Applied);
        Ok(())
    });
    in_time(run).await.unwrap();
    drop(held_value);
}

#[tokio::test]
async fn invariant_7_a_commit_does_not_wait_for_readers_and_does_not_change_what_they_hold() {
    let dial = Dial::new(1);
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        let guard = number.load();
        let snapshot = handle.snapshot();
        let lease = number.lease();
        let mut reader = number.reader();
        assert_eq!(*reader.get(), 1);
        dial.set(2);
        handle.reload("test").await?;
        assert_eq!((*guard, *snapshot.get(&number), *lease), (1, 1, 1));
        assert_eq!((guard.generation(), snapshot.generation()), (1, 1));
        assert_eq!((*number.load(), *number.lease(), *reader.get()), (2, 2, 2));
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn a_reader_and_a_lease_are_told_of_a_new_value_of_their_own_component_only() {
    let (one, other) = (Dial::new(1), Dial::new(1));
    let mut reload = Manager::new();
    let number = reload.source("one", one.clone()).await.unwrap();
    reload.source("other", other.clone()).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        let mut reader = number.reader();
        let lease = number.lease();
        let mut changed = tokio_test::task::spawn(reader.changed());
        let mut replaced = tokio_test::task::spawn(lease.replaced());
        assert!(changed.poll().is_pending());
        assert!(replaced.poll().is_pending());
        other.set(2);
        handle.reload("other").await?;
        assert!(changed.poll().is_pending());
        assert!(replaced.poll().is_pending());
        one.set(5);
        handle.reload("one").await?;
        assert!(changed.is_woken() && replaced.is_woken());
        assert_eq!(changed.await, &5);
        replaced.await;
        // A change that came before the question counts.
        one.set(6);
        handle.reload("one").await?;
        assert_eq!(reader.changed().await, &6);
        lease.replaced().await;
        Ok(())
    });
    in_time(run).await.unwrap();
}
