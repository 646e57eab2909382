//! Who wins when a deadline or a stop races the commit.

use std::sync::atomic::{AtomicU8, Ordering};

const PREPARING: u8 = 0;
const COMMITTED: u8 = 1;
const GIVEN_UP: u8 = 2;

/// One reload's gate: *preparing*, then maybe *committed*, then maybe *given up*.
///
/// The transaction commits, its supervisor gives up; whoever comes first decides. Once it is given
/// up, the transaction may start nothing more and its results have no effect, however late they are.
pub(crate) struct Gate(AtomicU8);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(AtomicU8::new(PREPARING))
    }

    /// Whether the commit may take place.
    pub(crate) fn commit(&self) -> bool {
        // Relaxed, here and below: the decision is all that is handed over. What was prepared never
        // leaves the transaction's task, and what is published has an ordering of its own.
        let (from, to) = (PREPARING, COMMITTED);
        self.0
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// Gives the reload up if it has not committed yet; tells whether. Then nothing has happened.
    pub(crate) fn abandon(&self) -> bool {
        let (from, to) = (PREPARING, GIVEN_UP);
        self.0
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// Gives the reload up in whatever state it is; tells whether it had committed.
    pub(crate) fn give_up(&self) -> bool {
        self.0.swap(GIVEN_UP, Ordering::Relaxed) == COMMITTED
    }

    pub(crate) fn is_given_up(&self) -> bool {
        self.0.load(Ordering::Relaxed) == GIVEN_UP
    }
}
