//! Tasks that a reload wakes run at once, also if its next step blocks the thread that woke them.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rekindle::{Lease, Manager, Trigger, Triggers};
use support::{Barrier, Dial, eventually, in_time};
use tokio_util::sync::CancellationToken;

/// Tasks hear of something within this time. The barrier blocks four times as long.
const LATE: Duration = Duration::from_secs(5);

/// The tasks that have heard of something, and how late.
#[derive(Clone)]
struct Heard {
    since: Instant,
    names: Arc<Mutex<Vec<(String, Duration)>>>,
}

impl Heard {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            names: Arc::default(),
        }
    }

    fn note(&self, name: impl Into<String>) {
        let heard = (name.into(), self.since.elapsed());
        self.names.lock().unwrap().push(heard);
    }

    fn len(&self) -> usize {
        self.names.lock().unwrap().len()
    }

    /// Waits until so many have heard, each of them in time.
    async fn by(&self, count: usize) {
        eventually("all have heard", || self.len() >= count).await;
        for (name, late) in &*self.names.lock().unwrap() {
            assert!(*late < LATE, "{name} heard after {late:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn waiters_hear_of_a_commit_while_a_reloader_blocks() {
    let (dial, barrier) = (Dial::new(1), Barrier::default());
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let blocks = barrier.clone();
    reload.add(0, "blocks", async move |_: Triggers| blocks.pass());
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        for round in 2..12 {
            let (heard, waiting) = (Heard::new(), Arc::new(AtomicUsize::new(0)));
            for waiter in 0..3 {
                let (mut reader, lease) = (number.reader(), number.lease());
                let (heard, waits) = (heard.clone(), Arc::clone(&waiting));
                tokio::spawn(async move {
                    waits.fetch_add(1, Ordering::SeqCst);
                    match waiter {
                        0 => lease.replaced().await,
                        _ => _ = reader.changed().await,
                    }
                    heard.note(format!("waiter {waiter}"));
                });
            }
            let all_wait = || waiting.load(Ordering::SeqCst) == 3;
            eventually("all wait", all_wait).await;
            barrier.close();
            dial.set(round);
            handle.trigger("test");
            barrier.arrival().await;
            heard.by(3).await;
            barrier.open();
            in_time(handle.reload("over")).await.unwrap();
        }
    });
    in_time(run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn old_value_is_retired_while_a_reloader_blocks() {
    let barrier = Barrier::default();
    let heard = Heard::new();
    let retired = heard.clone();
    let mut reload = Manager::new();
    let pool = reload.source("pool", async || Ok(()));
    let pool = pool.retire(async move |()| retired.note("pool"));
    let pool = pool.await.unwrap();
    let blocks = barrier.clone();
    reload.add(0, "blocks", async move |_: Triggers| blocks.pass());
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        let lease = pool.lease();
        barrier.close();
        handle.trigger("test");
        barrier.arrival().await;
        drop(lease);
        heard.by(1).await;
        barrier.open();
    });
    in_time(run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_are_answered_while_the_next_reload_blocks() {
    let (barrier, asked) = (Barrier::default(), Arc::new(AtomicUsize::new(0)));
    let mut reload = Manager::new();
    let (blocks, counts, again) = (barrier.clone(), Arc::clone(&asked), reload.handle());
    reload.add(0, "blocks", async move |_: Triggers| {
        match counts.fetch_add(1, Ordering::SeqCst) {
            // The next reload follows at once.
            0 => again.trigger("again"),
            _ => blocks.pass(),
        }
    });
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        let heard = Heard::new();
        barrier.close();
        let mut reports = handle.subscribe();
        let (caller, observer) = (heard.clone(), heard.clone());
        tokio::spawn(async move {
            _ = reports.next().await;
            observer.note("observer");
        });
        tokio::spawn(async move {
            _ = handle.reload("test").await;
            caller.note("caller");
        });
        barrier.arrival().await;
        heard.by(2).await;
        barrier.open();
    });
    in_time(run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_are_switched_while_an_effect_blocks() {
    let (dial, barrier) = (Dial::new(1), Barrier::default());
    let heard = Heard::new();
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone());
    let runs = heard.clone();
    let number = number.runs(async move |n: Lease<u64>, stop: CancellationToken| {
        runs.note(format!("start {}", *n));
        stop.cancelled().await;
        runs.note(format!("stop {}", *n));
    });
    let number = number.await.unwrap();
    let blocks = barrier.clone();
    let effect = async move |_: Lease<u64>| blocks.pass();
    reload.apply("blocks", &number, effect).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        heard.by(1).await;
        barrier.close();
        dial.set(2);
        handle.trigger("test");
        barrier.arrival().await;
        heard.by(3).await;
        barrier.open();
    });
    in_time(run).await.unwrap();
}

