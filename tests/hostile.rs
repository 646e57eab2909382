//! Code of the app's that panics or never ends where nobody expects it: in drops, wakers and errors.

mod process;
mod support;

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use process::Process;
use rekindle::Manager;
use support::{Dial, eventually, in_time};

#[test]
fn two_captures_that_panic_in_their_drop_do_not_abort_the_process() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    let test = "two_captures_that_panic_in_their_drop_do_not_abort_the_process";
    if let Some(process) = Process::of(test) {
        let (code, stderr) = process.ends();
        assert_eq!(code, Some(0), "{stderr}");
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut reload = Manager::new();
        for name in ["one", "two"] {
            let bomb = Arc::new(Bomb);
            reload.add(0, name, async move |_| drop(Arc::clone(&bomb)));
        }
        reload.run(async |_| ()).await.unwrap();
    });
}

/// A waker that panics.
#[derive(Default)]
struct BadWaker(AtomicUsize);

impl Wake for BadWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic!("in wake");
    }
}

/// Polls `future`, which is not ready, with a waker that panics.
fn wait_badly<F: Future>(future: F) -> (Pin<Box<F>>, Arc<BadWaker>) {
    let bad = Arc::new(BadWaker::default());
    let waker = Waker::from(Arc::clone(&bad));
    let mut future = Box::pin(future);
    let poll = future.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(poll.is_pending());
    (future, bad)
}

#[tokio::test]
async fn a_waker_that_panics_takes_nothing_down() {
    let mut reload = Manager::new();
    reload.source("number", Dial::new(1)).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |stop| {
        let (_asked, bad) = wait_badly(handle.reload("test"));
        let woken = || bad.0.load(Ordering::SeqCst) > 0;
        eventually("the one who asked is woken", woken).await;
        let mut reports = handle.subscribe();
        let (_next, bad) = wait_badly(async move { reports.next().await.is_some() });
        handle.reload("again").await?;
        assert_eq!(bad.0.load(Ordering::SeqCst), 1);
        let mut reports = handle.subscribe();
        // Both are woken at the end. The futures are leaked, or they would not wait any more.
        std::mem::forget(wait_badly(async move { reports.next().await.is_some() }));
        std::mem::forget(wait_badly(stop.cancelled_owned()));
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn an_error_that_is_its_own_cause_is_told_all_the_same() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    const ENOUGH: usize = 100_000;

    #[derive(Debug)]
    struct Ouroboros;
    impl fmt::Display for Ouroboros {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("ouroboros")
        }
    }
    impl Error for Ouroboros {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            (ASKED.fetch_add(1, Ordering::SeqCst) < ENOUGH).then_some(self)
        }
    }

    let mut reload = Manager::new();
    let build = async || Err::<u64, _>(Ouroboros.into());
    let error = reload.source("number", build).await.unwrap_err();
    assert!(error.to_string().contains("`number`"), "{error}");
    assert!(ASKED.load(Ordering::SeqCst) < ENOUGH);
}

/// A signal has to end the process whatever hangs.
#[cfg(all(unix, feature = "signal"))]
#[test]
#[allow(clippy::print_stdout, reason = "this is how the processes talk")]
fn a_drop_that_hangs_does_not_outlive_a_signal_and_its_budget() {
    use rekindle::run::{self, Group};
    use std::time::Duration;

    struct Hangs;
    impl Drop for Hangs {
        fn drop(&mut self) {
            println!("dropping");
            loop {
                std::thread::park();
            }
        }
    }
    let test = "a_drop_that_hangs_does_not_outlive_a_signal_and_its_budget";
    if let Some(mut process) = Process::of(test) {
        process.waits_for("ready");
        process.kill("TERM");
        process.waits_for("dropping");
        let (code, stderr) = process.ends();
        assert_eq!(code, Some(143), "{stderr}");
        assert!(stderr.contains("the drop of"), "{stderr}");
        assert!(stderr.contains("`value`"), "{stderr}");
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut group = Group::new();
        group.add("signals", run::signals().unwrap());
        let mut reload = Manager::new().shutdown_timeout(Duration::from_millis(100));
        let value = reload.source("value", async || Ok(Hangs)).await.unwrap();
        let app = reload.run(async move |stop| {
            println!("ready");
            let ended = group.run_until(stop).await;
            drop(value);
            ended
        });
        let _ = app.await;
    });
}
