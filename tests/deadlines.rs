//! Deadlines meet whatever a step does with its thread, and nobody else pays for it.

mod support;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use rekindle::{Action, Lease, Manager, Outcome};
use support::{Barrier, Dial, in_time};
use tokio::task::{consume_budget, yield_now};

const SHORT: Duration = Duration::from_millis(50);

/// Computes without a pause, and is cooperative; not for ever, so that a test that fails ends.
async fn spin() {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        consume_budget().await;
    }
}

#[tokio::test]
async fn a_first_build_that_uses_up_its_budget_meets_its_deadline() {
    // Which of the two is polled first is left to chance.
    for _ in 0..10 {
        let mut reload = Manager::new();
        let build = async || {
            spin().await;
            Ok(1)
        };
        let deadline = Duration::from_millis(20);
        let built = reload.source("spins", build).timeout(deadline).await;
        let error = built.unwrap_err();
        assert!(format!("{error:?}").contains("not done after"), "{error:?}");
    }
}

#[tokio::test]
async fn a_build_that_uses_up_its_budget_is_not_said_to_block_its_thread() {
    let dial = Dial::new(1);
    let mut reload = Manager::new().timeout(SHORT);
    let number = reload.source("number", dial.clone()).await.unwrap();
    let build = async |n: Lease<u64>| {
        if *n == 2 {
            spin().await;
        }
        Ok(())
    };
    reload.derive("spins", &number, build).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(2);
        let error = handle.reload("test").await.unwrap_err();
        let step = error.report().unwrap().failure().unwrap();
        assert_eq!(step.name(), "spins");
        assert!(step.error().unwrap().is_timeout());
        assert!(!format!("{error:?}").contains("blocks"), "{error:?}");
        Ok(())
    });
    in_time(run).await.unwrap();
}

/// Its comparison blocks while the barrier is closed.
#[derive(Clone)]
struct Part(u64, Barrier);

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        self.1.pass();
        self.0 == other.0
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_comparison_that_blocks_meets_the_deadline_and_is_named() {
    let (dial, barrier) = (Dial::new(1), Barrier::default());
    let mut reload = Manager::new().timeout(SHORT);
    let number = reload.source("number", dial.clone()).await.unwrap();
    let blocks = barrier.clone();
    let part = number.map(move |n| Part(*n, blocks.clone()));
    let build = async |_: Part| Ok(());
    reload.derive("compares", part, build).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        barrier.close();
        dial.set(2);
        // The barrier opens after the answer.
        let error = handle.reload("test").await.unwrap_err();
        assert!(error.is_rejected(), "{error:?}");
        let step = error.report().unwrap().step("compares").unwrap();
        assert!(step.error().unwrap().is_timeout(), "{error:?}");
        barrier.open();
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_step_that_blocks_the_thread_of_others_is_in_the_report() {
    let dial = Dial::new(1);
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    // Its deadline passes while the other one blocks the thread that it waits for.
    let waits = async |n: Lease<u64>| {
        tokio::time::sleep(Duration::from_millis(if *n == 2 { 20 } else { 0 })).await;
        Ok(())
    };
    reload
        .derive("waits", &number, waits)
        .timeout(SHORT)
        .await
        .unwrap();
    let blocks = async |n: Lease<u64>| {
        std::thread::sleep(Duration::from_millis(if *n == 2 { 400 } else { 0 }));
        Ok(())
    };
    reload.derive("blocks", &number, blocks).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(2);
        let answer = handle.reload("test").await;
        // Where there is a thread for each, both are built.
        let report = answer.or_else(|error| error.report().cloned().ok_or(error))?;
        assert!(report.step("blocks").is_some(), "{report}");
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_that_a_build_waits_for_a_core_does_not_count() {
    let dial = Dial::new(1);
    let mut reload = Manager::new().timeout(Duration::from_millis(500));
    let number = reload.source("number", dial.clone()).await.unwrap();
    for n in 0..20 {
        // Together a second on two cores, which is twice what each one has.
        let build = async |n: Lease<u64>| {
            std::thread::sleep(Duration::from_millis(if *n == 2 { 100 } else { 0 }));
            Ok(())
        };
        let name = format!("blocks {n}");
        reload.derive(name, &number, build).await.unwrap();
    }
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(2);
        assert_eq!(handle.reload("test").await?.outcome(), Outcome::Applied);
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_timeout_without_end_is_possible() {
    let mut reload = Manager::new().timeout(Duration::MAX);
    let build = async || {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        Ok(1)
    };
    reload.source("waits", build).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        handle.reload("test").await?;
        Ok(())
    });
    run.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn any_number_of_wakes_before_a_poll_are_one_poll() {
    let (dial, polls) = (Dial::new(1), Arc::new(AtomicUsize::new(0)));
    let counts = Arc::clone(&polls);
    let build = async move |n: Lease<u64>| {
        if *n == 1 {
            return Ok(());
        }
        poll_fn(|cx| {
            if counts.fetch_add(1, Ordering::SeqCst) == 0 {
                for _ in 0..1000 {
                    cx.waker().wake_by_ref();
                }
            }
            Poll::Pending
        })
        .await
    };
    let mut reload = Manager::new().timeout(SHORT);
    let number = reload.source("number", dial.clone()).await.unwrap();
    reload.derive("woken", &number, build).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(2);
        assert!(handle.reload("test").await.unwrap_err().is_rejected());
        let polls = polls.load(Ordering::SeqCst);
        assert!((2..10).contains(&polls), "{polls} polls");
        Ok(())
    });
    run.await.unwrap();
}

