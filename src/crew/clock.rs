//! The time as steps measure it.

use std::time::Duration;

use tokio::time::Instant;

/// A duration that is as good as infinite, and that every clock can hold.
pub(crate) const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The duration in nanoseconds, at most a [`CENTURY`].
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.min(CENTURY).as_nanos()).expect("a century has less than 2^64 ns")
}

/// The clock of one manager, whose epoch is its creation.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    epoch: Instant,
}

/// Nanoseconds since the epoch of the [`Clock`]. Steps subtract moments all the time, which is slow
/// with `Instant`s.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub(super) u64);

impl Clock {
    pub(super) fn new() -> Self {
        let epoch = Instant::now();
        Self { epoch }
    }

    #[inline]
    pub(crate) fn now(self) -> Moment {
        self.moment(Instant::now())
    }

    #[inline]
    pub(super) fn moment(self, instant: Instant) -> Moment {
        Moment(nanos(instant.duration_since(self.epoch)))
    }

    pub(super) fn instant(self, Moment(nanos): Moment) -> Instant {
        self.epoch + Duration::from_nanos(nanos)
    }
}

impl Moment {
    /// The time from an earlier moment to this one.
    #[inline]
    pub(crate) fn after(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}
