//! What the report of a reload tells that was given up while something blocked it.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rekindle::{Action, BoxError, Lease, Manager, Outcome, Report, StepError};
use support::{Barrier, Dial, eventually, in_time};

/// The deadline of what blocks.
const SHORT: Duration = Duration::from_millis(50);

/// Counts, on a thread of its own: its first poll is slow, and its second one ends it.
#[derive(Clone, Default)]
struct Counts(Arc<AtomicU64>);

impl Counts {
    async fn count(&self) {
        std::thread::sleep(Duration::from_millis(2));
        tokio::task::yield_now().await;
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Makes a reload in which something blocks at the barrier, and gives its report.
async fn given_up(reload: Manager, dial: Dial, barrier: Barrier, done: Counts) -> Arc<Report> {
    let handle = reload.handle();
    let (report, told) = tokio::sync::oneshot::channel();
    let run = reload.run(async move |_| {
        barrier.close();
        dial.set(2);
        let asked = tokio::spawn(async move { handle.reload("test").await });
        eventually("the other one has ended", || done.get() == 2).await;
        let error = in_time(asked).await?.unwrap_err();
        barrier.open();
        drop(report.send(Arc::clone(error.report().unwrap())));
        Ok(())
    });
    in_time(run).await.unwrap();
    told.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_component_that_was_built_meanwhile_is_not_said_to_be_untouched() {
    let (dial, barrier, counts) = (Dial::new(1), Barrier::default(), Counts::default());
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let counted = counts.clone();
    let build = async move |_: Lease<u64>| {
        counted.count().await;
        Ok(())
    };
    reload.derive("built", &number, build).await.unwrap();
    let blocks = barrier.clone();
    let build = move |_: Lease<u64>| {
        blocks.pass();
        async { Ok(()) }
    };
    let blocking = reload.derive("blocks", &number, build).timeout(SHORT);
    blocking.await.unwrap();
    let report = given_up(reload, dial, barrier, counts).await;
    assert_eq!(report.untouched(), 0, "{report}");
    assert_eq!(report.step("built").unwrap().action(), Action::Abandoned);
    assert_eq!(report.step("blocks").unwrap().action(), Action::Failed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_effect_that_ran_meanwhile_is_not_said_to_be_skipped() {
    let (dial, barrier, counts) = (Dial::new(1), Barrier::default(), Counts::default());
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let counted = counts.clone();
    let effect = async move |_: Lease<u64>| counted.count().await;
    reload.apply("ran", &number, effect).await.unwrap();
    let blocks = barrier.clone();
    let effect = move |_: Lease<u64>| {
        blocks.pass();
        async {}
    };
    let blocking = reload.apply("blocks", &number, effect).timeout(SHORT);
    blocking.await.unwrap();
    let same = number.map(|_| 0);
    reload.apply("not due", same, async |_| ()).await.unwrap();
    reload.add(0, "later", async |_| Ok(()));
    let report = given_up(reload, dial, barrier, counts).await;
    assert_eq!(report.step("ran").unwrap().action(), Action::Abandoned);
    assert_eq!(report.step("blocks").unwrap().action(), Action::Failed);
    assert_eq!(report.step("later").unwrap().action(), Action::Skipped);
    assert!(report.step("not due").is_none(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_step_that_failed_while_another_one_blocked_is_told_with_its_error() {
    let barrier = Barrier::default();
    let mut reload = Manager::new().timeout(Duration::from_millis(50));
    reload.add(0, "fails", async |_| {
        tokio::task::yield_now().await;
        Err::<(), BoxError>("no connection".into())
    });
    let blocks = barrier.clone();
    reload.add(0, "blocks", async move |_| blocks.pass());
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        barrier.close();
        let error = handle.reload("test").await.unwrap_err();
        barrier.open();
        let report = error.report().unwrap();
        let failed = report.step("fails").unwrap();
        let said = failed.error().map(StepError::chain);
        assert_eq!(said.as_deref(), Some("no connection"), "{report}");
        assert_eq!(report.failure().unwrap().name(), "blocks");
    });
    in_time(run).await.unwrap();
}

/// Notes that it was dropped.
struct Note(Arc<AtomicBool>);

impl Drop for Note {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Also where the shutdown budget is shorter than it would take to let go.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refused_reload_that_lets_go_when_a_stop_comes_is_told_as_refused() {
    let barrier = Barrier::default();
    let mut reload = Manager::new().shutdown_timeout(Duration::from_millis(5));
    let blocks = barrier.clone();
    let build = async move || {
        tokio::task::yield_now().await;
        blocks.pass();
        Ok(())
    };
    reload.source("blocks", build).await.unwrap();
    let sick = Arc::new(AtomicBool::new(false));
    let (waits, let_go) = (Arc::clone(&sick), Arc::new(AtomicBool::new(false)));
    let notes = Arc::clone(&let_go);
    let build = async move || {
        if waits.load(Ordering::SeqCst) {
            let _note = Note(notes.clone());
            std::future::pending::<()>().await;
        }
        Ok(())
    };
    reload.source("waits", build).await.unwrap();
    let waits = barrier.clone();
    let fails = Arc::clone(&sick);
    let build = async move || {
        if fails.load(Ordering::SeqCst) {
            waits.arrival().await;
            return Err::<u8, BoxError>("broken".into());
        }
        Ok(1)
    };
    reload.source("fails", build).await.unwrap();
    let handle = reload.handle();
    let mut reports = handle.subscribe();
    let blocked = barrier.clone();
    let run = reload.run(async move |_| {
        blocked.close();
        sick.store(true, Ordering::SeqCst);
        handle.trigger("test");
        blocked.arrival().await;
        // The reload has failed, and lets go: of what waits at once, but not of what blocks.
        eventually("it lets go", || let_go.load(Ordering::SeqCst)).await;
    });
    let told = tokio::spawn(async move {
        let report = reports.next().await.unwrap();
        barrier.open();
        report
    });
    // What blocks may be over by then, or be named.
    _ = in_time(run).await;
    assert_eq!(told.await.unwrap().outcome(), Outcome::Rejected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_member_that_could_not_be_built_is_told_and_no_other_one_is_begun_after_it() {
    let (dial, begun) = (Dial::new(1), Arc::new(AtomicBool::new(false)));
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let begins = Arc::clone(&begun);
    let settings = |n: Lease<u64>| BTreeMap::from([("a", *n), ("b", *n)]);
    let build = async move |key: &str, n: u64| match (key, n) {
        ("a", 2) => Err::<u64, BoxError>("no connection".into()),
        _ => {
            begins.store(n == 2, Ordering::SeqCst);
            Ok(n)
        }
    };
    reload.each("pool", &number, settings, build).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(2);
        let error = handle.reload("test").await.unwrap_err();
        let said = format!("{error:?}");
        assert!(
            said.contains("`a` could not be built: no connection"),
            "{said}"
        );
        assert!(!begun.load(Ordering::SeqCst));
    });
    in_time(run).await.unwrap();
}
