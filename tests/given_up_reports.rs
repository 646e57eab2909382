//! What the report of a reload tells that was given up while something blocked it.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rekindle::{Action, Lease, Manager, Report};
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
