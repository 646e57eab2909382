//! Functions of the app's that panic, or ask for more, where nobody expects it: in drops and in wakers.

mod process;
mod support;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use process::Process;
use rekindle::{BoxError, Handle, Lease, Manager};
use support::{Dial, eventually, in_time};
use tokio::task::yield_now;
use tokio_util::sync::CancellationToken;

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("in drop");
    }
}

/// Counts how many of it were dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn functions_that_panic_when_they_are_dropped_keep_nothing_from_being_retired() {
    let retired = Arc::new(AtomicUsize::new(0));
    let retires = Arc::clone(&retired);
    let bombs = [(); 3].map(|()| Arc::new(Bomb));
    let [probes, runs, closes] = bombs;
    let mut reload = Manager::new().probation(Duration::from_secs(1), async move || {
        let _bomb = &probes;
    });
    let worker = reload.source("worker", async || Ok(1));
    let worker = worker.runs(async move |_, stop: CancellationToken| {
        let _bomb = &runs;
        stop.cancelled().await;
    });
    let worker = worker.retire(async move |_| {
        let _bomb = &closes;
        retires.fetch_add(1, Ordering::SeqCst);
    });
    worker.await.unwrap();
    in_time(reload.run(async |_| ())).await.unwrap();
    assert_eq!(retired.load(Ordering::SeqCst), 1);
}

/// A second panic while the first one unwinds would end the process.
#[test]
fn two_functions_of_one_component_may_both_panic_when_they_are_dropped() {
    let name = "two_functions_of_one_component_may_both_panic_when_they_are_dropped";
    if let Some(process) = Process::of(name) {
        let (code, stderr) = process.ends();
        assert_eq!(code, Some(0), "{stderr}");
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let mut reload = Manager::new();
        let number = reload.source("number", Dial::new(1)).await.unwrap();
        let bomb = || Arc::new(Bomb);
        let (one, two) = (bomb(), bomb());
        let settings = move |n: Lease<u64>| {
            let _one = &one;
            BTreeMap::from([("a", *n)])
        };
        let build = async move |_, n: u64| {
            let _two = &two;
            Ok(n)
        };
        reload.each("keys", &number, settings, build).await.unwrap();
        let (one, two, three) = (bomb(), bomb(), bomb());
        let parts = (
            number.map(move |n| {
                let _one = &one;
                *n
            }),
            number.map(move |n| {
                let _two = &two;
                *n
            }),
        );
        let derived = reload.derive("sum", parts, async move |(a, b)| {
            let _three = &three;
            Ok(a + b)
        });
        derived.await.unwrap();
        reload.run(async |_| ()).await.unwrap();
    });
}

#[tokio::test]
async fn what_retires_may_be_dropped_by_a_reader_and_panic() {
    let mut reload = Manager::new().shutdown_timeout(Duration::from_millis(10));
    let bomb = Arc::new(Bomb);
    let pool = reload
        .source("pool", async || Ok(1))
        .retire(async move |_| {
            let _bomb = &bomb;
        });
    let pool = pool.await.unwrap();
    let guard = pool.load();
    let held = in_time(reload.run(async |_| ())).await.unwrap_err();
    assert!(held.to_string().contains("`pool`"), "{held}");
    drop(pool);
    catch_unwind(AssertUnwindSafe(|| drop(guard))).unwrap();
}

/// Whether the keys of a test panic when they are dropped.
static SICK: [AtomicBool; 2] = [const { AtomicBool::new(false) }; 2];

/// There are several, because a second panic while the first one unwinds would end the process.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key<const TEST: usize>(u64);

impl<const TEST: usize> Key<TEST> {
    fn settings(number: u64) -> BTreeMap<Self, u64> {
        BTreeMap::from([1, 2, 3].map(|key| (Self(key), number)))
    }
}

impl<const TEST: usize> fmt::Display for Key<TEST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<const TEST: usize> Drop for Key<TEST> {
    fn drop(&mut self) {
        assert!(!SICK[TEST].load(Ordering::SeqCst), "in drop");
    }
}

#[tokio::test]
async fn keys_that_panic_when_a_build_is_refused_end_nothing() {
    let dial = Dial::new(1);
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let build = async |key: Key<0>, n: u64| {
        std::mem::forget(key);
        if n == 2 {
            yield_now().await;
            SICK[0].store(true, Ordering::SeqCst);
            return Err::<u64, BoxError>("no".into());
        }
        Ok(n)
    };
    let keys = reload.each("keys", &number, |n| Key::settings(*n), build);
    keys.await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(2);
        let error = handle.reload("test").await.unwrap_err();
        assert!(error.is_rejected(), "{error:?}");
        SICK[0].store(false, Ordering::SeqCst);
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn keys_that_panic_when_they_are_dropped_keep_nothing_from_being_retired() {
    let (dial, ended) = (Dial::new(1), Arc::new(AtomicUsize::new(0)));
    let (dropped, retired) = (Arc::clone(&ended), Arc::clone(&ended));
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let build = async move |_: Key<1>, _| Ok(Counted(Arc::clone(&dropped)));
    let keys = reload.each("keys", &number, |n| Key::settings(*n), build);
    let keys = keys.await.unwrap();
    let pool = reload.derive("pool", &keys, async |_| Ok(1));
    let pool = pool.retire(async move |_| _ = retired.fetch_add(1, Ordering::SeqCst));
    drop(pool.await.unwrap());
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        let held = keys.load();
        dial.set(2);
        handle.reload("first").await?;
        SICK[1].store(true, Ordering::SeqCst);
        drop(held);
        let gone = || ended.load(Ordering::SeqCst) == 4;
        eventually("three values and a pool have ended", gone).await;
        SICK[1].store(false, Ordering::SeqCst);
        dial.set(3);
        handle.reload("second").await?;
        let gone = || ended.load(Ordering::SeqCst) == 8;
        eventually("the next ones, too", gone).await;
        Ok(())
    });
    in_time(run).await.unwrap();
}

