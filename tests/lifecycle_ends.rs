//! How lifecycles end: leases are told, tasks have their time, and what was not retired is named.

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rekindle::{BoxError, Lease, Manager, OnExit};
use support::{Dial, eventually, in_time};
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// What happened, in its order.
#[derive(Clone, Default)]
struct Trace(Arc<Mutex<Vec<String>>>);

impl Trace {
    fn note(&self, event: impl Into<String>) {
        self.0.lock().unwrap().push(event.into());
    }

    fn has(&self, event: &str) -> bool {
        self.0.lock().unwrap().iter().any(|seen| seen == event)
    }

    fn seen(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// As in a real `main`, where the handles are moved into the app.
#[tokio::test]
async fn a_lease_is_told_at_the_end_though_nobody_keeps_a_handle() {
    let mut reload = Manager::new();
    let pool = reload.source("pool", async || Ok(5)).retire(async |_| ());
    let pool = pool.await.unwrap();
    let lease = pool.lease();
    let stream = tokio::spawn(async move { lease.replaced().await });
    in_time(reload.run(async move |_| drop(pool)))
        .await
        .unwrap();
    in_time(stream).await.unwrap();
}

#[tokio::test]
async fn a_lease_of_what_will_never_be_current_is_told_and_named_until_it_lets_go() {
    let (dial, trace) = (Dial::new(1), Trace::default());
    let mut reload = Manager::new();
    let retired = trace.clone();
    let pool = reload.source("pool", dial.clone());
    let pool = pool.retire(async move |n: u64| retired.note(format!("retire {n}")));
    let pool = pool.await.unwrap();
    let (told, goes) = (trace.clone(), Arc::new(Notify::new()));
    let going = Arc::clone(&goes);
    let build = async move |pool: Lease<u64>| {
        let (watched, trace, go) = (pool.clone(), told.clone(), Arc::clone(&going));
        tokio::spawn(async move {
            watched.replaced().await;
            trace.note(format!("told of {}", *watched));
            go.notified().await;
        });
        match *pool {
            3 => Err("bad luck".into()),
            n => Ok(n),
        }
    };
    reload.derive("users", &pool, build).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        for (n, check) in [(2, true), (3, true), (3, false)] {
            dial.set(n);
            let asked = match check {
                true => handle.check().await,
                false => handle.reload("test").await,
            };
            assert_eq!(asked.is_ok(), n == 2);
            let is_told = || trace.has(&format!("told of {n}"));
            eventually("it is told", is_told).await;
            let status = handle.status();
            let held = status.draining().iter();
            let held: Vec<_> = held
                .map(|held| (held.component(), held.generation()))
                .collect();
            assert_eq!(held, [("pool", 0)], "after {n}");
            goes.notify_one();
            let is_retired = || trace.has(&format!("retire {n}"));
            eventually("it is retired", is_retired).await;
            trace.0.lock().unwrap().clear();
        }
        // Those of the last generation.
        goes.notify_one();
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn at_the_end_tasks_have_the_budget_and_not_the_drain_deadline() {
    let trace = Trace::default();
    let second = Duration::from_secs(1);
    let mut reload = Manager::new().drain(second).shutdown_timeout(10 * second);
    let flushed = trace.clone();
    let worker = reload.source("worker", async || Ok(1));
    let worker = worker.runs(async move |_, stop: CancellationToken| {
        stop.cancelled().await;
        sleep(5 * second).await;
        flushed.note("flushed");
    });
    worker.await.unwrap();
    reload
        .run(async move |_| sleep(second).await)
        .await
        .unwrap();
    assert_eq!(trace.seen(), ["flushed"]);
}

#[tokio::test]
async fn a_task_that_fails_while_the_app_drains_is_told_in_the_end() {
    let mut reload = Manager::new();
    let go = Arc::new(Notify::new());
    let fails = Arc::clone(&go);
    let worker = reload.source("worker", async || Ok(1));
    let worker = worker.runs(async move |_, _| {
        fails.notified().await;
        Err("the disk is full".into())
    });
    worker.on_exit(OnExit::Stop).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |stop: CancellationToken| {
        stop.cancel();
        go.notify_one();
        let has_failed = || handle.status().tasks().any(|task| task.has_ended());
        eventually("it has failed", has_failed).await;
    });
    let error = in_time(run).await.unwrap_err();
    assert_eq!(error.to_string(), "the task of component `worker` failed");
}

#[tokio::test]
async fn a_task_that_cancels_its_own_token_has_ended_by_itself() {
    let mut reload = Manager::new();
    let worker = reload.source("worker", async || Ok(1));
    let worker = worker.runs(async |_, stop: CancellationToken| stop.cancel());
    worker.on_exit(OnExit::Leave).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        let has_ended = || handle.status().tasks().any(|task| task.has_ended());
        eventually("its end is noted", has_ended).await;
    });
    in_time(run).await.unwrap();
}

