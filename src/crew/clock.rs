//! The time as steps see it.

use std::time::Duration;

use tokio::time::Instant;

/// As good as for ever, and every clock can hold it.
pub(crate) const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// At most a [`CENTURY`].
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.min(CENTURY).as_nanos()).expect("a century has less than 2^64 ns")
}

/// Tells the time of one manager, which began with it.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    epoch: Instant,
}

/// Nanoseconds since then: steps take them from each other all the time, and `Instant`s are slow at
/// that.
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
    /// How long it is after an earlier one.
    #[inline]
    pub(crate) fn after(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}
