//! The end of `run`, and what it leaves behind when it is dropped.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rekindle::{Error, Handle, Lease, Manager, OnError};
use support::{Barrier, Dial, eventually, in_time, tasks};
use tokio::time::Instant;

/// Runs until something is blocked, and then checks that no call is begun after `run` has returned.
async fn nothing_begins_after(reload: Manager, barrier: Barrier, begun: Arc<AtomicUsize>) {
    let before = tasks();
    let handle = reload.handle();
    let blocked = barrier.clone();
    let run = reload.run(async move |_| {
        handle.trigger("test");
        blocked.arrival().await;
    });
    let error = in_time(run).await.unwrap_err();
    assert!(error.downcast::<Error>().unwrap().is_still_running());
    let at_the_end = begun.load(Ordering::SeqCst);
    barrier.open();
    eventually("what was blocked has ended", || tasks() == before).await;
    assert_eq!(begun.load(Ordering::SeqCst), at_the_end);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_effect_begins_after_the_run_has_returned() {
    let (dial, barrier) = (Dial::new(1), Barrier::default());
    let begun = Arc::new(AtomicUsize::new(0));
    let mut reload = Manager::new().shutdown_timeout(Duration::from_millis(50));
    let number = reload.source("number", dial.clone()).await.unwrap();
    let blocks = barrier.clone();
    let effect = async move |_: Lease<u64>| blocks.pass();
    reload.apply("blocks", &number, effect).await.unwrap();
    let counts = Arc::clone(&begun);
    let effect = move |_: Lease<u64>| {
        counts.fetch_add(1, Ordering::SeqCst);
        async {}
    };
    reload.apply("sibling", &number, effect).await.unwrap();
    barrier.close();
    dial.set(2);
    nothing_begins_after(reload, barrier, begun).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_reloader_begins_after_the_run_has_returned() {
    let barrier = Barrier::default();
    let begun = Arc::new(AtomicUsize::new(0));
    let mut reload = Manager::new().shutdown_timeout(Duration::from_millis(50));
    let blocks = barrier.clone();
    reload.add(0, "blocks", async move |_| blocks.pass());
    for n in 0..300 {
        let counts = Arc::clone(&begun);
        let sibling = move |_| {
            counts.fetch_add(1, Ordering::SeqCst);
            async {}
        };
        reload.add(n / 150, format!("sibling {n}"), sibling);
    }
    barrier.close();
    nothing_begins_after(reload, barrier, begun).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn one_share_of_the_budget_is_for_all_there_is_to_wait_for() {
    const SHARE: Duration = Duration::from_millis(300);
    // Of a few tries, because a busy machine may be late.
    for last in [false, false, false, false, true] {
        let barrier = Barrier::default();
        let mut reload = Manager::new().shutdown_timeout(SHARE * 10 / 6);
        let blocks = barrier.clone();
        reload.add(0, "blocks", async move |_| blocks.pass());
        barrier.close();
        let handle = reload.handle();
        let blocked = barrier.clone();
        let (ends, ended) = tokio::sync::oneshot::channel();
        let run = reload.run(async move |_| {
            handle.trigger("test");
            blocked.arrival().await;
            ends.send(Instant::now()).unwrap();
        });
        assert!(in_time(run).await.is_err());
        let took = ended.await.unwrap().elapsed();
        barrier.open();
        // Effects end a tenth before the app does.
        assert!(took >= SHARE * 9 / 10, "{took:?}");
        if took < SHARE * 2 {
            return;
        }
        assert!(!last, "{took:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_last_value_whose_drop_blocks_is_named() {
    struct Value(Barrier);
    impl Drop for Value {
        fn drop(&mut self) {
            self.0.pass();
        }
    }
    let barrier = Barrier::default();
    let mut reload = Manager::new().shutdown_timeout(Duration::from_millis(50));
    let blocks = barrier.clone();
    let build = async move || Ok(Value(blocks.clone()));
    let value = reload.source("value", build).await.unwrap();
    barrier.close();
    // The barrier opens after the run has returned.
    let run = reload.run(async move |_| drop(value));
    let error = in_time(run).await.unwrap_err();
    barrier.open();
    assert!(error.downcast_ref::<Error>().unwrap().is_still_running());
    assert!(error.to_string().contains("`value`"), "{error}");
}

/// Asks for a reload and drops the run when the condition holds; what who asked is told.
async fn dropped_when(reload: Manager, condition: impl AsyncFnOnce(&Handle)) -> Error {
    let handle = reload.handle();
    let run = tokio::spawn(reload.run(|stop| stop.cancelled_owned()));
    let asks = handle.clone();
    let asked = tokio::spawn(async move { asks.reload("test").await });
    in_time(condition(&handle)).await;
    run.abort();
    in_time(asked).await.unwrap().unwrap_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_run_that_was_dropped_commits_nothing() {
    let (dial, barrier) = (Dial::new(1), Barrier::default());
    let before = tasks();
    let effects = Arc::new(AtomicUsize::new(0));
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let blocks = barrier.clone();
    let build = async move |_: Lease<u64>| {
        blocks.pass();
        Ok(())
    };
    reload.derive("blocks", &number, build).await.unwrap();
    let counts = Arc::clone(&effects);
    reload.add(0, "reloader", async move |_| {
        counts.fetch_add(1, Ordering::SeqCst);
    });
    barrier.close();
    dial.set(2);
    let handle = reload.handle();
    let error = dropped_when(reload, async |_| barrier.arrival().await).await;
    assert!(error.is_stopped(), "{error}");
    barrier.open();
    eventually("what was blocked has ended", || tasks() == before).await;
    assert_eq!(handle.status().generation(), 1);
    assert_eq!(effects.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn who_waits_when_the_run_is_dropped_after_the_commit_is_not_told_that_nothing_happened() {
    let dial = Dial::new(1);
    let mut reload = Manager::new();
    reload.source("number", dial.clone()).await.unwrap();
    reload.add(0, "waits", async |_| std::future::pending::<()>().await);
    dial.set(2);
    let committed = async |handle: &Handle| {
        eventually("the commit", || handle.status().generation() == 2).await;
    };
    let text = dropped_when(reload, committed).await.to_string();
    assert!(!text.contains("no reload was made"), "{text}");
}

#[tokio::test]
async fn the_status_names_the_notifier_that_ended_the_run() {
    let mut reload = Manager::new().on_error(OnError::Stop);
    reload.on(async || Err("broken".into()));
    let handle = reload.handle();
    let run = reload.run(|stop| stop.cancelled_owned());
    assert!(in_time(run).await.is_err());
    let status = handle.status();
    let notifier = &status.notifiers()[0];
    assert_eq!(notifier.failures(), 1);
    assert!(notifier.error().is_some());
}
