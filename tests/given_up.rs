//! A reload that is given up, by a deadline or a stop, while code of the app's blocks its thread.

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rekindle::{Action, BoxError, Lease, Manager, Notifier, Outcome, Trigger, Triggers};
use support::{Barrier, Dial, Latch, eventually, in_time, reload_until_it_works};

/// The deadline of what blocks.
const SHORT: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_build_that_ends_while_a_stop_gives_it_up_is_reported_once() {
    for pause in [0, 10, 40] {
        let barrier = Barrier::default();
        let blocks = barrier.clone();
        let mut reload = Manager::new();
        let build = async move || {
            blocks.pass();
            Ok(1)
        };
        reload.source("blocks", build).await.unwrap();
        let handle = reload.handle();
        let run = reload.run(async move |stop| {
            barrier.close();
            let asked = tokio::spawn(async move { handle.reload("test").await });
            barrier.arrival().await;
            stop.cancel();
            // However long it takes to end: before it is given up, meanwhile or after it.
            tokio::time::sleep(Duration::from_millis(pause)).await;
            barrier.open();
            let report = match in_time(asked).await? {
                // The build ended before the stop was seen.
                Ok(report) => report,
                Err(error) => Arc::clone(error.report().unwrap()),
            };
            let committed = report.generation() == 2;
            match report.outcome() {
                Outcome::Applied => assert!(committed),
                outcome => assert_eq!(outcome, Outcome::Interrupted { committed }),
            }
            assert_eq!(report.steps().len(), 1, "{report}");
            Ok(())
        });
        in_time(run).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_build_that_ends_while_a_deadline_gives_it_up_is_reported_once() {
    // A step that blocks is given up some 100 ms after its deadline.
    for blocked in [140, 150, 160] {
        let dial = Dial::new(0);
        let mut reload = Manager::new().timeout(SHORT);
        let number = reload.source("number", dial.clone()).await.unwrap();
        let build = async |n: Lease<u64>| {
            std::thread::sleep(Duration::from_millis(*n));
            Ok(())
        };
        reload.derive("blocks", &number, build).await.unwrap();
        let handle = reload.handle();
        let run = reload.run(async move |_| {
            dial.set(blocked);
            let answer = handle.reload("test").await;
            // It may just have been in time.
            let report = answer.or_else(|error| error.report().cloned().ok_or(error))?;
            let of_it = report.steps().iter().filter(|step| step.name() == "blocks");
            assert_eq!(of_it.count(), 1, "{report}");
            Ok(())
        });
        in_time(run).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_reload_that_was_given_up_starts_nothing_more() {
    let barrier = Barrier::default();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut reload = Manager::new();
    let blocks = barrier.clone();
    reload
        .add(1, "blocks", async move |_| blocks.pass())
        .timeout(SHORT);
    let note = Arc::clone(&seen);
    reload.add(2, "later", async move |triggers: Triggers| {
        note.lock().unwrap().push(triggers.contains("given up"));
    });
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        barrier.close();
        let error = handle.reload("given up").await.unwrap_err();
        assert!(error.is_partial(), "{error:?}");
        let report = error.report().unwrap();
        assert_eq!(report.step("blocks").unwrap().action(), Action::Failed);
        assert_eq!(report.step("later").unwrap().action(), Action::Skipped);
        barrier.open();
        reload_until_it_works(&handle).await;
        Ok(())
    });
    in_time(run).await.unwrap();
    // Nothing is running any more, so there is nothing to come.
    assert_eq!(*seen.lock().unwrap(), [false]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn an_effect_that_is_refused_because_it_still_runs_stays_due() {
    let (dial, barrier) = (Dial::new(1), Barrier::default());
    let applied = Arc::new(AtomicU64::new(0));
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let (blocks, stores) = (barrier.clone(), Arc::clone(&applied));
    let effect = async move |n: Lease<u64>| {
        if *n == 2 {
            blocks.pass();
        }
        stores.store(*n, Ordering::SeqCst);
    };
    reload
        .apply("effect", &number, effect)
        .timeout(SHORT)
        .await
        .unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        barrier.close();
        for value in [2, 3] {
            dial.set(value);
            let error = handle.reload("test").await.unwrap_err();
            assert!(error.is_partial(), "{error:?}");
        }
        barrier.open();
        let ended = || applied.load(Ordering::SeqCst) == 2;
        eventually("the first attempt ends", ended).await;
        reload_until_it_works(&handle).await;
        assert_eq!(applied.load(Ordering::SeqCst), 3);
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn builds_that_a_refusal_cut_short_are_not_in_the_way_of_the_next_reload() {
    let dial = Dial::new(1);
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    for n in 0..4 {
        // It computes, so it is given a task of its own; and it is still at it at the refusal.
        let build = async |n: Lease<u64>| {
            for _ in 0..10 {
                std::thread::sleep(Duration::from_millis(if *n == 1 { 0 } else { 4 }));
                tokio::task::yield_now().await;
            }
            Ok(())
        };
        let name = format!("computes {n}");
        reload.derive(name, &number, build).await.unwrap();
    }
    let build = async |n: Lease<u64>| {
        tokio::time::sleep(Duration::from_millis(10)).await;
        if *n == 13 {
            Err("unlucky".into())
        } else {
            Ok(())
        }
    };
    reload.derive("checks", &number, build).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        for round in 0..5 {
            dial.set(13);
            let error = handle.reload("bad").await.unwrap_err();
            assert!(format!("{error:?}").contains("unlucky"), "{error:?}");
            dial.set(100 + round);
            handle.reload("good").await?;
        }
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_only_waited_beside_a_step_that_blocks_is_not_in_the_way_of_the_next_reload() {
    let (dial, barrier) = (Dial::new(1), Barrier::default());
    let ended = Arc::new(AtomicBool::new(false));
    let mut reload = Manager::new().timeout(SHORT);
    let number = reload.source("number", dial.clone()).await.unwrap();
    for name in ["waits", "waits too"] {
        let waits = async || {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok(1)
        };
        reload.source(name, waits).await.unwrap();
    }
    let (blocks, ends) = (barrier.clone(), Arc::clone(&ended));
    let build = async move |n: Lease<u64>| {
        if *n == 2 {
            blocks.pass();
            ends.store(true, Ordering::SeqCst);
        }
        Ok(())
    };
    reload.derive("blocks", &number, build).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        barrier.close();
        dial.set(2);
        let error = handle.reload("test").await.unwrap_err();
        assert_eq!(error.report().unwrap().failure().unwrap().name(), "blocks");
        // As it was: so what blocks need not start again.
        dial.set(1);
        reload_until_it_works(&handle).await;
        assert!(!ended.load(Ordering::SeqCst));
        barrier.open();
        Ok(())
    });
    in_time(run).await.unwrap();
}

/// Triggers once, and then blocks its thread.
struct Blocks(Barrier, bool);

impl Notifier for Blocks {
    async fn notify(&mut self) -> Result<Trigger, BoxError> {
        if std::mem::replace(&mut self.1, true) {
            self.0.pass();
            std::future::pending::<()>().await;
        }
        Ok("the notifier".into())
    }

    fn name(&self) -> String {
        "the notifier".to_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_notifier_that_blocks_its_thread_is_no_step_of_the_reload() {
    let (latch, barrier) = (Latch::new(), Barrier::default());
    let mut reload = Manager::new();
    let wait = latch.clone();
    let build = async move || {
        wait.pass().await;
        Ok(1)
    };
    reload.source("waits", build).await.unwrap();
    reload.on(Blocks(barrier.clone(), false));
    latch.close();
    barrier.close();
    let mut reports = reload.handle().subscribe();
    let run = reload.run(async move |stop| {
        latch.arrival().await;
        barrier.arrival().await;
        stop.cancel();
        let report = in_time(reports.next()).await.unwrap();
        assert_eq!(report.step("waits").unwrap().action(), Action::Abandoned);
        assert!(report.step("the notifier").is_none(), "{report}");
        barrier.open();
        Ok(())
    });
    in_time(run).await.unwrap();
}
