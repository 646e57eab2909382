//! Invariants 9, 10 and 11: structured, stop outranks reload, a notifier that fails ends nothing.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use rekindle::{Action, BoxError, Error, Manager, Notifier, OnError, Outcome, Trigger};
use support::{Dial, Latch, eventually, in_time};
use tokio::runtime;
use tokio::time::Instant;

/// Says when it is dropped.
struct Flag(Arc<AtomicBool>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Waits for ever.
struct Silent(#[allow(dead_code, reason = "its drop is what counts")] Flag);

impl Notifier for Silent {
    async fn notify(&mut self) -> Result<Trigger, BoxError> {
        std::future::pending::<()>().await;
        Ok("never".into())
    }
}

fn tasks() -> usize {
    runtime::Handle::current().metrics().num_alive_tasks()
}

#[tokio::test]
async fn invariant_9_when_run_returns_nothing_is_running() {
    let (dial, latch, gone) = (Dial::new(1), Latch::new(), Arc::new(AtomicBool::new(false)));
    let before = tasks();
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let wait = latch.clone();
    let build = async move |_: rekindle::Lease<u64>| {
        wait.pass().await;
        Ok(())
    };
    reload.derive("slow", &number, build).await.unwrap();
    reload.on(Silent(Flag(Arc::clone(&gone))));
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        latch.close();
        dial.set(2);
        handle.trigger("test");
        latch.arrival().await;
        // The app ends while a reload is in the middle of its prepare phase.
        Ok(())
    });
    in_time(run).await.unwrap();
    assert!(gone.load(Ordering::SeqCst), "the notifier was dropped");
    assert_eq!(tasks(), before);
}

#[tokio::test]
async fn invariant_9_dropping_the_run_stops_everything_and_answers_everyone() {
    let (latch, gone) = (Latch::new(), Arc::new(AtomicBool::new(false)));
    let before = tasks();
    let mut reload = Manager::new();
    let wait = latch.clone();
    reload.add(0, "slow", async move |_: rekindle::Triggers| {
        wait.pass().await;
    });
    reload.on(Silent(Flag(Arc::clone(&gone))));
    let handle = reload.handle();
    latch.close();
    let run = tokio::spawn(async move { reload.run(|_| std::future::pending::<()>()).await });
    let asked = tokio::spawn(async move { handle.reload("test").await });
    in_time(latch.arrival()).await;
    run.abort();
    assert!(in_time(asked).await.unwrap().unwrap_err().is_stopped());
    eventually("all tasks are gone", || tasks() == before).await;
    assert!(gone.load(Ordering::SeqCst), "the notifier was dropped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn invariant_9_what_cannot_be_stopped_is_named() {
    let (release, blocked) = mpsc::channel::<()>();
    let blocked = Arc::new(Mutex::new(blocked));
    let entered = Latch::new();
    let mut reload = Manager::new().shutdown_timeout(Duration::from_millis(50));
    let enters = entered.clone();
    let stuck = async move |_: rekindle::Triggers| {
        enters.pass().await;
        blocked.lock().unwrap().recv().unwrap();
    };
    reload.add(0, "stuck reloader", stuck);
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        entered.close();
        handle.trigger("test");
        entered.arrival().await;
        entered.open();
        Ok(())
    });
    let error = in_time(run).await.unwrap_err();
    let error = error.downcast_ref::<Error>().unwrap();
    assert!(error.is_still_running());
    assert!(error.to_string().contains("`stuck reloader`"), "{error}");
    assert!(error.to_string().contains("blocking its thread"), "{error}");
    release.send(()).unwrap();
}

