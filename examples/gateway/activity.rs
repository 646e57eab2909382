//! How long nothing has been asked on a connection.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The requests that are under way on a connection.
pub(crate) struct Activity(Mutex<State>);

struct State {
    requests: usize,
    /// Since when there has been none, or was none before those there are.
    since: Instant,
    is_new: bool,
}

/// A request that is under way, until this is dropped.
pub(crate) struct UnderWay(Arc<Activity>);

impl Activity {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            requests: 0,
            since: Instant::now(),
            is_new: true,
        })))
    }

    pub(crate) fn begin(self: &Arc<Self>) -> UnderWay {
        let mut state = self.lock();
        state.requests += 1;
        state.is_new = false;
        UnderWay(Arc::clone(self))
    }

    /// Resolves when no request has been under way for so long: the first may take as long as
    /// `first`, each other may come as long as `next` after the one before.
    ///
    /// It looks when a time is up and not at each request, so that requests need not wake it.
    pub(crate) async fn ceased(&self, first: Duration, next: Duration) {
        loop {
            let (is_quiet, wait, since) = {
                let state = self.lock();
                let wait = if state.is_new { first } else { next };
                (state.requests == 0, wait, state.since)
            };
            let now = Instant::now();
            match is_quiet {
                true if since + wait <= now => return,
                true => sleep_until(since + wait).await,
                false => sleep_until(now + wait).await,
            }
        }
    }

    /// Resolves when no request has been under way for so long, from now on.
    pub(crate) async fn ceased_from_now(&self, wait: Duration) {
        {
            let mut state = self.lock();
            state.since = Instant::now();
        }
        self.ceased(wait, wait).await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.requests -= 1;
        state.since = Instant::now();
    }
}
