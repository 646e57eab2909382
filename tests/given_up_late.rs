//! A reload that was given up and comes to its end later: it changes nothing any more.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use rekindle::{Action, BoxError, Lease, Manager, Outcome};
use support::{Automatic, Barrier, Dial, eventually, in_time};
use tokio::task::yield_now;

const SHORT: Duration = Duration::from_millis(50);

/// How long a probation takes.
const TRIAL: Duration = Duration::from_millis(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_does_not_forget_what_is_held_back() {
    let (first, second, barrier) = (Dial::new(1), Dial::new(1), Barrier::default());
    let sick = Arc::new(AtomicBool::new(false));
    let probe = Arc::clone(&sick);
    let reload = Manager::new().timeout(SHORT);
    let mut reload = reload.probation(TRIAL, async move || match probe.load(Ordering::SeqCst) {
        true => Err::<(), BoxError>("sick".into()),
        false => Ok(()),
    });
    let number = reload.source("first", first.clone()).await.unwrap();
    reload.source("second", second.clone()).await.unwrap();
    let (blocks, ended) = (barrier.clone(), Arc::new(AtomicBool::new(false)));
    let ends = Arc::clone(&ended);
    let build = async move |n: Lease<u64>| {
        if *n == 1 {
            return Ok(());
        }
        yield_now().await;
        blocks.pass();
        ends.store(true, Ordering::SeqCst);
        Err("too late".into())
    };
    reload.derive("blocks", &number, build).await.unwrap();
    let handle = reload.handle();
    let mut automatic = Automatic::new(&mut reload);
    let run = reload.run(async move |_| {
        barrier.close();
        first.set(2);
        assert!(handle.reload("blocks").await.unwrap_err().is_rejected());
        first.set(1);
        second.set(2);
        sick.store(true, Ordering::SeqCst);
        assert!(handle.reload("fails").await.unwrap_err().is_rolled_back());
        assert_eq!(automatic.reload().await.outcome(), Outcome::Rejected);
        barrier.open();
        eventually("the build ends", || ended.load(Ordering::SeqCst)).await;
        for _ in 0..100 {
            assert_eq!(automatic.reload().await.outcome(), Outcome::Rejected);
            yield_now().await;
        }
    });
    in_time(run).await.unwrap();
}

/// A setting whose comparison blocks its thread.
#[derive(Clone)]
struct Tens {
    tens: u64,
    barrier: Barrier,
    compared: Arc<AtomicBool>,
}

impl PartialEq for Tens {
    fn eq(&self, other: &Self) -> bool {
        self.barrier.pass();
        self.compared.store(true, Ordering::SeqCst);
        self.tens == other.tens
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_takes_no_effect_from_those_that_are_due() {
    let (dial, barrier) = (Dial::new(10), Barrier::default());
    let (compared, pushed) = (Arc::<AtomicBool>::default(), Arc::new(AtomicU64::new(0)));
    let mut reload = Manager::new().timeout(SHORT);
    let number = reload.source("number", dial.clone()).await.unwrap();
    let (blocks, compares) = (barrier.clone(), Arc::clone(&compared));
    let tens = number.map(move |n| Tens {
        tens: *n / 10,
        barrier: blocks.clone(),
        compared: Arc::clone(&compares),
    });
    let pushes = Arc::clone(&pushed);
    let push = async move |tens: Tens| pushes.store(tens.tens, Ordering::SeqCst);
    reload.apply("gauge", tens, push).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        barrier.close();
        dial.set(11);
        // It blocks when it is to find out that nothing is due.
        assert!(handle.reload("the same").await.unwrap_err().is_partial());
        dial.set(20);
        assert!(handle.reload("another").await.unwrap_err().is_partial());
        barrier.open();
        eventually("it ends", || compared.load(Ordering::SeqCst)).await;
        let pushed = async || {
            _ = handle.reload("again").await;
            pushed.load(Ordering::SeqCst) == 2
        };
        while !pushed().await {
            yield_now().await;
        }
    });
    in_time(run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_does_not_call_the_probe_again() {
    let (dial, barrier) = (Dial::new(1), Barrier::default());
    let (called, ended) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
    let (blocks, calls, ends) = (barrier.clone(), Arc::clone(&called), Arc::clone(&ended));
    let reload = Manager::new().timeout(SHORT);
    let mut reload = reload.probation(TRIAL, async move || {
        calls.fetch_add(1, Ordering::SeqCst);
        blocks.pass();
        ends.store(true, Ordering::SeqCst);
    });
    reload.source("number", dial.clone()).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        barrier.close();
        dial.set(2);
        assert!(handle.reload("test").await.unwrap_err().is_rolled_back());
        barrier.open();
        eventually("it ends", || ended.load(Ordering::SeqCst)).await;
        // As long as several probes would take.
        tokio::time::sleep(4 * TRIAL).await;
        assert_eq!(called.load(Ordering::SeqCst), 1);
    });
    in_time(run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_way_back_that_is_given_up_each_reloader_is_told_once() {
    let (dial, barrier) = (Dial::new(1), Barrier::default());
    let reload = Manager::new().timeout(SHORT);
    let mut reload = reload.probation(TRIAL, async || Err::<(), BoxError>("sick".into()));
    let number = reload.source("number", dial.clone()).await.unwrap();
    let blocks = barrier.clone();
    let effect = async move |n: Lease<u64>| {
        if *n == 1 {
            blocks.pass();
        }
    };
    reload.apply("gauge", &number, effect).await.unwrap();
    reload.add(0, "hook", async |_| ());
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        barrier.close();
        dial.set(2);
        let error = handle.reload("test").await.unwrap_err();
        barrier.open();
        let report = error.report().unwrap();
        assert_eq!(report.outcome(), Outcome::RolledBack);
        let hooks = report.steps().iter().filter(|step| step.name() == "hook");
        let actions: Vec<Action> = hooks.map(|hook| hook.action()).collect();
        assert_eq!(actions, [Action::Skipped], "{report}");
    });
    in_time(run).await.unwrap();
}
