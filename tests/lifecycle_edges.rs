//! Lifecycles at their edges: what fails, hangs, blocks or is stopped in the middle of something.

mod support;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use rekindle::{BoxError, Keyed, Lease, Manager, Outcome, Reading, Source, Stamp};
use support::{Barrier, Dial, eventually, in_time};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const SHORT: Duration = Duration::from_millis(10);

/// Makes values that have to be retired, and counts those that were dropped instead.
#[derive(Clone, Default)]
struct Maker(Arc<(AtomicUsize, AtomicUsize)>);

struct Made {
    maker: Maker,
    retired: bool,
}

impl Maker {
    fn make(&self) -> Made {
        self.0.0.fetch_add(1, Ordering::SeqCst);
        Made {
            maker: self.clone(),
            retired: false,
        }
    }

    fn made(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }

    fn dropped(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if !self.retired {
            self.maker.0.1.fetch_add(1, Ordering::SeqCst);
        }
    }
}

async fn retire(mut made: Made) {
    made.retired = true;
}

async fn until_stopped<T: Send + Sync>(_: Lease<T>, stop: CancellationToken) {
    stop.cancelled().await;
}

fn same_for(keys: u64) -> impl FnOnce(Lease<u64>) -> BTreeMap<u64, u64> + Clone {
    move |n| (0..keys).map(|key| (key, *n)).collect()
}

#[tokio::test]
async fn what_was_built_of_other_keys_is_retired_when_one_fails() {
    let (dial, maker) = (Dial::new(0), Maker::default());
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let makes = maker.clone();
    let build = async move |key, n| match (key, n) {
        (1, 1) => {
            // The others are built by then.
            tokio::task::yield_now().await;
            Err("bad luck".into())
        }
        _ => Ok(makes.make()),
    };
    let all = reload.each("all", &number, same_for(5), build);
    all.retire(retire).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(1);
        handle.reload("test").await.unwrap_err();
    });
    in_time(run).await.unwrap();
    assert_eq!((maker.made(), maker.dropped()), (9, 0));
}

/// Reads anew each time, and says that it is the same.
struct Same(Maker);

impl Source for Same {
    type Value = Made;

    async fn read(&self, _: Option<Stamp>) -> Result<Reading<Made>, BoxError> {
        Ok(Reading::Stamped(self.0.make(), Stamp::of(b"same")))
    }
}

#[tokio::test]
async fn what_is_read_and_has_not_changed_is_retired_too() {
    let maker = Maker::default();
    let mut reload = Manager::new();
    let same = reload.source("same", Same(maker.clone()));
    same.retire(retire).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        let report = handle.reload("test").await.unwrap();
        assert_eq!(report.outcome(), Outcome::Unchanged);
    });
    in_time(run).await.unwrap();
    assert_eq!((maker.made(), maker.dropped()), (2, 0));
}

