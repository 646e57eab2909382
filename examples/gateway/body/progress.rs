//! How a body gets on, for those who wait for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Whose turn it is with a body, and since when.
#[derive(Clone)]
pub(crate) struct Progress(Arc<Mutex<(Turn, Instant)>>);

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Turn {
    /// Of who sends it: a piece is waited for.
    Sender,
    /// Of who takes it: it has a piece, or all of them, and has not asked for more.
    Taker,
}

impl Progress {
    pub(crate) fn of(turn: Turn) -> Self {
        Self(Arc::new(Mutex::new((turn, Instant::now()))))
    }

    pub(super) fn turns_to(&self, turn: Turn) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (turn, Instant::now());
    }

    /// Resolves when who takes the body has not done anything for so long.
    ///
    /// It looks when a time is up and not at each piece, so that pieces need not wake it.
    pub(crate) async fn untaken(&self, patience: Duration) {
        loop {
            let (turn, since) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            match turn {
                Turn::Taker if since + patience <= now => return,
                Turn::Taker => sleep_until(since + patience).await,
                Turn::Sender => sleep_until(now + patience).await,
            }
        }
    }
}
