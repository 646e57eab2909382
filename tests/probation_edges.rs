//! Probation at its edges: what blocks, hangs, fails in the middle of something, or is stopped; and what
//! is held back because it failed.

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rekindle::{Action, BoxError, Lease, Manager, OnExit, Outcome, StepError};
use support::{Barrier, Dial, eventually, in_time};
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const SHORT: Duration = Duration::from_millis(10);

const HOUR: Duration = Duration::from_secs(3600);

/// A probe that fails while this says so.
async fn unless(sick: Arc<AtomicBool>) -> Result<(), BoxError> {
    match sick.load(Ordering::SeqCst) {
        true => Err("sick".into()),
        false => Ok(()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_probe_that_blocks_its_thread_fails_too() {
    let (dial, barrier) = (Dial::new(1), Barrier::default());
    let blocks = barrier.clone();
    let ended = Arc::new(Notify::new());
    let ends = Arc::clone(&ended);
    let reload = Manager::new().timeout(Duration::from_millis(50));
    let mut reload = reload.probation(SHORT, async move || {
        blocks.pass();
        ends.notify_one();
        Ok(())
    });
    let number = reload.source("number", dial.clone()).await.unwrap();
    let runs = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&runs);
    let worker = reload.derive("worker", &number, async |n: Lease<u64>| Ok(*n));
    let worker = worker.runs(async move |n: Lease<u64>, stop: CancellationToken| {
        notes.lock().unwrap().push(*n);
        stop.cancelled().await;
    });
    worker.await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        barrier.close();
        dial.set(2);
        let error = handle.reload("test").await.unwrap_err();
        let report = error.report().unwrap();
        assert_eq!(report.outcome(), Outcome::RolledBack);
        let said = "`probation` failed: not done after 50ms, and it blocks its thread";
        assert!(format!("{error:?}").contains(said), "{error:?}");
        assert_eq!((report.generation(), *number.load()), (3, 1));
        eventually("its task runs again", || *runs.lock().unwrap() == [1, 2, 1]).await;
        barrier.open();
        ended.notified().await;
        // What comes late has no effect, and the same again is refused.
        assert!(handle.reload("again").await.unwrap_err().is_rejected());
        dial.set(3);
        handle.reload("edited").await?;
        assert_eq!((number.load().generation(), *number.load()), (4, 3));
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_effect_that_blocks_its_thread_is_a_reason_to_roll_back() {
    let (dial, barrier) = (Dial::new(1), Barrier::default());
    let reload = Manager::new().timeout(Duration::from_millis(50));
    let mut reload = reload.probation(SHORT, async || ());
    let number = reload.source("number", dial.clone()).await.unwrap();
    let (blocks, pushed) = (barrier.clone(), Arc::new(AtomicUsize::new(0)));
    let pushes = Arc::clone(&pushed);
    let push = async move |n: Lease<u64>| {
        blocks.pass();
        pushes.store(*n as usize, Ordering::SeqCst);
    };
    reload.apply("gauge", &number, push).await.unwrap();
    reload.add(0, "hook", async |_| ());
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        barrier.close();
        dial.set(2);
        let error = handle.reload("test").await.unwrap_err();
        let report = error.report().unwrap();
        assert_eq!(report.outcome(), Outcome::RolledBack);
        assert_eq!(report.failure().unwrap().name(), "gauge");
        assert_eq!(report.step("hook").unwrap().action(), Action::Skipped);
        assert_eq!(*number.load(), 1);
        barrier.open();
        eventually("it has pushed too late", || {
            pushed.load(Ordering::SeqCst) == 2
        })
        .await;
        // It could not be run for what was rolled back to, so that is made up for.
        dial.set(1);
        handle.reload("repaired").await?;
        assert_eq!(pushed.load(Ordering::SeqCst), 1);
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_probation_keeps_drains_only_when_it_has_passed() {
    let dial = Dial::new(1);
    let day = Duration::from_secs(24 * 60 * 60);
    let mut reload = Manager::new().probation(day, async || ());
    let number = reload.source("number", dial.clone()).retire(async |_| ());
    let number = number.await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        let held = number.lease();
        dial.set(2);
        let other = handle.clone();
        let reloading = tokio::spawn(async move { other.reload("test").await });
        sleep(day / 2).await;
        assert_eq!(*number.load(), 2);
        assert!(handle.status().draining().is_empty(), "it is kept");
        let report = reloading.await??;
        assert_eq!(report.overdue().len(), 0);
        let status = handle.status();
        assert_eq!(status.draining().len(), 1);
        assert_eq!(status.draining()[0].generation(), 1);
        assert!(!status.draining()[0].is_overdue());
        drop(held);
        Ok(())
    });
    run.await.unwrap();
}

#[tokio::test]
async fn a_probe_that_fails_after_the_stop_rolls_nothing_back() {
    let dial = Dial::new(1);
    let (asked, stopping) = (Arc::new(Notify::new()), CancellationToken::new());
    let (asks, stops) = (Arc::clone(&asked), stopping.clone());
    let mut reload = Manager::new().probation(HOUR, async move || {
        asks.notify_one();
        stops.cancelled().await;
        Err::<(), BoxError>("the server accepts nothing any more".into())
    });
    let number = reload.source("number", dial.clone()).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |stop: CancellationToken| {
        tokio::spawn(async move {
            stop.cancelled().await;
            stopping.cancel();
        });
        dial.set(2);
        handle.trigger("test");
        asked.notified().await;
    });
    in_time(run).await.unwrap();
    assert_eq!((number.load().generation(), *number.load()), (2, 2));
}

#[tokio::test]
async fn a_probe_that_hangs_does_not_hold_up_a_stop() {
    let dial = Dial::new(1);
    let asked = Arc::new(Notify::new());
    let asks = Arc::clone(&asked);
    // Neither the timeout nor the grace period ends it in time.
    let long = Duration::from_secs(600);
    let reload = Manager::new().timeout(long).grace(long);
    let mut reload = reload.probation(long, async move || {
        asks.notify_one();
        std::future::pending::<()>().await;
    });
    reload.source("number", dial.clone()).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(2);
        handle.trigger("test");
        asked.notified().await;
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn a_probation_may_be_as_long_as_can_be() {
    let dial = Dial::new(1);
    let asked = Arc::new(Notify::new());
    let asks = Arc::clone(&asked);
    let probe = async move || asks.notify_one();
    let mut reload = Manager::new().probation(Duration::MAX, probe);
    reload.source("number", dial.clone()).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(2);
        let other = handle.clone();
        let first = tokio::spawn(async move { other.reload("first").await });
        asked.notified().await;
        handle.reload("second").await.unwrap();
        assert_eq!(first.await.unwrap().unwrap().outcome(), Outcome::Applied);
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn what_was_rolled_back_waits_for_no_restart() {
    let dial = Dial::new(1);
    let sick = async || Err::<(), BoxError>("sick".into());
    let mut reload = Manager::new().probation(SHORT, sick);
    let number = reload.source("number", dial.clone()).await.unwrap();
    reload.pin("pinned", number.map(|n| *n)).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(2);
        let error = handle.reload("test").await.unwrap_err();
        let report = error.report().unwrap();
        assert_eq!(report.outcome(), Outcome::RolledBack);
        assert_eq!(report.pending_restart().len(), 0);
        assert_eq!(handle.status().pending_restart().len(), 0);
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn a_check_refuses_what_is_held_back() {
    let dial = Dial::new(1);
    let sick = async || Err::<(), BoxError>("sick".into());
    let mut reload = Manager::new().probation(SHORT, sick);
    reload.source("number", dial.clone()).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(2);
        assert!(handle.reload("test").await.unwrap_err().is_rolled_back());
        assert!(handle.check().await.unwrap_err().is_rejected());
        assert!(handle.reload("test").await.unwrap_err().is_rejected());
    });
    in_time(run).await.unwrap();
}

/// Not at those of others, which may be longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_probe_that_blocks_is_noticed_at_its_own_timeout() {
    let (dial, barrier) = (Dial::new(1), Barrier::default());
    let blocks = barrier.clone();
    let reload = Manager::new().timeout(Duration::from_millis(50));
    let mut reload = reload.probation(SHORT, async move || blocks.pass());
    let number = reload.source("number", dial.clone());
    number.timeout(HOUR).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        barrier.close();
        dial.set(2);
        let began = Instant::now();
        assert!(handle.reload("test").await.unwrap_err().is_rolled_back());
        assert!(
            began.elapsed() < Duration::from_secs(15),
            "{:?}",
            began.elapsed()
        );
        barrier.open();
    });
    in_time(run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_met_a_probe_that_still_blocked_is_refused_and_not_held_back() {
    let (dial, barrier) = (Dial::new(1), Barrier::default());
    let (blocks, ended) = (barrier.clone(), Arc::new(AtomicUsize::new(0)));
    let ends = Arc::clone(&ended);
    let reload = Manager::new().timeout(Duration::from_millis(50));
    let mut reload = reload.probation(SHORT, async move || {
        blocks.pass();
        ends.fetch_add(1, Ordering::SeqCst);
    });
    let number = reload.source("number", dial.clone()).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        barrier.close();
        dial.set(2);
        assert!(handle.reload("blocks").await.unwrap_err().is_rolled_back());
        dial.set(3);
        let error = handle.reload("good").await.unwrap_err();
        assert!(error.is_rejected(), "{error:?}");
        assert_eq!((handle.status().generation(), *number.load()), (3, 1));
        barrier.open();
        eventually("the first probe ends", || ended.load(Ordering::SeqCst) > 0).await;
        let applied = loop {
            // The thread may need a moment to leave the probe.
            match handle.reload("good").await {
                Err(error) if error.is_rejected() => sleep(SHORT).await,
                applied => break applied,
            }
        };
        assert_eq!(applied?.outcome(), Outcome::Applied);
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_met_an_effect_that_still_blocked_is_refused_and_not_held_back() {
    let (dial, barrier) = (Dial::new(1), Barrier::default());
    let reload = Manager::new().timeout(Duration::from_millis(50));
    let mut reload = reload.probation(SHORT, async || ());
    let number = reload.source("number", dial.clone()).await.unwrap();
    let blocks = barrier.clone();
    let push = async move |n: Lease<u64>| {
        if *n == 2 {
            blocks.pass();
        }
    };
    reload.apply("gauge", &number, push).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        barrier.close();
        dial.set(2);
        assert!(handle.reload("blocks").await.unwrap_err().is_rolled_back());
        dial.set(3);
        let error = handle.reload("good").await.unwrap_err();
        let step = error.report().unwrap().failure().unwrap();
        assert!(error.is_rejected() && step.name() == "gauge", "{error:?}");
        barrier.open();
        let applied = loop {
            match handle.reload("good").await {
                Err(error) if error.is_rejected() => sleep(SHORT).await,
                applied => break applied,
            }
        };
        assert_eq!(applied?.outcome(), Outcome::Applied);
        Ok(())
    });
    in_time(run).await.unwrap();
}

