//! How long nothing has happened on a connection.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

/// The requests that are under way on a connection, and what its socket does.
pub(crate) struct Activity {
    state: Mutex<State>,
    begun: Notify,
}

struct State {
    requests: usize,
    /// The socket waits for the client: to take what is written to it, or to end.
    is_blocked: bool,
    /// When something happened the last time: a request ended, or something was written.
    since: Instant,
    /// Nothing has been asked yet, and what was written is the handshake.
    is_new: bool,
    /// It is not HTTP any more.
    has_switched: bool,
}

/// A request that is under way, until this is dropped.
pub(crate) struct UnderWay(Arc<Activity>);

impl Activity {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                requests: 0,
                is_blocked: false,
                since: Instant::now(),
                is_new: true,
                has_switched: false,
            }),
            begun: Notify::new(),
        })
    }

    /// A request begins, or its body, which may go on when the answer has ended.
    pub(crate) fn begin(self: &Arc<Self>) -> UnderWay {
        let mut state = self.lock();
        state.requests += 1;
        if std::mem::take(&mut state.is_new) {
            self.begun.notify_waiters();
        }
        drop(state);
        UnderWay(Arc::clone(self))
    }

    /// Resolves when there has been a request, or after so long without.
    pub(super) async fn begun(&self, patience: Duration) {
        // Before it is looked at, so that no request comes in between.
        let begun = self.begun.notified();
        if self.lock().is_new {
            _ = timeout(patience, begun).await;
        }
    }

    /// The last answer of HTTP is on its way, and what comes then is of another protocol.
    pub(super) fn switch(&self) {
        self.lock().has_switched = true;
    }

    pub(super) fn has_switched(&self) -> bool {
        self.lock().has_switched
    }

    /// Some of it was written.
    pub(super) fn wrote(&self) {
        let mut state = self.lock();
        state.is_blocked = false;
        if !state.is_new {
            state.since = Instant::now();
        }
    }

    /// The socket has to wait. The end of a body is not the end of its answer: up to then there is no
    /// request under way any more, and yet its client waits.
    pub(super) fn blocked(&self) {
        self.lock().is_blocked = true;
    }

    /// Resolves when nothing has happened for so long: the first request may take as long as
    /// `first`, from when the connection was accepted, and each other may come as long as `next`
    /// after the answer to the one before was written.
    ///
    /// It looks when a time is up and not at each request, so that requests need not wake it.
    pub(super) async fn ceased(&self, first: Duration, next: Duration) {
        loop {
            let (is_quiet, is_new, since) = {
                let state = self.lock();
                let is_quiet = state.requests == 0 && !state.is_blocked;
                (is_quiet, state.is_new, state.since)
            };
            let now = Instant::now();
            let until = since + if is_new { first } else { next };
            match is_quiet {
                true if until <= now => return,
                // The first request may have come and been answered by then.
                true if is_new => sleep_until(until.min(now + next)).await,
                true => sleep_until(until).await,
                false => sleep_until(now + next).await,
            }
        }
    }

    /// Resolves when nothing has happened for so long, from now on.
    pub(super) async fn ceased_from_now(&self, wait: Duration) {
        {
            let mut state = self.lock();
            state.since = Instant::now();
            state.is_new = false;
        }
        self.ceased(wait, wait).await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.requests -= 1;
        state.since = Instant::now();
    }
}
