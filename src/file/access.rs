//! The file system, off the threads of the runtime, and for each source one call at a time.
//!
//! A call into the file system may never come back: a network mount hangs for as long as its server
//! does. Its thread cannot be ended, so there must not be a second one. A call holds the source's one
//! permit until it is over, whether anybody still waits for it or not, and a call that was given up
//! is on the roster, so that it is named when the process is ended by a signal.

use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use super::error::Kind;
use crate::shutdown::{self, Budget, Roster};

mod thread;

/// How long a call that nobody waits for any more may hold up the next one before that is refused.
const BRIEF: Duration = Duration::from_secs(1);

/// How long a call may take before the next one is refused though somebody waits for it still.
const SLOW: Duration = Duration::from_secs(5);

pub(super) struct Access {
    /// What the call that is under way is at.
    at: Arc<Mutex<PathBuf>>,
    permit: Arc<Semaphore>,
    call: Mutex<Weak<Call>>,
}

/// A call that is under way. The thread in it keeps it alive.
struct Call {
    at: Arc<Mutex<PathBuf>>,
    since: Instant,
    given_up: OnceLock<Instant>,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            at: Arc::default(),
            permit: Arc::new(Semaphore::new(1)),
            call: Mutex::default(),
        }
    }
}

impl Access {
    /// Takes note of what comes next in the call, so that it can be named if it hangs.
    pub(super) fn at(&self, path: &Path) {
        path.clone_into(&mut self.at.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Does `work`, which blocks, where it blocks nobody, after the call that is under way.
    /// Panics where it panics.
    ///
    /// # Errors
    ///
    /// [`Kind::Stuck`] if the call that is under way does not come back, [`Kind::Thread`] if no thread
    /// can be started.
    ///
    /// # Cancel safety
    ///
    /// Work that has begun goes on when the future is dropped, as a straggler; its result is lost.
    pub(super) async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Kind> {
        let permit = self.permit().await?;
        let call = Arc::new(Call {
            at: Arc::clone(&self.at),
            since: Instant::now(),
            given_up: OnceLock::new(),
        });
        let weak = Arc::downgrade(&call);
        self.call
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(&weak);
        let (sender, receiver) = oneshot::channel();
        let body = move || {
            let result = catch_unwind(AssertUnwindSafe(work));
            // Before the result is there, so that the next call finds the permit.
            drop((call, permit));
            // It fails if the call was given up.
            _ = sender.send(result);
        };
        thread::start(body).await.map_err(Kind::Thread)?;
        let _wait = Wait(weak);
        match receiver.await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(payload)) => panic::resume_unwind(payload),
            // A runtime with a paused clock shuts down, and drops this future next.
            Err(_) => std::future::pending().await,
        }
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, Kind> {
        loop {
            let permit = Arc::clone(&self.permit).acquire_owned();
            match timeout(BRIEF, permit).await {
                Ok(permit) => return Ok(permit.expect("the semaphore is never closed")),
                Err(_) if self.is_stuck() => {
                    let at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
                    return Err(Kind::Stuck { at: at.clone() });
                }
                // Not slow enough, and somebody waits for it still.
                Err(_) => {}
            }
        }
    }

    fn is_stuck(&self) -> bool {
        let call = self.call.lock().unwrap_or_else(PoisonError::into_inner);
        let call = call.upgrade();
        call.is_some_and(|call| call.given_up.get().is_some() || call.since.elapsed() > SLOW)
    }
}

/// Whoever waits for a call. Dropped before the end of the call, it has given up.
struct Wait(Weak<Call>);

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(call) = self.0.upgrade() {
            call.given_up.get_or_init(Instant::now);
            shutdown::register(&call);
        }
    }
}

impl Roster for Call {
    fn budget(&self) -> Option<&Arc<Budget>> {
        None
    }

    fn running(&self) -> Vec<String> {
        let at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        let (path, took) = (at.display(), self.since.elapsed());
        vec![format!("reading {path} for {took:.1?}")]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    fn named(path: &str) -> usize {
        let running = shutdown::running();
        let is_this = |phrase: &&String| phrase.starts_with(&format!("reading {path} for "));
        running.iter().filter(is_this).count()
    }

    /// A call that has begun, does not end before the sender is dropped, and was given up.
    async fn given_up(access: &Access) -> Sender<()> {
        let (end, ended) = channel::<()>();
        let (begin, mut begun) = tokio::sync::oneshot::channel();
        let work = move || {
            begin.send(()).expect("the test waits");
            _ = ended.recv();
        };
        let mut call = Box::pin(access.run(work));
        while begun.try_recv().is_err() {
            assert!(timeout(Duration::from_millis(1), &mut call).await.is_err());
        }
        end
    }

    #[tokio::test]
    async fn a_call_that_hangs_is_named_and_refuses_the_next_one() {
        let access = Access::default();
        access.at(Path::new("/mount/hangs"));
        let end = given_up(&access).await;
        assert_eq!(named("/mount/hangs"), 1);
        for _ in 0..2 {
            let next = access.run(|| panic!("it has to wait")).await;
            assert!(
                matches!(next, Err::<(), _>(Kind::Stuck { at }) if at == Path::new("/mount/hangs"))
            );
        }
        drop(end);
        while named("/mount/hangs") != 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(matches!(access.run(|| 5).await, Ok(5)));
        assert_eq!(named("/mount/hangs"), 0);
    }

    #[tokio::test]
    async fn a_call_that_is_slow_is_waited_for() {
        let access = Arc::new(Access::default());
        access.at(Path::new("/mount/slow"));
        let (end, ended) = channel::<()>();
        let slow = tokio::spawn({
            let access = Arc::clone(&access);
            async move { access.run(move || ended.recv().is_err()).await.is_ok() }
        });
        while access.permit.available_permits() != 0 {
            tokio::task::yield_now().await;
        }
        let next = tokio::spawn(async move { access.run(|| 5).await.is_ok() });
        tokio::time::sleep(BRIEF * 3 / 2).await;
        assert!(!next.is_finished());
        assert_eq!(named("/mount/slow"), 0, "nobody has given it up");
        drop(end);
        assert!(slow.await.unwrap() && next.await.unwrap());
    }
}