/// Keeps what is logged, after a panic when it is to log that for the first time.
#[derive(Clone, Default)]
struct PanickyLog(Arc<Mutex<String>>, Arc<AtomicBool>);

impl io::Write for PanickyLog {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let panics = text.contains("still draining") && !self.1.swap(true, Ordering::SeqCst);
        assert!(!panics, "in the log");
        self.0.lock().unwrap().push_str(&text);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_log_that_panics_keeps_no_old_value_from_its_end() {
    let log = PanickyLog::default();
    let to = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false);
    let subscriber = subscriber.with_writer(move || to.clone()).finish();
    let _subscriber = tracing::subscriber::set_default(subscriber);
    let dial = Dial::new(1);
    let mut reload = Manager::new().drain(Duration::from_millis(1));
    let (sender, mut retired) = tokio::sync::mpsc::unbounded_channel();
    let number = reload.source("number", dial.clone());
    let number = number.retire(async move |number| Ok(sender.send(number)?));
    let number = number.await.unwrap();
    let handle = reload.handle();
    let panicked = Arc::clone(&log.1);
    let run = reload.run(async move |_| {
        let held = number.load();
        dial.set(2);
        handle.reload("test").await?;
        eventually("it panics", || panicked.load(Ordering::SeqCst)).await;
        drop(held);
        assert_eq!(retired.recv().await, Some(1));
        Ok(())
    });
    in_time(run).await.unwrap();
}

/// Asks for something that takes the locks of the manager when it is dropped.
struct Asks(Handle);

impl fmt::Debug for Asks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("asks")
    }
}

impl fmt::Display for Asks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("asks")
    }
}

impl std::error::Error for Asks {}

impl Drop for Asks {
    fn drop(&mut self) {
        drop(self.0.status());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_may_ask_for_the_status_when_they_are_dropped() {
    let mut reload = Manager::new();
    let asks = reload.handle();
    let worker = reload.source("worker", Dial::new(1));
    let worker = worker.runs(async move |_, _| Err(Asks(asks).into()));
    worker.await.unwrap();
    let asks = reload.handle();
    reload.on(rekindle::notify::interval(Duration::from_millis(1)));
    reload.add(0, "hook", async move |_| Err(Asks(asks.clone()).into()));
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        let has_failed = || handle.status().tasks().any(|task| task.failures() > 2);
        eventually("errors were replaced", has_failed).await;
        let failed = || handle.status().consecutive_failures() > 40;
        eventually("reports were forgotten", failed).await;
    });
    in_time(run).await.unwrap();
}

struct BadWaker;

impl Wake for BadWaker {
    fn wake(self: Arc<Self>) {
        panic!("in wake");
    }
}

#[tokio::test]
async fn a_waker_that_panics_when_its_task_is_told_to_stop_keeps_no_other_from_starting() {
    let (dial, trace) = (Dial::new(1), Arc::new(Mutex::new(Vec::new())));
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    for name in ["first", "second"] {
        let trace = Arc::clone(&trace);
        let worker = reload.derive(name, &number, async |n: Lease<u64>| Ok(*n));
        let worker = worker.runs(async move |n: Lease<u64>, stop: CancellationToken| {
            let mut told = Box::pin(stop.clone().cancelled_owned());
            let waker = Waker::from(Arc::new(BadWaker));
            let polled = told.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            trace.lock().unwrap().push(format!("{name} {}", *n));
            stop.cancelled().await;
        });
        worker.await.unwrap();
    }
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        let both = || trace.lock().unwrap().len() == 2;
        eventually("both run", both).await;
        dial.set(2);
        handle.reload("test").await?;
        let all = || trace.lock().unwrap().len() == 4;
        eventually("both run anew", all).await;
        Ok(())
    });
    in_time(run).await.unwrap();
}

/// A function that retires may hold a handle, which holds the values.
#[tokio::test]
async fn what_is_dropped_with_the_run_is_dropped_whatever_its_functions_hold() {
    for runs in [true, false] {
        let dropped = Arc::new(AtomicUsize::new(0));
        let mut reload = Manager::new();
        let (value, handle) = (Arc::clone(&dropped), reload.handle());
        let pool = reload.source("pool", async move || Ok(Counted(Arc::clone(&value))));
        let pool = pool.retire(async move |_| handle.trigger("retired"));
        drop(pool.await.unwrap());
        match runs {
            true => {
                let run = reload.run(async |_| std::future::pending::<()>().await);
                let run = tokio::time::timeout(Duration::from_millis(10), run);
                assert!(run.await.is_err());
            }
            false => drop(reload),
        }
        let is_dropped = || dropped.load(Ordering::SeqCst) == 1;
        eventually("it is dropped", is_dropped).await;
    }
}
