//! Pauses for what fails again and again.

use std::time::Duration;

/// The pause after the first failure. It doubles with each further one, up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);

/// What worked for this long before it failed is not failing in a row.
const STEADY: Duration = Duration::from_secs(60);

/// How long to wait before something that has failed is tried again.
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) fn new() -> Self {
        Self(SHORTEST)
    }

    /// It has worked.
    pub(super) fn reset(&mut self) {
        *self = Self::new();
    }

    /// The pause after a failure, before which it had worked for so long.
    pub(super) fn next(&mut self, worked: Duration) -> Duration {
        if worked >= STEADY {
            self.reset();
        }
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST);
        pause
    }
}
