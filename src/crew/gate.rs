//! The gate of a reload, which decides when a deadline or a stop races the commit or the end.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

const PREPARING: u8 = 0;
const COMMITTED: u8 = 1;
const OVER: u8 = 2;
const GIVEN_UP: u8 = 3;

/// One reload's gate: *preparing*, then maybe *committed*, then *over* or *given up* (abandoned).
///
/// The transaction commits, its worker ends it, its supervisor abandons it, and the first of them
/// decides. Once it is abandoned, the transaction must not start anything more, and what it still does
/// has no effect, however late that is: everything that outlives the reload is written in [`commit`],
/// or in [`unless_given_up`].
///
/// [`commit`]: Self::commit
/// [`unless_given_up`]: Self::unless_given_up
pub(crate) struct Gate {
    // `Relaxed` everywhere: threads that decide hold the lock, and threads that only look act on the
    // state alone.
    state: AtomicU8,
    /// Held while a reload writes, so that the write is over before the reload can be abandoned.
    deciding: Mutex<()>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self::of(PREPARING)
    }

    /// A gate for work that can only be [given up](Self::give_up): [`abandon`](Self::abandon) has no
    /// effect.
    pub(crate) fn committed() -> Self {
        Self::of(COMMITTED)
    }

    fn of(state: u8) -> Self {
        Self {
            state: AtomicU8::new(state),
            deciding: Mutex::default(),
        }
    }

    /// Commits if the reload is still preparing. Returns `true` if it has committed.
    pub(crate) fn commit(&self, commit: impl FnOnce()) -> bool {
        let _deciding = self.decide();
        let may = self.state.load(Ordering::Relaxed) == PREPARING;
        if may {
            self.state.store(COMMITTED, Ordering::Relaxed);
            commit();
        }
        may
    }

    /// Calls `write`, for what outlives the reload, unless that was abandoned. Returns `true` if it was
    /// called. `write` must neither run code of the app nor wait.
    pub(crate) fn unless_given_up(&self, write: impl FnOnce()) -> bool {
        let _deciding = self.decide();
        let may = !self.is_given_up();
        if may {
            write();
        }
        may
    }

    /// Ends the reload unless it was abandoned. Returns `true` if it has ended it.
    pub(crate) fn end(&self) -> bool {
        let _deciding = self.decide();
        let may = self.state.load(Ordering::Relaxed) != GIVEN_UP;
        if may {
            self.state.store(OVER, Ordering::Relaxed);
        }
        may
    }

    /// Abandons the reload if it has not committed yet. Returns `true` if it did: then nothing has
    /// happened.
    pub(crate) fn abandon(&self) -> bool {
        let _deciding = self.decide();
        let may = self.state.load(Ordering::Relaxed) == PREPARING;
        if may {
            self.state.store(GIVEN_UP, Ordering::Relaxed);
        }
        may
    }

    /// Abandons the reload. Returns `true` if it had committed, and `None` if it was over or abandoned
    /// already.
    pub(crate) fn give_up(&self) -> Option<bool> {
        let _deciding = self.decide();
        let committed = match self.state.load(Ordering::Relaxed) {
            PREPARING => false,
            COMMITTED => true,
            _ => return None,
        };
        self.state.store(GIVEN_UP, Ordering::Relaxed);
        Some(committed)
    }

    #[inline]
    pub(crate) fn is_given_up(&self) -> bool {
        self.state.load(Ordering::Relaxed) == GIVEN_UP
    }

    fn decide(&self) -> MutexGuard<'_, ()> {
        self.deciding.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
