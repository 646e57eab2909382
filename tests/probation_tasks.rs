//! Tasks that would end the run, in a generation that is on probation.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rekindle::{BoxError, Lease, Manager, OnExit, StepError};
use support::{Barrier, Dial, Latch, eventually, in_time};
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const SHORT: Duration = Duration::from_millis(10);

const HOUR: Duration = Duration::from_secs(3600);

/// Not after an hour, and not with the end of the run: the previous one was well.
#[tokio::test]
async fn a_task_that_would_end_the_run_ends_the_probation_that_it_began_with() {
    let dial = Dial::new(1);
    let mut reload = Manager::new().probation(HOUR, async || ());
    let worker = reload.source("worker", dial.clone());
    let worker = worker.runs(async move |n: Lease<u64>, stop: CancellationToken| {
        if *n == 2 {
            return Err("no connection".into());
        }
        stop.cancelled().await;
        Ok(())
    });
    let number = worker.on_exit(OnExit::Stop).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |stop: CancellationToken| {
        dial.set(2);
        let error = handle.reload("test").await.unwrap_err();
        assert!(error.is_rolled_back(), "{error:?}");
        let failure = error.report().unwrap().failure().unwrap();
        assert_eq!(failure.name(), "probation");
        assert_eq!(
            failure.error().map(StepError::chain),
            Some("the task of component `worker` failed: no connection".into())
        );
        assert_eq!(*number.load(), 1);
        assert!(!stop.is_cancelled());
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn a_task_of_what_is_rolled_back_does_not_end_the_run_however_late_it_fails() {
    let dial = Dial::new(1);
    let mut reload = Manager::new().probation(SHORT, async || ());
    let number = reload.source("number", dial.clone()).await.unwrap();
    let (fail, failing) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, tells) = (Arc::clone(&fail), Arc::clone(&failing));
    let worker = reload.derive("worker", &number, async |n: Lease<u64>| Ok(*n));
    let worker = worker.runs(async move |n: Lease<u64>, stop: CancellationToken| {
        if *n == 1 {
            stop.cancelled().await;
            return Ok(());
        }
        told.notified().await;
        // The effect goes on before anyone has heard of the error.
        tells.notify_one();
        Err::<(), BoxError>("sick".into())
    });
    worker.on_exit(OnExit::Stop).await.unwrap();
    let effect = async move |n: Lease<u64>| {
        if *n == 1 {
            return Ok(());
        }
        fail.notify_one();
        failing.notified().await;
        Err::<(), BoxError>("sick, too".into())
    };
    reload.apply("effect", &number, effect).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |stop: CancellationToken| {
        for n in 2..50 {
            dial.set(n);
            assert!(handle.reload("test").await.unwrap_err().is_rolled_back());
            yield_now().await;
            assert!(!stop.is_cancelled());
        }
    });
    in_time(run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_task_that_fails_before_the_others_are_started_ends_the_probation() {
    let dial = Dial::new(1);
    let mut reload = Manager::new().probation(SHORT, async || ());
    let number = reload.source("number", dial.clone()).await.unwrap();
    let worker = reload.derive("worker", &number, async |n: Lease<u64>| Ok(*n));
    let worker = worker.runs(async move |n: Lease<u64>, stop: CancellationToken| {
        if *n == 2 {
            return Err::<(), BoxError>("sick".into());
        }
        stop.cancelled().await;
        Ok(())
    });
    worker.on_exit(OnExit::Stop).await.unwrap();
    let keys = |n: Lease<u64>| (0..3000).map(|key| (key, *n)).collect();
    let many = reload.each("many", &number, keys, async |_: u64, n: u64| Ok(n));
    let many = many.runs(async |_, stop: CancellationToken| stop.cancelled().await);
    many.await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |stop: CancellationToken| {
        dial.set(2);
        let error = handle.reload("test").await.unwrap_err();
        assert!(error.is_rolled_back(), "{error:?}");
        assert!(!stop.is_cancelled());
    });
    in_time(run).await.unwrap();
}

/// The probe blocks the thread that has started the task, from which no other thread takes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_task_starts_while_a_probe_blocks() {
    let (dial, barrier) = (Dial::new(1), Barrier::default());
    let (probed, blocks) = (Arc::new(AtomicBool::new(false)), barrier.clone());
    let notes = Arc::clone(&probed);
    let mut reload = Manager::new().probation(SHORT, async move || {
        blocks.pass();
        notes.store(true, Ordering::SeqCst);
    });
    let number = reload.source("number", dial.clone()).await.unwrap();
    // A new key replaces no task, which would be woken to stop.
    let keys = |n: Lease<u64>| (1..=*n).map(|key| (key, ())).collect();
    let many = reload.each("many", &number, keys, async |key: u64, ()| Ok(key));
    let newest = Arc::new(AtomicU64::new(0));
    let starts = Arc::clone(&newest);
    let many = many.runs(async move |key: Lease<u64>, stop: CancellationToken| {
        starts.fetch_max(*key, Ordering::SeqCst);
        stop.cancelled().await;
    });
    many.await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        for n in 2..10 {
            barrier.close();
            probed.store(false, Ordering::SeqCst);
            dial.set(n);
            let starts = async {
                eventually("the task starts", || newest.load(Ordering::SeqCst) == n).await;
                assert!(!probed.load(Ordering::SeqCst), "only after the probe");
                barrier.open();
            };
            let (reloaded, ()) = tokio::join!(handle.reload("test"), starts);
            reloaded.unwrap();
        }
    });
    in_time(run).await.unwrap();
}

