//! Who wins when a deadline or a stop races the commit, or the end.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

const PREPARING: u8 = 0;
const COMMITTED: u8 = 1;
const OVER: u8 = 2;
const GIVEN_UP: u8 = 3;

/// One reload's gate: *preparing*, then maybe *committed*, then *over* or *given up*.
///
/// The transaction commits, its worker ends it, its supervisor gives it up; whoever comes first
/// decides. Once it is given up, the transaction may start nothing more, and what it does has no
/// effect any more, however late it is: all that outlives the reload is written in [`commit`], or in
/// [`unless_given_up`].
///
/// [`commit`]: Self::commit
/// [`unless_given_up`]: Self::unless_given_up
pub(crate) struct Gate {
    // Relaxed wherever it is used: those who decide hold the lock, and those who only look act on the
    // state alone.
    state: AtomicU8,
    /// Held while a reload writes, so that it is over for whoever gives the reload up.
    deciding: Mutex<()>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self::of(PREPARING)
    }

    /// For what is not to be called off, only given up.
    pub(crate) fn committed() -> Self {
        Self::of(COMMITTED)
    }

    fn of(state: u8) -> Self {
        Self {
            state: AtomicU8::new(state),
            deciding: Mutex::default(),
        }
    }

    /// Commits, unless the reload was given up; tells whether it was not.
    pub(crate) fn commit(&self, commit: impl FnOnce()) -> bool {
        let _deciding = self.decide();
        let may = self.state.load(Ordering::Relaxed) == PREPARING;
        if may {
            self.state.store(COMMITTED, Ordering::Relaxed);
            commit();
        }
        may
    }

    /// Does what outlives the reload, unless that was given up; tells whether it was not. Neither code
    /// of the app's nor anything that waits belongs in there.
    pub(crate) fn unless_given_up(&self, write: impl FnOnce()) -> bool {
        let _deciding = self.decide();
        let may = !self.is_given_up();
        if may {
            write();
        }
        may
    }

    /// Ends the reload, unless it was given up; tells whether it was not.
    pub(crate) fn end(&self) -> bool {
        let _deciding = self.decide();
        let may = self.state.load(Ordering::Relaxed) != GIVEN_UP;
        if may {
            self.state.store(OVER, Ordering::Relaxed);
        }
        may
    }

    /// Gives the reload up if it has not committed yet; tells whether. Then nothing has happened.
    pub(crate) fn abandon(&self) -> bool {
        let _deciding = self.decide();
        let may = self.state.load(Ordering::Relaxed) == PREPARING;
        if may {
            self.state.store(GIVEN_UP, Ordering::Relaxed);
        }
        may
    }

    /// Gives the reload up, and tells whether it had committed; `None` if it was over.
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
