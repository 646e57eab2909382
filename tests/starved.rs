//! A thread that has no time for others: what is due is noticed all the same, and a reload is never
//! what takes it from them.

mod support;

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rekindle::{Lease, Manager, Outcome, Triggers, notify};
use support::{Barrier, Dial, eventually, in_time, tasks};
use tokio_util::sync::CancellationToken;

const SHORT: Duration = Duration::from_millis(50);

/// Says when it is dropped.
struct Flag(Arc<AtomicBool>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A timer wakes the reload on the thread that drives the timers, which then are late for all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_blocks_the_thread_which_drives_the_timers_is_given_up() {
    let barrier = Barrier::default();
    let mut reload = Manager::new().timeout(SHORT);
    let (blocks, asked) = (barrier.clone(), AtomicUsize::new(0));
    let asked = Arc::new(asked);
    reload.add(0, "blocks", async move |_: Triggers| {
        // By now the supervisor sleeps, too.
        if asked.fetch_add(1, Ordering::SeqCst) == 1 {
            blocks.close();
            blocks.pass();
        }
    });
    reload.on(notify::interval(Duration::from_millis(40)));
    let mut reports = reload.handle().subscribe();
    let run = reload.run(async move |_| {
        assert_eq!(reports.next().await.unwrap().outcome(), Outcome::Unchanged);
        let report = reports.next().await.unwrap();
        barrier.open();
        assert_eq!(report.outcome(), Outcome::Partial, "{report}");
        let failure = report.failure().unwrap().error().unwrap().chain();
        assert!(failure.contains("blocks its thread"), "{failure}");
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn a_reloader_that_asks_for_the_next_reload_leaves_others_their_turn() {
    let mut reload = Manager::new();
    let (handle, again) = (reload.handle(), reload.handle());
    reload.add(0, "again", async move |_: Triggers| again.trigger("again"));
    let run = reload.run(async move |_| {
        handle.trigger("first");
        for _ in 0..400 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    in_time(run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_that_is_dropped_while_a_reload_blocks_leaves_no_task_behind() {
    let (dial, barrier, gone) = (Dial::new(1), Barrier::default(), Arc::default());
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let goes = Arc::clone(&gone);
    let heart = reload.source("heart", async || Ok(()));
    let heart = heart.runs(async move |_, _stop: CancellationToken| {
        let _flag = Flag(goes);
        pending::<()>().await;
    });
    heart.await.unwrap();
    let (blocks, passed) = (barrier.clone(), Arc::new(AtomicBool::new(false)));
    let passes = Arc::clone(&passed);
    let build = async move |_: Lease<u64>| {
        blocks.pass();
        passes.store(true, Ordering::SeqCst);
        Ok(())
    };
    reload.derive("blocks", &number, build).await.unwrap();
    let handle = reload.handle();
    let before = tasks();
    let run = tokio::spawn(async move { reload.run(|_| pending::<()>()).await });
    passed.store(false, Ordering::SeqCst);
    barrier.close();
    dial.set(2);
    handle.trigger("test");
    barrier.arrival().await;
    run.abort();
    eventually("its task is gone", || gone.load(Ordering::SeqCst)).await;
    assert!(!passed.load(Ordering::SeqCst), "the reload still blocks");
    barrier.open();
    eventually("all are gone", || tasks() == before).await;
}