#[tokio::test]
async fn invariant_10_a_stop_tells_all_who_wait_and_abandons_a_prepare_at_once() {
    let (dial, latch) = (Dial::new(1), Latch::new());
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let wait = latch.clone();
    let build = async move |_: rekindle::Lease<u64>| {
        wait.pass().await;
        Ok(())
    };
    reload.derive("slow", &number, build).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |stop| {
        latch.close();
        dial.set(2);
        let running = tokio::spawn({
            let handle = handle.clone();
            async move { handle.reload("running").await }
        });
        latch.arrival().await;
        let waiting = tokio::spawn({
            let handle = handle.clone();
            async move { handle.reload("waiting").await }
        });
        tokio::task::yield_now().await;
        stop.cancel();
        // The app has not returned yet: whoever waits is told, not when the app is done.
        let running = in_time(running).await?.unwrap_err();
        assert_eq!(
            running.report().unwrap().outcome(),
            Outcome::Interrupted { committed: false }
        );
        let waiting = in_time(waiting).await?.unwrap_err();
        assert!(waiting.is_stopped() && waiting.report().is_none());
        assert!(handle.reload("too late").await.unwrap_err().is_stopped());
        assert_eq!(*number.load(), 1, "values stay readable");
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn invariant_10_a_running_group_may_finish_and_no_other_is_started() {
    let (dial, latch) = (Dial::new(1), Latch::new());
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let wait = latch.clone();
    reload.add(1, "first", async move |_: rekindle::Triggers| {
        wait.pass().await;
    });
    reload.add(2, "second", async |triggers: rekindle::Triggers| {
        assert_eq!(triggers.total(), 0, "it must not run");
    });
    let handle = reload.handle();
    let run = reload.run(async move |stop| {
        latch.close();
        dial.set(2);
        let asked = tokio::spawn(async move { handle.reload("test").await });
        latch.arrival().await;
        stop.cancel();
        latch.open();
        let error = in_time(asked).await?.unwrap_err();
        let report = error.report().unwrap();
        assert_eq!(report.outcome(), Outcome::Interrupted { committed: true });
        assert_eq!(report.step("first").unwrap().action(), Action::Ran);
        assert_eq!(report.step("second").unwrap().action(), Action::Skipped);
        assert_eq!(*number.load(), 2);
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn invariant_10_a_group_that_outlives_its_share_is_dropped_and_named() {
    let latch = Latch::new();
    let mut reload = Manager::new().shutdown_timeout(Duration::from_secs(5));
    let wait = latch.clone();
    reload.add(1, "endless", async move |_: rekindle::Triggers| {
        wait.pass().await;
    });
    let handle = reload.handle();
    let run = reload.run(async move |stop| {
        latch.close();
        let asked = tokio::spawn(async move { handle.reload("test").await });
        latch.arrival().await;
        let stopped = Instant::now();
        stop.cancel();
        let error = asked.await?.unwrap_err();
        // The share is 3 s; the app is left a quarter of a second to answer.
        assert_eq!(stopped.elapsed().as_millis() / 10, 275);
        let report = error.report().unwrap();
        assert_eq!(report.step("endless").unwrap().action(), Action::Abandoned);
        Ok(())
    });
    run.await.unwrap();
}

/// Fails and panics in turn, and counts.
struct Broken(Arc<Mutex<Vec<Instant>>>);

impl Notifier for Broken {
    async fn notify(&mut self) -> Result<Trigger, BoxError> {
        let times = {
            let mut times = self.0.lock().unwrap();
            times.push(Instant::now());
            times.len()
        };
        assert!(times % 2 == 1, "broken again");
        Err("broken".into())
    }

    fn name(&self) -> String {
        "broken".to_owned()
    }
}

#[tokio::test(start_paused = true)]
async fn invariant_11_a_notifier_that_fails_is_reported_and_asked_again_with_growing_pauses() {
    let times = Arc::new(Mutex::new(Vec::new()));
    let dial = Dial::new(1);
    let mut reload = Manager::new();
    reload.source("number", dial.clone()).await.unwrap();
    reload.on(Broken(Arc::clone(&times)));
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let status = handle.status();
        let notifier = &status.notifiers()[0];
        assert_eq!(notifier.name(), "broken");
        assert_eq!(notifier.failures(), times.lock().unwrap().len() as u64);
        assert!(
            notifier.error().unwrap().is_panic() || notifier.error().unwrap().inner().is_some()
        );
        let times = times.lock().unwrap().clone();
        let pauses: Vec<u128> = times
            .windows(2)
            .map(|pair| (pair[1] - pair[0]).as_millis())
            .collect();
        assert_eq!(pauses[..5], [100, 200, 400, 800, 1_600]);
        assert!(pauses.iter().all(|pause| *pause <= 30_000));
        // The app goes on, and so do reloads.
        handle.reload("test").await?;
        Ok(())
    });
    run.await.unwrap();
}

#[tokio::test]
async fn invariant_11_where_the_policy_is_to_stop_a_failing_notifier_ends_the_run() {
    let mut reload = Manager::new().on_error(OnError::Stop);
    reload.on(Broken(Arc::default()));
    let run = reload.run(|stop| stop.cancelled_owned());
    let error = in_time(run).await.unwrap_err();
    assert_eq!(error.to_string(), "notifier `broken` failed");
    assert_eq!(error.source().unwrap().to_string(), "broken");
}
