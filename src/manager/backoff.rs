//! Growing pauses between repeated failures.

use std::time::Duration;

/// The pause after the first failure. It doubles with each further one, up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);

/// The time of success after which the pauses start again with the shortest.
const STEADY: Duration = Duration::from_secs(60);

/// The pause before the next retry.
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) fn new() -> Self {
        Self(SHORTEST)
    }

    /// Starts again with the shortest pause, after a success.
    pub(super) fn reset(&mut self) {
        *self = Self::new();
    }

    /// Returns the pause after a failure. `worked` is the time of success before it.
    pub(super) fn next(&mut self, worked: Duration) -> Duration {
        if worked >= STEADY {
            self.reset();
        }
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST);
        pause
    }
}