/// On one thread, too: the effect may block it.
#[tokio::test]
async fn new_task_begins_before_an_effect_is_run() {
    let (dial, began) = (Dial::new(1), Arc::new(AtomicUsize::new(0)));
    let mut reload = Manager::new().probation(Duration::from_millis(1), async || ());
    let number = reload.source("number", dial.clone()).await.unwrap();
    let (begins, seen) = (Arc::clone(&began), Arc::clone(&began));
    let worker = reload.derive("worker", &number, async |n: Lease<u64>| Ok(*n));
    let worker = worker.runs(async move |_, stop: CancellationToken| {
        assert!(!stop.is_cancelled());
        begins.fetch_add(1, Ordering::SeqCst);
        stop.cancelled().await;
    });
    worker.await.unwrap();
    let push = async move |n: Lease<u64>| match *n {
        2 if seen.load(Ordering::SeqCst) == 2 => Err("two".into()),
        2 => Err("the new task has not begun".into()),
        _ => Ok(()),
    };
    reload.apply("gauge", &number, push).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        eventually("it runs", || began.load(Ordering::SeqCst) == 1).await;
        dial.set(2);
        let error = handle.reload("test").await.unwrap_err();
        assert!(error.is_rolled_back());
        assert!(format!("{error:?}").ends_with("two"), "{error:?}");
        eventually("it runs again", || began.load(Ordering::SeqCst) == 3).await;
        assert_eq!(
            handle
                .status()
                .tasks()
                .filter(|task| task.failures() > 0)
                .count(),
            0
        );
    });
    in_time(run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_may_take_longer_than_each_of_its_keys() {
    let mut reload = Manager::new();
    let number = reload.source("number", Dial::new(1)).await.unwrap();
    let keys = |_| (0..150).map(|key| (key, ())).collect::<BTreeMap<_, _>>();
    let build = async |_, ()| {
        // Computes: keys wait for a core, and that is not their fault.
        let until = std::time::Instant::now() + Duration::from_millis(10);
        while std::time::Instant::now() < until {}
        Ok(())
    };
    let each = reload.each("keys", &number, keys, build);
    each.timeout(Duration::from_millis(300)).await.unwrap();
}

#[tokio::test]
async fn a_guard_that_holds_a_member_is_counted_as_a_guard() {
    let dial = Dial::new(1);
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let keys = |n: Lease<u64>| BTreeMap::from([("a", *n)]);
    let keys = reload.each("keys", &number, keys, async |_, n: u64| Ok(n));
    let keys = keys.retire(async |_| ()).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        let (guard, lease) = (keys.load(), keys.load().get("a").unwrap().clone());
        dial.set(2);
        handle.reload("test").await?;
        let status = handle.status();
        let mut draining = status.draining().iter();
        let member = draining.find(|held| held.component() == "keys[a]").unwrap();
        assert_eq!((member.guards(), member.leases()), (1, 1));
        drop((guard, lease));
        Ok(())
    });
    in_time(run).await.unwrap();
}

/// Also those that reloads left alone: they belong to the newest inputs.
#[tokio::test(start_paused = true)]
async fn members_are_retired_before_what_their_collection_was_built_from() {
    let (dial, trace) = (Dial::new(1), Trace::default());
    let mut reload = Manager::new();
    let retired = trace.clone();
    let pool = reload.source("pool", dial.clone());
    let pool = pool.retire(async move |n| retired.note(format!("pool {n}")));
    let pool = pool.await.unwrap();
    let retired = trace.clone();
    let settings = |n: Lease<u64>| BTreeMap::from([("stays", 0), ("goes", *n)]);
    let users = reload.each("users", &pool, settings, async |key, n| {
        Ok(format!("{key} {n}"))
    });
    let users = users.retire(async move |user| {
        sleep(Duration::from_secs(1)).await;
        retired.note(user);
    });
    users.await.unwrap();
    let handle = reload.handle();
    let seen = trace.clone();
    let run = reload.run(async move |_| {
        dial.set(2);
        handle.reload("test").await?;
        // What was left alone does not keep what it was built from at first.
        eventually("the old pool is retired", || seen.has("pool 1")).await;
        assert_eq!(seen.seen(), ["goes 1", "pool 1"]);
        Ok::<_, BoxError>(())
    });
    run.await.unwrap();
    let mut end = trace.seen().split_off(2);
    assert_eq!(end.pop().unwrap(), "pool 2");
    end.sort();
    assert_eq!(end, ["goes 2", "stays 0"]);
}

#[tokio::test]
async fn a_reader_that_waits_does_not_panic_at_the_end() {
    let mut reload = Manager::new();
    let number = reload.source("number", Dial::new(1));
    let number = number.runs(async |_, stop: CancellationToken| stop.cancelled().await);
    let mut reader = number.await.unwrap().reader();
    let mut waits = tokio::spawn(async move { *reader.changed().await });
    in_time(reload.run(async move |_| ())).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(20), &mut waits).await;
    assert!(waited.is_err(), "{waited:?}");
    waits.abort();
}
