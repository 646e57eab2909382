//! Probation at its edges: what blocks, hangs, fails in the middle of something, or is stopped.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rekindle::{Action, BoxError, Lease, Manager, Outcome};
use support::{Automatic, Barrier, Dial, eventually, in_time, reload_until_it_works};
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const SHORT: Duration = Duration::from_millis(10);

const HOUR: Duration = Duration::from_secs(3600);

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
    let mut automatic = Automatic::new(&mut reload);
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
        assert_eq!(automatic.reload().await.outcome(), Outcome::Rejected);
        dial.set(3);
        reload_until_it_works(&handle).await;
        assert_eq!((number.load().generation(), *number.load()), (4, 3));
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
    // Neither the timeout nor the shutdown budget ends it in time.
    let long = Duration::from_secs(600);
    let reload = Manager::new().timeout(long).shutdown_timeout(long);
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