/// In all the moments of a probe that blocks, and that is given up 150 ms after it began.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_task_that_fails_while_a_probe_blocks_does_not_end_the_run() {
    for pause in [0, 100, 140, 150, 160, 200].map(Duration::from_millis) {
        fails_while_a_probe_blocks(pause).await;
    }
}

async fn fails_while_a_probe_blocks(pause: Duration) {
    let (dial, barrier) = (Dial::new(1), Barrier::default());
    let blocks = barrier.clone();
    let reload = Manager::new().timeout(Duration::from_millis(50));
    let mut reload = reload.probation(SHORT, async move || blocks.pass());
    let number = reload.source("number", dial.clone()).await.unwrap();
    let (failed, fails) = (Arc::new(AtomicBool::new(false)), barrier.clone());
    let (notes, begun) = (Arc::clone(&failed), Arc::new(Notify::new()));
    let begins = Arc::clone(&begun);
    let worker = reload.derive("worker", &number, async |n: Lease<u64>| Ok(*n));
    let worker = worker.runs(async move |n: Lease<u64>, stop: CancellationToken| {
        if *n == 1 {
            stop.cancelled().await;
            return Ok(());
        }
        begins.notify_one();
        fails.arrival().await;
        sleep(pause).await;
        notes.store(true, Ordering::SeqCst);
        Err::<(), BoxError>("sick".into())
    });
    worker.on_exit(OnExit::Stop).await.unwrap();
    // A task that has not begun when the values are rolled back never does, so the probe comes later.
    let effect = reload.apply("begun", &number, async move |n: Lease<u64>| {
        if *n == 2 {
            begun.notified().await;
        }
    });
    effect.timeout(HOUR).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |stop: CancellationToken| {
        barrier.close();
        dial.set(2);
        assert!(handle.reload("test").await.unwrap_err().is_rolled_back());
        eventually("the task fails", || failed.load(Ordering::SeqCst)).await;
        yield_now().await;
        barrier.open();
        assert!(!stop.is_cancelled());
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn a_task_that_has_failed_before_a_stop_took_the_verdict_away_fails_the_run() {
    let (dial, latch) = (Dial::new(1), Latch::new());
    let mut reload = Manager::new().probation(SHORT, async || ());
    let failed = Arc::new(AtomicBool::new(false));
    let notes = Arc::clone(&failed);
    let worker = reload.source("worker", dial.clone());
    let worker = worker.runs(async move |n: Lease<u64>, stop: CancellationToken| {
        if *n == 1 {
            stop.cancelled().await;
            return Ok(());
        }
        notes.store(true, Ordering::SeqCst);
        Err::<(), BoxError>("no connection".into())
    });
    let number = worker.on_exit(OnExit::Stop).await.unwrap();
    let waits = latch.clone();
    let effect = async move |_: Lease<u64>| waits.pass().await;
    reload.apply("effect", &number, effect).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        latch.close();
        dial.set(2);
        handle.trigger("test");
        latch.arrival().await;
        eventually("the task fails", || failed.load(Ordering::SeqCst)).await;
        yield_now().await;
        // It goes on when the app has ended.
        tokio::spawn(async move {
            sleep(SHORT).await;
            latch.open();
        });
    });
    let error = in_time(run).await.unwrap_err();
    assert!(error.to_string().contains("`worker`"), "{error}");
}
