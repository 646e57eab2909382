//! File system calls, off the threads of the runtime and one at a time for each source.
//!
//! A call can hang for ever: a network mount blocks for as long as its server does. Its thread
//! cannot be ended, so a second call must not start. A call holds the source's only permit until it
//! ends, even if its caller is gone. An abandoned call is on the roster, so that it is named when a
//! signal ends the process.

use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use super::error::Kind;
use crate::shutdown::{self, Budget, Roster};

mod thread;

/// The time for which a call waits before it is rejected because the running call was abandoned.
const BRIEF: Duration = Duration::from_secs(1);

/// The time after which a running call causes the next one to be rejected although its caller
/// waits.
const SLOW: Duration = Duration::from_secs(5);

pub(super) struct Access {
    /// The path at which the running call is.
    at: Arc<Mutex<PathBuf>>,
    permit: Arc<Semaphore>,
    call: Mutex<Weak<Call>>,
}

/// A running call. Its thread keeps it alive.
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
    /// Records the next path of the call, so that the path can be named if the call hangs.
    pub(super) fn at(&self, path: &Path) {
        path.clone_into(&mut self.at.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Runs `work`, which blocks, on a thread of its own after the running call has ended.
    ///
    /// # Panics
    ///
    /// If `work` panics.
    ///
    /// # Errors
    ///
    /// [`Kind::Stuck`] if the running call does not return, [`Kind::Thread`] if no thread can be
    /// started.
    ///
    /// # Cancel safety
    ///
    /// Work that has begun continues when the future is dropped, as a straggler; its result is
    /// lost.
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
            // Dropped before the result is sent, so that the next call finds the permit.
            drop((call, permit));
            // Fails if the call was abandoned.
            _ = sender.send(result);
        };
        thread::start(body).await.map_err(Kind::Thread)?;
        let _wait = Wait(weak);
        match receiver.await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(payload)) => panic::resume_unwind(payload),
            // Only a runtime with a paused clock drops the sender, when it shuts down. It drops
            // this future next.
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
                // The call is not slow yet, and its caller still waits.
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

/// The wait for a call. Dropping it before the end of the call abandons the call.
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

    /// A call that has begun and was abandoned. It ends when the sender is dropped.
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
        assert_eq!(named("/mount/slow"), 0, "it was not given up");
        drop(end);
        assert!(slow.await.unwrap() && next.await.unwrap());
    }
}
