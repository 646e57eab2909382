//! A thread for each call, and not one of tokio's pool: where `spawn_blocking` cannot start a thread, it
//! panics, and its queue keeps the call, with the permit of the source. `thread::Builder` returns an
//! error and drops both.

use std::io;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long to try to start a thread while no other call is under way. One may just have ended.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long to try while none of those that are under way ends.
const BRIEF: Duration = Duration::from_secs(1);

/// The pause between two attempts.
const RETRY: Duration = Duration::from_millis(5);

/// The calls of the process that are under way, and those that have ended.
static RUNNING: AtomicUsize = AtomicUsize::new(0);
static ENDED: AtomicUsize = AtomicUsize::new(0);

/// Starts a thread that does `work`. Sources that are read together may take all threads that there
/// are: while one of them ends each second, the others wait for theirs.
///
/// A clock that is paused jumps to the next deadline as soon as the runtime is idle, unless it waits for
/// its pool: there, which is in tests, `work` is done in the pool.
pub(super) async fn start(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    if is_clock_paused() {
        tokio::task::spawn_blocking(work);
        return Ok(());
    }
    let (mut since, mut ended) = (Instant::now(), ENDED.load(Ordering::Relaxed));
    // A thread that is not started drops its closure, and the work is needed again.
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

/// Counts as a call that is under way.
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
