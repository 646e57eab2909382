//! What the watcher measures changes against.
//!
//! # Invariants
//!
//! 1. What the watcher reported is what the next change is measured against.
//! 2. A read never moves that measure to what was read: the read may be a dry run, or belong to a
//!    reload that is refused or given up, so it may not swallow a report. The exception is the
//!    first read after the watch was armed, the one at start-up: nothing came before it.
//! 3. A read that saw something else leaves no measure at all, so the next look is reported.
//!    Otherwise this would be lost: contents A reported; B saved, and loaded because of a signal
//!    before the watcher looked; A saved again; the watcher looks and finds nothing new.
//! 4. A read that was given up before it saw anything leaves no measure either: what was reported
//!    has not been loaded.
//!
//! The price of the last two is a needless report, which leads to a reload that changes nothing.

use std::mem::Discriminant;
use std::sync::{Mutex, PoisonError};

use super::error::Kind;
use crate::Stamp;

/// What one look at the file found: contents, or the reason why there were none.
pub(super) type Sight = Result<Stamp, Discriminant<Kind>>;

#[derive(Default)]
pub(super) struct Seen(Mutex<Measure>);

#[derive(Default)]
enum Measure {
    /// Nobody has looked yet.
    #[default]
    Never,
    /// This was reported, or found at start-up.
    Known(Sight),
    /// Something else than what was reported has been read since, or a read was given up.
    Unknown,
}

/// A read that has not seen anything yet. Dropped, it was given up.
pub(super) struct Reading<'a>(Option<&'a Seen>);

impl Seen {
    /// To be called before a read.
    pub(super) fn reading(&self) -> Reading<'_> {
        Reading(Some(self))
    }

    /// Takes note of what the watcher found. Whether that is to be reported.
    pub(super) fn is_news(&self, sight: Sight) -> bool {
        let mut measure = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(&*measure, Measure::Known(known) if *known == sight) {
            return false;
        }
        *measure = Measure::Known(sight);
        true
    }
}

impl Reading<'_> {
    /// Takes note of what the read found.
    pub(super) fn found(mut self, sight: Sight) {
        let Some(seen) = self.0.take() else { return };
        let mut measure = seen.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*measure {
            Measure::Never => *measure = Measure::Known(sight),
            Measure::Known(known) if *known == sight => {}
            Measure::Known(_) | Measure::Unknown => *measure = Measure::Unknown,
        }
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if let Some(seen) = self.0 {
            *seen.0.lock().unwrap_or_else(PoisonError::into_inner) = Measure::Unknown;
        }
    }
}
