//! A thread for each call, and not one of tokio's pool: `spawn_blocking` panics where it cannot
//! start a thread, and its queue keeps the call with the permit of the source. `thread::Builder`
//! returns an error and drops both.

use std::io;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The time to keep trying while no other call runs, because one may just have ended.
const PATIENCE: Duration = Duration::from_millis(100);

/// The time to keep trying while calls run and none of them ends.
const BRIEF: Duration = Duration::from_secs(1);

/// The pause between two attempts.
const RETRY: Duration = Duration::from_millis(5);

/// The numbers of running and of ended calls in the process.
static RUNNING: AtomicUsize = AtomicUsize::new(0);
static ENDED: AtomicUsize = AtomicUsize::new(0);

/// Starts a thread that runs `work`. Sources that are read together can use up all threads; while
/// one of them ends each second, the others wait for theirs.
///
/// A paused clock jumps to the next deadline as soon as the runtime is idle, unless the runtime
/// waits for its blocking pool. With a paused clock, which is for tests, `work` therefore runs in
/// the pool.
pub(super) async fn start(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    if is_clock_paused() {
        tokio::task::spawn_blocking(work);
        return Ok(());
    }
    let (mut since, mut ended) = (Instant::now(), ENDED.load(Ordering::Relaxed));
    // A thread that fails to start drops its closure, but the next attempt needs the work.
    let work = Arc::new(Mutex::new(Some(work)));
    loop {
        let (running, work) = (Running::new(), Arc::clone(&work));
        let body = move || {
            let work = work.lock().unwrap_or_else(PoisonError::into_inner).take();
            work.expect("only one thread is started")();
            drop(running);
            ENDED.fetch_add(1, Ordering::Relaxed);
        };
        let thread = thread::Builder::new().name("rekindle-file".to_owned());
        let Err(error) = thread.spawn(body) else {
            return Ok(());
        };
        let before = mem::replace(&mut ended, ENDED.load(Ordering::Relaxed));
        if before != ended {
            since = Instant::now();
        }
        let is_alone = RUNNING.load(Ordering::Relaxed) == 0;
        if since.elapsed() > if is_alone { PATIENCE } else { BRIEF } {
            return Err(error);
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Counts a running call until it is dropped.
struct Running;

impl Running {
    fn new() -> Self {
        RUNNING.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns `true` if the clock of the runtime differs from the real one.
fn is_clock_paused() -> bool {
    let before = Instant::now();
    let now = tokio::time::Instant::now().into_std();
    now < before || Instant::now() < now
}