#[tokio::test]
async fn many_quick_builds_let_others_have_a_turn() {
    let dial = Dial::new(1);
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let built = Arc::new(AtomicU64::new(0));
    for n in 0..1000 {
        let built = Arc::clone(&built);
        let build = async move |n: Lease<u64>| {
            let began = Instant::now();
            while *n == 2 && began.elapsed() < Duration::from_micros(100) {}
            built.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        let name = format!("quick {n}");
        reload.derive(name, &number, build).await.unwrap();
    }
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(2);
        handle.trigger("test");
        let (mut turns, mut before) = (0, built.load(Ordering::SeqCst));
        while handle.status().generation() == 1 {
            yield_now().await;
            let now = built.load(Ordering::SeqCst);
            turns += u32::from(std::mem::replace(&mut before, now) != now);
        }
        // They compute for a tenth of a second in all.
        assert!(turns >= 5, "{turns} turns");
        Ok(())
    });
    in_time(run).await.unwrap();
}

/// A reload is refused while a comparison of this collection blocks, and it is named.
async fn is_named_when_it_blocks(reload: Manager, dial: Dial, barrier: Barrier) {
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        barrier.close();
        dial.set(2);
        let error = in_time(handle.reload("test")).await.unwrap_err();
        barrier.open();
        assert!(error.is_rejected(), "{error:?}");
        let step = error.report().unwrap().step("many").unwrap();
        assert!(step.error().unwrap().is_timeout(), "{error:?}");
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_comparison_of_the_settings_of_a_collection_meets_the_deadline() {
    let (dial, barrier) = (Dial::new(1), Barrier::default());
    let mut reload = Manager::new().timeout(SHORT);
    let number = reload.source("number", dial.clone()).await.unwrap();
    let blocks = barrier.clone();
    let settings = move |n: Lease<u64>| BTreeMap::from([("a", Part(*n, blocks.clone()))]);
    let build = async |_, part: Part| Ok(part.0);
    reload.each("many", &number, settings, build).await.unwrap();
    is_named_when_it_blocks(reload, dial, barrier).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_comparison_of_the_inputs_of_a_collection_meets_the_deadline() {
    let (dial, barrier) = (Dial::new(1), Barrier::default());
    let mut reload = Manager::new().timeout(SHORT);
    let number = reload.source("number", dial.clone()).await.unwrap();
    let blocks = barrier.clone();
    let part = number.map(move |n| Part(*n, blocks.clone()));
    let settings = |part: Part| BTreeMap::from([("a", part.0)]);
    let build = async |_, n: u64| Ok(n);
    reload.each("many", part, settings, build).await.unwrap();
    is_named_when_it_blocks(reload, dial, barrier).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_step_that_blocks_is_to_blame_and_not_one_that_waits_beside_it() {
    let barrier = Barrier::default();
    let mut reload = Manager::new().timeout(SHORT);
    let waits = async || {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(1)
    };
    // It begins first, so its time is up first.
    reload.source("waits", waits).await.unwrap();
    let blocks = barrier.clone();
    let build = async move || {
        blocks.pass();
        Ok(1)
    };
    reload.source("blocks", build).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        barrier.close();
        let error = in_time(handle.reload("test")).await.unwrap_err();
        barrier.open();
        let report = error.report().unwrap();
        assert_eq!(report.failure().unwrap().name(), "blocks", "{report}");
        assert_ne!(report.step("waits").unwrap().action(), Action::Failed);
        Ok(())
    });
    in_time(run).await.unwrap();
}
