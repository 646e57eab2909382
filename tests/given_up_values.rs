//! A reload that was given up, and blocks its thread, holds no value that the step was not handed.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rekindle::{BoxError, Lease, Live, Manager, Triggers};
use support::{Barrier, Dial, eventually, in_time};
use tokio::task::yield_now;
use tokio_util::sync::CancellationToken;

const SHORT: Duration = Duration::from_millis(50);
/// Long enough for a retirement on a busy machine.
const GRACE: Duration = Duration::from_secs(1);

/// Counts values from their building to the end of their retirement.
#[derive(Clone, Default)]
struct Values(Arc<Counts>);

#[derive(Default)]
struct Counts {
    built: AtomicUsize,
    retired: AtomicUsize,
}

impl Values {
    fn build(&self) {
        self.0.built.fetch_add(1, Ordering::SeqCst);
    }

    fn retire(&self) {
        self.0.retired.fetch_add(1, Ordering::SeqCst);
    }

    fn built(&self) -> usize {
        self.0.built.load(Ordering::SeqCst)
    }

    fn retired(&self) -> usize {
        self.0.retired.load(Ordering::SeqCst)
    }

    /// A source that is another value with each reload.
    async fn source(&self, reload: &mut Manager, name: &'static str) -> Live<()> {
        let (builds, retires) = (self.clone(), self.clone());
        let source = reload.source(name, async move || {
            builds.build();
            Ok(())
        });
        let source = source.retire(async move |()| retires.retire());
        source.await.unwrap()
    }

    /// Reloads until `name` blocks, and then stops: by the end of the grace period all values are
    /// retired, of which there were `count`.
    async fn are_retired(
        &self,
        count: usize,
        reload: Manager,
        begin: impl FnOnce(),
        (name, barrier): (&str, Barrier),
    ) {
        let handle = reload.handle();
        let (values, blocked) = (self.clone(), barrier.clone());
        let run = reload.run(async move |_| {
            begin();
            barrier.close();
            handle.trigger("test");
            barrier.arrival().await;
            let are_built = || values.built() == count;
            eventually("all are built", are_built).await;
        });
        let error = in_time(run).await.unwrap_err().to_string();
        let (built, retired) = (self.built(), self.retired());
        blocked.open();
        assert!(error.contains(name), "{error}");
        assert!(!error.contains("pool"), "{error}");
        assert_eq!((built, retired), (count, count), "{error}");
    }
}