#[tokio::test]
async fn what_a_refused_reload_leaked_is_named_at_the_end() {
    static LEAKED: Mutex<Vec<Lease<u64>>> = Mutex::new(Vec::new());
    let dial = Dial::new(1);
    let mut reload = Manager::new().shutdown_timeout(Duration::from_millis(50));
    let number = reload.source("number", dial.clone()).retire(async |_| ());
    let number = number.await.unwrap();
    let build = async |n: Lease<u64>| match *n {
        2 => {
            LEAKED.lock().unwrap().push(n);
            Err("bad luck".into())
        }
        _ => Ok(()),
    };
    reload.derive("leaks", &number, build).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(2);
        handle.reload("test").await.unwrap_err();
    });
    let error = in_time(run).await.unwrap_err().to_string();
    assert!(
        error.contains("component `number` that was never current, held for")
            && error.ends_with("by 0 guards and 1 lease"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retirement_that_is_cut_off_at_the_end_is_named_each_time() {
    for _ in 0..200 {
        let mut reload = Manager::new().shutdown_timeout(Duration::from_millis(2));
        let hangs = reload.source("hangs", Dial::new(1));
        hangs
            .retire(async |_| std::future::pending::<()>().await)
            .await
            .unwrap();
        let error = in_time(reload.run(async |_| ()))
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("`hangs`"), "{error}");
    }
}

/// Many tasks start before the one that the first reload replaces.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reload_that_waits_for_the_start_replaces_what_was_started() {
    let dial = Dial::new(1);
    let mut reload = Manager::new();
    let fixed = reload.source("fixed", Dial::new(1)).await.unwrap();
    for name in 0..2_000 {
        let early = reload.derive(format!("early {name}"), &fixed, async |_| Ok(()));
        early.runs(until_stopped).await.unwrap();
    }
    let running = Arc::new(Mutex::new(Vec::new()));
    let runs = Arc::clone(&running);
    let last = reload.source("last", dial.clone());
    let last = last.runs(async move |n: Lease<u64>, stop: CancellationToken| {
        runs.lock().unwrap().push(*n);
        stop.cancelled().await;
        runs.lock().unwrap().retain(|other| *other != *n);
    });
    last.await.unwrap();
    let handle = reload.handle();
    dial.set(2);
    handle.trigger("early");
    let run = reload.run(async move |_| {
        handle.reload("late").await.unwrap();
        let tasks = || handle.status().tasks().len();
        eventually("the first one has ended", || tasks() == 2_001).await;
        eventually("the second one runs", || *running.lock().unwrap() == [2]).await;
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn the_status_lists_tasks_from_the_commit_until_they_are_gone() {
    let dial = Dial::new(1);
    let mut reload = Manager::new().shutdown_timeout(SHORT);
    let stays = reload.source("stays", dial.clone());
    let task = async |_, _| std::future::pending::<()>().await;
    stays.runs(task).await.unwrap();
    let handle = reload.handle();
    let asks = handle.clone();
    let run = reload.run(async move |_| {
        assert_eq!(asks.status().tasks().len(), 1);
        dial.set(2);
        asks.reload("test").await.unwrap();
        assert_eq!(asks.status().tasks().len(), 2);
    });
    in_time(run).await.unwrap_err();
    eventually("they are dropped", || handle.status().tasks().len() == 0).await;
}

/// A thread asks all the time, also in the middle of the commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_becomes_current_is_not_replaced_meanwhile() {
    let dial = Dial::new(0);
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let settings = |n: Lease<u64>| -> BTreeMap<u64, u64> {
        let setting = |key| if key == 0 { *n } else { 0 };
        (0..20_000).map(|key| (key, setting(key))).collect()
    };
    let all = reload.each("all", &number, settings, async |_, n| Ok(n));
    let all = all.await.unwrap();
    let (stopping, told) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
    let (stops, tells) = (stopping.clone(), Arc::clone(&told));
    let watch = async move |all: Lease<Keyed<u64, u64>>| {
        let first = all.get(&0).expect("it is a key").clone();
        if *first == 1 {
            std::thread::spawn(move || {
                let mut cx = Context::from_waker(Waker::noop());
                while !stops.is_cancelled() {
                    if pin!(first.replaced()).poll(&mut cx).is_ready() {
                        tells.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        Ok(())
    };
    reload.derive("watch", &all, watch).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(1);
        handle.reload("test").await.unwrap();
        assert_eq!(told.load(Ordering::SeqCst), 0);
        dial.set(2);
        handle.reload("test").await.unwrap();
        eventually("it is replaced", || told.load(Ordering::SeqCst) > 0).await;
        stopping.cancel();
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn each_dependant_of_what_is_held_is_named_once() {
    let dial = Dial::new(1);
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let first = reload.each("first", &number, same_for(300), async |_, n| Ok(n));
    let first = first.retire(async |_| ()).await.unwrap();
    let same = |first: Lease<Keyed<u64, u64>>| -> BTreeMap<u64, u64> {
        first.iter().map(|(key, n)| (*key, **n)).collect()
    };
    let second = reload.each("second", &first, same, async |_, n| Ok(n));
    second.retire(async |_| ()).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        let held = number.snapshot();
        dial.set(2);
        handle.reload("test").await.unwrap();
        let status = handle.status();
        assert_eq!(status.draining().len(), 602);
        for draining in status.draining() {
            let dependants: Vec<_> = draining.dependants().collect();
            match draining.component().starts_with("first") {
                true => assert_eq!(dependants, ["second"]),
                false => assert!(dependants.is_empty()),
            }
        }
        drop(held);
    });
    in_time(run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pin_whose_selection_blocks_its_thread_is_named() {
    let (dial, barrier) = (Dial::new(1), Barrier::default());
    let blocks = barrier.clone();
    let mut reload = Manager::new().timeout(Duration::from_millis(50));
    let number = reload.source("number", dial.clone()).await.unwrap();
    let selection = number.map(move |n| {
        blocks.pass();
        *n
    });
    reload.pin("pinned", selection).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        barrier.close();
        dial.set(2);
        let error = handle.reload("test").await.unwrap_err();
        assert!(error.is_rejected());
        assert_eq!(error.report().unwrap().failure().unwrap().name(), "pinned");
        barrier.open();
    });
    in_time(run).await.unwrap();
}

/// The first key is slow, so that the second one is built on another thread than the collection.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_key_that_blocks_its_thread_is_named_and_not_joined_by_another() {
    let (dial, barrier) = (Dial::new(0), Barrier::default());
    let blocked = Arc::new(AtomicUsize::new(0));
    let (blocks, counts) = (barrier.clone(), Arc::clone(&blocked));
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let build = async move |key, n| {
        match (key, n) {
            (_, 0) => {}
            (0, _) => std::thread::sleep(Duration::from_millis(5)),
            (_, _) => {
                counts.fetch_add(1, Ordering::SeqCst);
                blocks.pass();
            }
        }
        Ok(n)
    };
    let all = reload.each("all", &number, same_for(2), build);
    all.timeout(Duration::from_millis(50)).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        barrier.close();
        for n in 1..4 {
            dial.set(n);
            let error = handle.reload("test").await.unwrap_err();
            assert!(error.is_rejected());
            let failure = error.report().unwrap().to_string();
            assert!(
                failure.contains("`all[1]`") || failure.contains("`1`"),
                "{failure}"
            );
        }
        assert_eq!(blocked.load(Ordering::SeqCst), 1);
        barrier.open();
        let good = async || handle.reload("test").await.is_ok();
        while !good().await {
            sleep(Duration::from_millis(1)).await;
        }
    });
    in_time(run).await.unwrap();
}