/// A value whose drop blocks its thread.
struct Blocks(Barrier);

impl Drop for Blocks {
    fn drop(&mut self) {
        self.0.pass();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn value_is_retired_while_the_drop_of_another_blocks() {
    let barrier = Barrier::default();
    let heard = Heard::new();
    let retired = heard.clone();
    let mut reload = Manager::new();
    let pool = reload.source("pool", async || Ok(()));
    let pool = pool.retire(async move |()| retired.note("pool"));
    pool.await.unwrap();
    let blocks = barrier.clone();
    let value = async move || Ok(Blocks(blocks.clone()));
    reload.source("blocks", value).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        barrier.close();
        in_time(handle.reload("test")).await.unwrap();
        barrier.arrival().await;
        heard.by(1).await;
        barrier.open();
    });
    in_time(run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reload_is_made_while_its_notifier_blocks() {
    let barrier = Barrier::default();
    let (heard, asked) = (Heard::new(), Arc::new(AtomicUsize::new(0)));
    let mut reload = Manager::new();
    let reloaded = heard.clone();
    reload.add(0, "hook", async move |_: Triggers| reloaded.note("hook"));
    let blocks = barrier.clone();
    barrier.close();
    reload.on(move || {
        if asked.fetch_add(1, Ordering::SeqCst) == 1 {
            blocks.pass();
        }
        async { Ok(Trigger::from("test")) }
    });
    let run = reload.run(async move |_| {
        barrier.arrival().await;
        heard.by(1).await;
        barrier.open();
    });
    in_time(run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reloads_are_made_while_the_app_blocks() {
    let (barrier, heard) = (Barrier::default(), Heard::new());
    let mut reload = Manager::new();
    let reloaded = heard.clone();
    reload.add(0, "hook", async move |_: Triggers| reloaded.note("hook"));
    let handle = reload.handle();
    let blocks = barrier.clone();
    barrier.close();
    // In a task, because only a thread of the runtime has a LIFO slot.
    let run = tokio::spawn(async move { reload.run(async move |_| blocks.pass()).await });
    barrier.arrival().await;
    handle.trigger("test");
    heard.by(1).await;
    barrier.open();
    in_time(run).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stop_retires_the_values_while_a_reloader_blocks() {
    let barrier = Barrier::default();
    let heard = Heard::new();
    let retired = heard.clone();
    let mut reload = Manager::new().shutdown_timeout(Duration::from_secs(1));
    let pool = reload.source("pool", async || Ok(()));
    let pool = pool.retire(async move |()| retired.note("pool"));
    pool.await.unwrap();
    let blocks = barrier.clone();
    reload.add(0, "blocks", async move |_: Triggers| blocks.pass());
    let handle = reload.handle();
    let opens = barrier.clone();
    let run = reload.run(async move |_| {
        barrier.close();
        handle.trigger("test");
        barrier.arrival().await;
    });
    let error = in_time(run).await.unwrap_err().to_string();
    opens.open();
    assert!(error.contains("reloader `blocks`"), "{error}");
    assert!(!error.contains("pool"), "{error}");
    assert_eq!(heard.len(), 2, "the old value and the last one");
}
