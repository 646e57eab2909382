//! The prepare phase: what is built, when, and with what beside it.

mod support;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use rekindle::{Action, Lease, Manager, Outcome};
use support::{Dial, in_time};
use tokio::time::{Instant, sleep};

type Building = std::pin::Pin<Box<dyn Future<Output = Result<u64, rekindle::BoxError>> + Send>>;

/// A build that takes its time.
fn takes(millis: u64) -> impl FnOnce(Lease<u64>) -> Building + Clone + Send + Sync + 'static {
    move |n| {
        Box::pin(async move {
            sleep(Duration::from_millis(millis)).await;
            Ok(*n)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn each_component_is_built_as_soon_as_its_own_inputs_are_ready() {
    let dial = Dial::new(1);
    let slow_dial = dial.clone();
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let slow_source = async move || {
        sleep(Duration::from_millis(100)).await;
        rekindle::Source::read(&slow_dial, None).await.map(|_| ())
    };
    reload.source("slow source", slow_source).await.unwrap();
    reload.derive("slow", &number, takes(100)).await.unwrap();
    let quick = reload.derive("quick", &number, takes(50)).await.unwrap();
    let then = reload.derive("then", &quick, takes(50)).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(2);
        let asked = Instant::now();
        handle.reload("test").await?;
        assert_eq!(
            asked.elapsed().as_millis(),
            100,
            "all waiting is concurrent"
        );
        assert_eq!(*then.load(), 2);
        Ok(())
    });
    run.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_hundred_components_that_wait_wait_together() {
    let dial = Dial::new(1);
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    for n in 0..100 {
        reload
            .derive(format!("c{n}"), &number, takes(10))
            .await
            .unwrap();
    }
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(2);
        let asked = Instant::now();
        let report = handle.reload("test").await?;
        assert_eq!(asked.elapsed().as_millis(), 10);
        assert_eq!(report.steps().len(), 101);
        Ok(())
    });
    run.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn components_that_compute_are_built_on_several_threads() {
    let dial = Dial::new(1);
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    // The first one proves slow; the two after it meet at a barrier, each on a thread of its own.
    let slow = async |n: Lease<u64>| {
        std::thread::sleep(Duration::from_millis(2));
        Ok(*n)
    };
    reload.derive("slow", &number, slow).await.unwrap();
    let meeting = Arc::new(Barrier::new(2));
    for name in ["left", "right"] {
        let meeting = Arc::clone(&meeting);
        let build = async move |n: Lease<u64>| {
            if *n == 2 {
                meeting.wait();
            }
            Ok(*n)
        };
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn components_that_compute_after_having_waited_are_built_on_several_threads() {
    let dial = Dial::new(1);
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let slow = async |n: Lease<u64>| {
        tokio::task::yield_now().await;
        std::thread::sleep(Duration::from_millis(2));
        Ok(*n)
    };
    reload.derive("slow", &number, slow).await.unwrap();
    let meeting = Arc::new(Barrier::new(2));
    for name in ["left", "right"] {
        let meeting = Arc::clone(&meeting);
        let build = async move |n: Lease<u64>| {
            tokio::task::yield_now().await;
            if *n == 2 {
                meeting.wait();
            }
            Ok(*n)
        };
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

#[tokio::test]
async fn what_did_not_change_is_not_rebuilt_and_what_cannot_have_changed_is_not_even_looked_at() {
    let (one, other) = (Dial::new(10), Dial::new(10));
    let builds = Arc::new(AtomicU64::new(0));
    let looks = Arc::new(AtomicUsize::new(0));
    let mut reload = Manager::new();
    let one_live = reload.source("one", one.clone()).await.unwrap();
    let other_live = reload.source("other", other.clone()).await.unwrap();
    for (name, live) in [("ones", &one_live), ("others", &other_live)] {
        let looked = Arc::clone(&looks);
        let tens = live.map(move |n| {
            looked.fetch_add(1, Ordering::SeqCst);
            n / 10
        });
        let built = Arc::clone(&builds);
        let build = async move |tens| {
            built.fetch_add(1, Ordering::SeqCst);
            Ok(tens)
        };
        let live = reload.derive(name, tens, build).await.unwrap();
        reload
            .derive(format!("{name} above"), &live, async |n| Ok(*n))
            .await
            .unwrap();
    }
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        looks.store(0, Ordering::SeqCst);
        let report = handle.reload("nothing changed").await?;
        assert_eq!(
            (report.outcome(), report.generation()),
            (Outcome::Unchanged, 1)
        );
        assert_eq!((report.steps().len(), report.untouched()), (2, 4));
        assert_eq!(looks.load(Ordering::SeqCst), 0);

        one.set(11);
        let report = handle.reload("another value, the same part").await?;
        assert_eq!(
            (report.outcome(), report.generation()),
            (Outcome::Applied, 2)
        );
        assert_eq!(report.step("ones").unwrap().action(), Action::Unchanged);
        assert!(report.step("ones above").is_none());
        assert_eq!((report.steps().len(), report.untouched()), (3, 3));
        assert_eq!(
            (looks.load(Ordering::SeqCst), builds.load(Ordering::SeqCst)),
            (1, 2)
        );

        one.set(20);
        let report = handle.reload("another part").await?;
        assert_eq!(report.step("ones").unwrap().action(), Action::Rebuilt);
        assert_eq!(report.step("ones above").unwrap().action(), Action::Rebuilt);
        assert_eq!(builds.load(Ordering::SeqCst), 3);
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn a_build_sees_the_new_values_of_all_its_inputs_once() {
    let dial = Dial::new(1);
    let builds = Arc::new(AtomicU64::new(0));
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let half = number.map(|n| n / 2);
    let double = reload
        .derive("double", &number, async |n| Ok(*n * 2))
        .await
        .unwrap();
    let quad = reload
        .derive("quad", &double, async |n| Ok(*n * 2))
        .await
        .unwrap();
    let built = Arc::clone(&builds);
    let all = (&number, half, &double, &quad, number.select(|n| n));
    let build = async move |(n, half, double, quad, same): (
        Lease<u64>,
        u64,
        Lease<u64>,
        Lease<u64>,
        u64,
    )| {
        built.fetch_add(1, Ordering::SeqCst);
        Ok([*n, half, *double, *quad, same])
    };
    let all = reload.derive("all", all, build).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(10);
        handle.reload("test").await?;
        assert_eq!(*all.load(), [10, 5, 20, 40, 10]);
        assert_eq!(builds.load(Ordering::SeqCst), 2);
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn a_check_reports_what_a_reload_would_do_and_does_nothing() {
    let dial = Dial::new(1);
    let ran = Arc::new(AtomicU64::new(0));
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let counts = Arc::clone(&ran);
    reload.add(0, "effect", async move |_: rekindle::Triggers| {
        counts.fetch_add(1, Ordering::SeqCst);
    });
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        assert_eq!(handle.check().await?.outcome(), Outcome::Unchanged);
        dial.set(2);
        let report = handle.check().await?;
        assert!(report.is_check());
        assert_eq!((report.outcome(), report.generation()), (Outcome::Valid, 1));
        assert_eq!(report.step("number").unwrap().action(), Action::Rebuilt);
        dial.break_with("broken");
        assert!(handle.check().await.unwrap_err().is_rejected());
        assert_eq!(*number.load(), 1);
        assert_eq!(ran.load(Ordering::SeqCst), 0);
        let status = handle.status();
        assert_eq!(
            (status.reports().len(), status.consecutive_failures()),
            (0, 0)
        );
        // What a check has read is not what a reload has: the change is still there to be made.
        dial.set(2);
        assert_eq!(handle.reload("test").await?.outcome(), Outcome::Applied);
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_graphs_end_where_building_everything_anew_would() {
    // A small linear congruential generator: the same graphs in every run.
    let mut state = 42_u64;
    let mut random = move |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % below
    };
    for _ in 0..30 {
        let mut reload = Manager::new();
        let dials: Vec<Dial> = (0..5).map(|n| Dial::new(n * 10)).collect();
        let mut nodes = Vec::new();
        for (n, dial) in dials.iter().enumerate() {
            nodes.push(
                reload
                    .source(format!("source {n}"), dial.clone())
                    .await
                    .unwrap(),
            );
        }
        // Each derived node is the sum of one input and the tens of another.
        let mut wiring = Vec::new();
        for n in 0..40 {
            let (a, b) = (random(nodes.len()), random(nodes.len()));
            let inputs = (&nodes[a], nodes[b].map(|n| n / 10));
            let wait = random(3);
            let build = async move |(a, b): (Lease<u64>, u64)| {
                for _ in 0..wait {
                    tokio::task::yield_now().await;
                }
                Ok((*a + b) % 1_000)
            };
            let node = reload
                .derive(format!("derived {n}"), inputs, build)
                .await
                .unwrap();
            wiring.push((a, b));
            nodes.push(node);
        }
        let edits: Vec<Vec<(usize, u64)>> = (0..20)
            .map(|_| {
                (0..random(4))
                    .map(|_| (random(5), random(60) as u64))
                    .collect()
            })
            .collect();
        let handle = reload.handle();
        let run = reload.run(async move |_| {
            for edit in edits {
                for (dial, value) in edit {
                    dials[dial].set(value);
                }
                handle.reload("test").await?;
                let now = handle.snapshot();
                let mut expected: Vec<u64> = (0..5).map(|n| *now.get(&nodes[n])).collect();
                for &(a, b) in &wiring {
                    expected.push((expected[a] + expected[b] / 10) % 1_000);
                }
                let values: Vec<u64> = nodes.iter().map(|node| *now.get(node)).collect();
                assert_eq!(values, expected);
            }
            Ok(())
        });
        in_time(run).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn finding_out_what_to_build_is_not_taken_for_a_slow_build() {
    let dial = Dial::new(1);
    let tasks = Arc::new(Mutex::new(BTreeSet::new()));
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let root = reload.derive("root", &number, async |n: Lease<u64>| Ok(*n));
    let root = root.await.unwrap();
    // Many, so that it takes longer than a build may in place.
    for n in 0..5_000 {
        let tasks = Arc::clone(&tasks);
        let build = async move |_| {
            let id = tokio::task::try_id().map(|id| id.to_string());
            tasks.lock().unwrap().insert(id);
            Ok(())
        };
        reload.derive(n.to_string(), &root, build).await.unwrap();
    }
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        in_time(async {
            // Something else on this machine may make a build slow, but not always.
            for value in 2.. {
                tasks.lock().unwrap().clear();
                dial.set(value);
                handle.reload("test").await?;
                if tasks.lock().unwrap().len() == 1 {
                    break;
                }
            }
            Ok(())
        })
        .await
    });
    run.await.unwrap();
}