/// An effect that blocked comes to its end when nobody cares any more, and holds nothing after that.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_effect_that_comes_too_late_keeps_nothing_of_what_failed() {
    let (dial, barrier) = (Dial::new(1), Barrier::default());
    let retired = Arc::new(Mutex::new(Vec::new()));
    let retires = Arc::clone(&retired);
    let reload = Manager::new().timeout(Duration::from_millis(50));
    let mut reload = reload.probation(SHORT, async || ());
    let number = reload.source("number", dial.clone());
    let number = number.retire(async move |n: u64| retires.lock().unwrap().push(n));
    let number = number.await.unwrap();
    let blocks = barrier.clone();
    let push = async move |n: Lease<u64>| {
        if *n == 2 {
            blocks.pass();
        }
    };
    reload.apply("gauge", &number, push).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        barrier.close();
        dial.set(2);
        assert!(handle.reload("bad").await.unwrap_err().is_rolled_back());
        assert_eq!(handle.status().draining().len(), 1, "the effect holds it");
        barrier.open();
        eventually("it is retired", || *retired.lock().unwrap() == [2]).await;
        assert!(handle.status().draining().is_empty());
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn an_effect_that_failed_on_the_way_back_is_tried_again_though_the_file_is_held_back() {
    let (dial, down) = (Dial::new(1), Arc::new(AtomicBool::new(false)));
    let pushed = Arc::new(Mutex::new(Vec::new()));
    let mut reload = Manager::new().probation(SHORT, async || ());
    let number = reload.source("number", dial.clone()).await.unwrap();
    let (pushes, fails) = (Arc::clone(&pushed), Arc::clone(&down));
    let push = async move |n: Lease<u64>| {
        pushes.lock().unwrap().push(*n);
        match fails.load(Ordering::SeqCst) {
            true => Err("down".into()),
            false => Ok(()),
        }
    };
    reload.apply("gauge", &number, push).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        down.store(true, Ordering::SeqCst);
        dial.set(2);
        assert!(handle.reload("bad").await.unwrap_err().is_rolled_back());
        down.store(false, Ordering::SeqCst);
        for pushes in [&[1, 2, 1, 1][..], &[1, 2, 1, 1]] {
            assert!(handle.reload("again").await.unwrap_err().is_rejected());
            assert_eq!(*pushed.lock().unwrap(), pushes);
        }
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn what_was_edited_and_edited_back_is_tried_again() {
    const BAD: u64 = 9;
    let (dial, sick) = (Dial::new(1), Arc::new(AtomicBool::new(true)));
    let health = Arc::clone(&sick);
    let mut reload = Manager::new().probation(SHORT, async move || unless(health).await);
    let number = reload.source("number", dial.clone()).await.unwrap();
    let build = async |n: Lease<u64>| match *n {
        BAD => Err("bad luck".into()),
        n => Ok(n),
    };
    reload.derive("checked", &number, build).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(2);
        assert!(handle.reload("bad").await.unwrap_err().is_rolled_back());
        sick.store(false, Ordering::SeqCst);
        // A check changes nothing, also not what is held back.
        dial.set(1);
        handle.check().await?;
        dial.set(2);
        assert!(handle.reload("again").await.unwrap_err().is_rejected());
        dial.set(1);
        assert_eq!(handle.reload("back").await?.outcome(), Outcome::Unchanged);
        dial.set(2);
        sick.store(true, Ordering::SeqCst);
        assert!(handle.reload("forth").await.unwrap_err().is_rolled_back());
        // What is refused for another reason is an edit, too.
        dial.set(BAD);
        assert!(handle.reload("worse").await.unwrap_err().is_rejected());
        dial.set(2);
        sick.store(false, Ordering::SeqCst);
        assert_eq!(handle.reload("forth").await?.outcome(), Outcome::Applied);
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn what_is_held_back_is_refused_whatever_else_changes() {
    let (bad, busy) = (Dial::new(1), Dial::new(0));
    let sick = Arc::new(AtomicBool::new(true));
    let health = Arc::clone(&sick);
    let mut reload = Manager::new().probation(SHORT, async move || unless(health).await);
    reload.source("bad", bad.clone()).await.unwrap();
    reload.source("busy", busy.clone()).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        bad.set(2);
        assert!(handle.reload("bad").await.unwrap_err().is_rolled_back());
        for n in 1..4 {
            busy.set(n);
            let error = handle.reload("busy").await.unwrap_err();
            assert!(error.is_rejected(), "{error:?}");
        }
        // Reverting it is an edit, and lets the others through.
        bad.set(1);
        sick.store(false, Ordering::SeqCst);
        assert_eq!(handle.reload("reverted").await?.outcome(), Outcome::Applied);
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn nothing_is_built_from_what_is_held_back() {
    let (dial, sick) = (Dial::new(1), Arc::new(AtomicBool::new(true)));
    let health = Arc::clone(&sick);
    let mut reload = Manager::new().probation(SHORT, async move || unless(health).await);
    let number = reload.source("number", dial.clone()).await.unwrap();
    let built = Arc::new(AtomicUsize::new(0));
    let builds = Arc::clone(&built);
    let build = async move |n: Lease<u64>| {
        builds.fetch_add(1, Ordering::SeqCst);
        Ok(*n)
    };
    reload.derive("pool", &number, build).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(2);
        assert!(handle.reload("bad").await.unwrap_err().is_rolled_back());
        let before = built.load(Ordering::SeqCst);
        for _ in 0..5 {
            handle.reload("again").await.unwrap_err();
            handle.check().await.unwrap_err();
        }
        assert_eq!(built.load(Ordering::SeqCst), before);
    });
    in_time(run).await.unwrap();
}

/// Not after an hour, and not with the end of the run: the previous one was well.
#[tokio::test]
async fn a_task_that_would_end_the_run_ends_the_probation_that_it_began_with() {
    let dial = Dial::new(1);
    let mut reload = Manager::new().probation(HOUR, async || ());
    let worker = reload.source("worker", dial.clone());
    let worker = worker.runs(async move |n: Lease<u64>, stop: CancellationToken| {
        if *n == 2 {
            return Err("no connection".into());
        }
        stop.cancelled().await;
        Ok(())
    });
    let number = worker.on_exit(OnExit::Stop).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |stop: CancellationToken| {
        dial.set(2);
        let error = handle.reload("test").await.unwrap_err();
        assert!(error.is_rolled_back(), "{error:?}");
        let failure = error.report().unwrap().failure().unwrap();
        assert_eq!(failure.name(), "probation");
        assert_eq!(
            failure.error().map(StepError::chain),
            Some("the task of component `worker` failed: no connection".into())
        );
        assert_eq!(*number.load(), 1);
        assert!(!stop.is_cancelled());
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn a_stop_in_a_probation_is_an_interruption_with_and_without_reloaders() {
    for hook in [false, true] {
        let (dial, asked) = (Dial::new(1), Arc::new(Notify::new()));
        let asks = Arc::clone(&asked);
        let mut reload = Manager::new().probation(HOUR, async move || asks.notify_one());
        reload.source("number", dial.clone()).await.unwrap();
        if hook {
            reload.add(0, "hook", async |_| ());
        }
        let handle = reload.handle();
        let mut reports = handle.subscribe();
        let run = reload.run(async move |stop: CancellationToken| {
            dial.set(2);
            handle.trigger("test");
            asked.notified().await;
            stop.cancel();
        });
        in_time(run).await.unwrap();
        let outcome = reports.next().await.unwrap().outcome();
        assert_eq!(outcome, Outcome::Interrupted { committed: true });
    }
}