fn manager() -> Manager {
    Manager::new().shutdown_timeout(GRACE)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stop_retires_the_values_while_a_build_blocks() {
    let (values, dial, barrier) = (Values::default(), Dial::new(1), Barrier::default());
    let mut reload = manager();
    values.source(&mut reload, "pool").await;
    let number = reload.source("number", dial.clone()).await.unwrap();
    let blocks = barrier.clone();
    let build = async move |_: Lease<u64>| {
        blocks.pass();
        Ok(())
    };
    reload.derive("blocks", &number, build).await.unwrap();
    let begin = move || dial.set(2);
    let blocks = ("component `blocks`", barrier);
    values.are_retired(2, reload, begin, blocks).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stop_retires_what_was_built_in_a_task_while_a_build_blocks() {
    let (values, dial, barrier) = (Values::default(), Dial::new(1), Barrier::default());
    let mut reload = manager();
    let (builds, retires) = (values.clone(), values.clone());
    let pool = reload.source("pool", async move || {
        yield_now().await;
        builds.build();
        Ok(())
    });
    let pool = pool.retire(async move |()| retires.retire());
    pool.await.unwrap();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let blocks = barrier.clone();
    // In place, on the thread of the worker, which cannot look at what the task has built.
    let build = async move |_: Lease<u64>| {
        blocks.pass();
        Ok(())
    };
    reload.derive("blocks", &number, build).await.unwrap();
    let begin = move || dial.set(2);
    let blocks = ("component `blocks`", barrier);
    values.are_retired(2, reload, begin, blocks).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stop_retires_the_values_while_an_effect_blocks() {
    let (values, dial, barrier) = (Values::default(), Dial::new(1), Barrier::default());
    let mut reload = manager();
    let pool = values.source(&mut reload, "pool").await;
    let number = reload.source("number", dial.clone()).await.unwrap();
    let blocks = barrier.clone();
    let effect = async move |_: Lease<u64>| blocks.pass();
    reload.apply("blocks", &number, effect).await.unwrap();
    // It is not begun, so the last value that it was run with is an old one.
    reload.apply("gauge", &pool, async |_| ()).await.unwrap();
    let begin = move || dial.set(2);
    let blocks = ("effect `blocks`", barrier);
    values.are_retired(2, reload, begin, blocks).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stop_retires_the_other_members_while_one_blocks() {
    let (values, dial, barrier) = (Values::default(), Dial::new(1), Barrier::default());
    let mut reload = manager();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let settings = |n: Lease<u64>| match *n {
        1 => BTreeMap::from([("kept", 1), ("pool", 1), ("z", 1)]),
        n => BTreeMap::from([("kept", 1), ("pool", n), ("z", n)]),
    };
    let (builds, blocks) = (values.clone(), barrier.clone());
    let build = async move |name: &'static str, _: u64| {
        if name == "z" {
            blocks.pass();
        }
        builds.build();
        Ok(())
    };
    let retires = values.clone();
    reload
        .each("members", &number, settings, build)
        .retire(async move |()| retires.retire())
        .await
        .unwrap();
    let begin = move || dial.set(2);
    let blocks = ("component `members[z]`", barrier);
    values.are_retired(4, reload, begin, blocks).await;
}

/// A part whose comparison blocks its thread.
#[derive(Clone)]
struct Blocks(Barrier);

impl PartialEq for Blocks {
    fn eq(&self, _: &Self) -> bool {
        self.0.pass();
        true
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stop_retires_the_values_while_a_comparison_blocks() {
    let (values, dial, barrier) = (Values::default(), Dial::new(1), Barrier::default());
    let mut reload = manager();
    values.source(&mut reload, "pool").await;
    let number = reload.source("number", dial.clone()).await.unwrap();
    let blocks = barrier.clone();
    let part = number.map(move |_| Blocks(blocks.clone()));
    reload
        .derive("blocks", part, async |_| Ok(()))
        .await
        .unwrap();
    let begin = move || dial.set(2);
    let blocks = ("component `blocks`", barrier);
    values.are_retired(2, reload, begin, blocks).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stop_retires_the_values_while_a_probe_blocks() {
    let (values, barrier) = (Values::default(), Barrier::default());
    let blocks = barrier.clone();
    let mut reload = manager().probation(SHORT, async move || blocks.pass());
    values.source(&mut reload, "pool").await;
    let blocks = ("the probe", barrier);
    values.are_retired(2, reload, || (), blocks).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stop_retires_the_values_while_a_reloader_blocks() {
    let (values, barrier) = (Values::default(), Barrier::default());
    let mut reload = manager();
    let pool = values.source(&mut reload, "pool").await;
    reload.apply("gauge", &pool, async |_| ()).await.unwrap();
    let blocks = barrier.clone();
    reload.add(0, "blocks", async move |_: Triggers| blocks.pass());
    let blocks = ("reloader `blocks`", barrier);
    values.are_retired(2, reload, || (), blocks).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stop_retires_the_values_while_a_task_blocks() {
    let (values, barrier) = (Values::default(), Barrier::default());
    let mut reload = manager();
    values.source(&mut reload, "pool").await;
    let blocks = barrier.clone();
    let heart = reload.source("heart", async || Ok(()));
    let heart = heart.runs(async move |_, stop: CancellationToken| {
        blocks.pass();
        stop.cancelled().await;
    });
    heart.await.unwrap();
    let blocks = ("component `heart`", barrier);
    values.are_retired(2, reload, || (), blocks).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn old_value_is_retired_after_an_effect_that_blocks_is_given_up() {
    let (values, dial, barrier) = (Values::default(), Dial::new(1), Barrier::default());
    let mut reload = Manager::new().timeout(SHORT);
    let pool = values.source(&mut reload, "pool").await;
    let number = reload.source("number", dial.clone()).await.unwrap();
    let blocks = barrier.clone();
    let effect = async move |_: Lease<u64>| blocks.pass();
    reload.apply("blocks", &number, effect).await.unwrap();
    reload.apply("gauge", &pool, async |_| ()).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        barrier.close();
        dial.set(2);
        assert!(handle.reload("test").await.unwrap_err().is_partial());
        let retired = || values.retired() == 1;
        eventually("the old value is retired", retired).await;
        assert!(handle.status().draining().is_empty());
        barrier.open();
    });
    in_time(run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn unused_value_is_retired_after_a_build_that_blocks_is_given_up() {
    let (values, dial, barrier) = (Values::default(), Dial::new(1), Barrier::default());
    let mut reload = Manager::new().timeout(SHORT);
    let pool = values.source(&mut reload, "pool").await;
    let number = reload.source("number", dial.clone()).await.unwrap();
    let blocks = barrier.clone();
    let build = async move |(_, n): (Lease<()>, Lease<u64>)| match *n {
        1 => Ok(()),
        _ => {
            blocks.pass();
            Err::<(), BoxError>("too late".into())
        }
    };
    let other = values.source(&mut reload, "other").await;
    let inputs = (&other, &number);
    reload.derive("blocks", inputs, build).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        barrier.close();
        dial.set(2);
        let given_up = handle.reload("test").await.unwrap_err();
        assert!(given_up.is_rejected());
        // It holds what it was handed, and nothing else.
        let retired = || values.retired() == 1;
        eventually("the unused value is retired", retired).await;
        let status = handle.status();
        let held: Vec<&str> = status.draining().iter().map(|it| it.component()).collect();
        assert_eq!(held, ["other"]);
        let held = status.draining()[0].to_string();
        let by = "leases, among them those of component `blocks`, running for";
        assert!(held.contains(by), "{held}");
        drop(pool);
        barrier.open();
        let retired = || values.retired() == 2;
        eventually("the build lets go", retired).await;
    });
    in_time(run).await.unwrap();
}
