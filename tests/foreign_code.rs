//! Code of the app's that runs where one does not think of it, the texts of errors and wakers: it blocks,
//! and what it is in the way of is seen, named, and goes on.

mod support;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use rekindle::{BoxError, Lease, Manager, OnExit, Triggers};
use support::{Barrier, Dial, eventually, in_time};
use tokio::task::{JoinSet, yield_now};
use tokio_util::sync::CancellationToken;

const SHORT: Duration = Duration::from_millis(50);

/// An error whose text has to pass the barrier.
struct Shows(Barrier);

impl fmt::Debug for Shows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shows")
    }
}

impl fmt::Display for Shows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.pass();
        f.write_str("shown")
    }
}

impl std::error::Error for Shows {}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_error_whose_text_blocks_is_given_up_as_the_step_that_it_is_of() {
    for waits in [false, true] {
        let barrier = Barrier::default();
        let mut reload = Manager::new().timeout(SHORT);
        let text = barrier.clone();
        reload.add(0, "hook", async move |_: Triggers| {
            if waits {
                yield_now().await;
            }
            Err::<(), BoxError>(Shows(text.clone()).into())
        });
        let handle = reload.handle();
        let run = reload.run(async move |_| {
            barrier.close();
            let error = handle.reload("test").await.unwrap_err();
            barrier.open();
            let failure = error.report().unwrap().failure().unwrap();
            let said = failure.error().unwrap().chain();
            assert!(said.contains("blocks its thread"), "{said}");
        });
        in_time(run).await.unwrap();
    }
}

/// An error whose text blocks when it is asked for again.
#[derive(Debug)]
struct Caused(Cause);

#[derive(Debug)]
struct Cause(Flagged, AtomicBool);

struct Flagged(Barrier);

impl fmt::Debug for Flagged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flagged")
    }
}

impl fmt::Display for Caused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no connection")
    }
}

impl std::error::Error for Caused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Flagged(barrier), was_asked) = self;
        if was_asked.swap(true, Ordering::SeqCst) {
            barrier.pass();
        }
        f.write_str("refused")
    }
}

impl std::error::Error for Cause {}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_error_of_a_task_on_probation_whose_text_blocks_keeps_no_stop_from_its_end() {
    let (dial, barrier) = (Dial::new(1), Barrier::default());
    let reload = Manager::new().timeout(SHORT).shutdown_timeout(4 * SHORT);
    let mut reload = reload.probation(SHORT, async || ());
    let text = barrier.clone();
    let worker = reload.source("worker", dial.clone());
    let worker = worker.runs(async move |n: Lease<u64>, stop: CancellationToken| {
        if *n == 2 {
            let cause = Cause(Flagged(text), AtomicBool::new(false));
            return Err::<(), BoxError>(Caused(cause).into());
        }
        stop.cancelled().await;
        Ok(())
    });
    worker.on_exit(OnExit::Stop).await.unwrap();
    let handle = reload.handle();
    let blocks = barrier.clone();
    let run = tokio::spawn(reload.run(async move |_| {
        blocks.close();
        dial.set(2);
        handle.trigger("test");
        blocks.arrival().await;
        tokio::time::sleep(4 * SHORT).await;
    }));
    barrier.arrival().await;
    let began = Instant::now();
    // That of the task, which is told whatever becomes of the probation.
    in_time(run).await.unwrap().unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(10));
    barrier.open();
}

/// A waker that has to pass the barrier.
struct Wakes(Barrier);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.pass();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_waker_that_blocks_keeps_no_stop_from_its_end() {
    let (dial, barrier) = (Dial::new(1), Barrier::default());
    let mut reload = Manager::new().timeout(SHORT).shutdown_timeout(4 * SHORT);
    let number = reload.source("number", dial.clone()).await.unwrap();
    let (handle, lease) = (reload.handle(), number.lease());
    let waker = Waker::from(Arc::new(Wakes(barrier.clone())));
    let blocks = barrier.clone();
    let run = tokio::spawn(reload.run(async move |_| {
        let mut replaced = Box::pin(async move { lease.replaced().await });
        let polled = replaced.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        blocks.close();
        dial.set(2);
        handle.trigger("test");
        blocks.arrival().await;
        // Its drop would wait for the waker.
        std::mem::forget(replaced);
    }));
    barrier.arrival().await;
    let began = Instant::now();
    _ = in_time(run).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(10));
    barrier.open();
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("in a waker");
    }
}

/// tokio wakes those who wait for one thing in turns, which a panic would cut short.
#[tokio::test]
async fn a_waker_that_panics_keeps_none_of_the_others_from_being_woken() {
    let dial = Dial::new(1);
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        let lease = number.lease();
        let waker = Waker::from(Arc::new(Panics));
        let mut first = Box::pin(lease.replaced());
        let polled = first.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        let mut others = JoinSet::new();
        for _ in 0..400 {
            let lease = number.lease();
            others.spawn(async move { lease.replaced().await });
        }
        yield_now().await;
        dial.set(2);
        handle.reload("test").await?;
        while others.join_next().await.is_some() {}
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn errors_before_the_run_end_when_nobody_has_them_any_more() {
    let mut reload = Manager::new();
    let errors = Arc::new(());
    for _ in 0..10 {
        let counts = Arc::clone(&errors);
        let read = async move || Err::<u8, BoxError>(Box::new(Counted(Arc::clone(&counts))));
        reload.source("retried", read).await.unwrap_err();
    }
    eventually("all are gone", || Arc::strong_count(&errors) == 1).await;
}

#[derive(Debug)]
struct Counted(Arc<()>);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "one of {}", Arc::strong_count(&self.0))
    }
}

impl std::error::Error for Counted {}
