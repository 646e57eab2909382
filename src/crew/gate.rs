//! Who wins when a deadline or a stop races the commit.

use std::sync::atomic::{AtomicU8, Ordering};

const PREPARING: u8 = 0;
const COMMITTED: u8 = 1;
const ABANDONED: u8 = 2;

/// One reload's gate: *preparing*, then exactly one of *committed* and *abandoned*.
///
/// The transaction commits, its supervisor abandons; whoever comes first decides. So what an
/// abandoned reload still brings to an end, late, has no effect.
pub(crate) struct Gate(AtomicU8);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(AtomicU8::new(PREPARING))
    }

    /// Whether the commit may take place.
    pub(crate) fn commit(&self) -> bool {
        self.pass(COMMITTED)
    }

    /// Whether the reload could still be called off.
    pub(crate) fn abandon(&self) -> bool {
        self.pass(ABANDONED)
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.0.load(Ordering::Relaxed) == ABANDONED
    }

    fn pass(&self, to: u8) -> bool {
        // Relaxed: the decision is all that is handed over. What was prepared never leaves the
        // transaction's task, and what is published has an ordering of its own.
        self.0
            .compare_exchange(PREPARING, to, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}
