//! The measure of changes: for each path, what the watcher last reported.
//!
//! # Invariants
//!
//! 1. The next change is measured against what the watcher last reported, path by path.
//! 2. A read never moves the measure to what was read, because it may be a dry run, or belong to a
//!    reload that is rejected or abandoned, and must not swallow a report. The exception is the
//!    first read of a path after it was armed (at start-up, or of a new include), because no report
//!    precedes it.
//! 3. A read that finds a difference makes the measure unknown, so the next look is reported.
//!    Otherwise this change would be lost: contents A are reported. B is saved, and loaded because
//!    of a signal before the watcher looks. A is saved again, and the watcher finds nothing new.
//! 4. A read that is abandoned before it finds anything also makes the measures unknown, because
//!    what was reported has not been loaded.
//!
//! The price of the last two is a needless report, which leads to a reload that changes nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::loaded::{Sight, Sights};

/// The measures of the paths that were looked at.
#[derive(Default)]
pub(super) struct Seen(Mutex<BTreeMap<PathBuf, Measure>>);

#[derive(PartialEq)]
enum Measure {
    /// The digest that was reported, or found at the first read.
    Known(Sight),
    /// A read has found a difference since the last report, or was abandoned.
    Unknown,
}

/// A read that has found nothing yet. Dropping it abandons the read.
pub(super) struct Reading<'a>(Option<&'a Seen>);

impl Seen {
    /// Begins a read. It must be called before the files are read.
    pub(super) fn reading(&self) -> Reading<'_> {
        Reading(Some(self))
    }

    /// Records the watcher's result. Returns `true` if it differs from what was last reported.
    pub(super) fn is_news(&self, sights: Sights) -> bool {
        let mut measures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut is_news = false;
        for (path, sight) in sights {
            let found = Measure::Known(sight);
            is_news |= measures.get(&path) != Some(&found);
            measures.insert(path, found);
        }
        is_news
    }

    /// Forgets all paths that are not among these.
    pub(super) fn keep(&self, sights: &Sights) {
        let mut measures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        measures.retain(|path, _| sights.contains_key(path));
    }
}

impl Reading<'_> {
    /// Records the result of the read.
    pub(super) fn found(mut self, sights: &Sights) {
        let Some(seen) = self.0.take() else { return };
        let mut measures = seen.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (path, sight) in sights {
            let found = Measure::Known(*sight);
            let differs = measures.get(path).is_some_and(|known| *known != found);
            let measure = if differs { Measure::Unknown } else { found };
            measures.insert(path.clone(), measure);
        }
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if let Some(seen) = self.0 {
            let mut measures = seen.0.lock().unwrap_or_else(PoisonError::into_inner);
            measures
                .values_mut()
                .for_each(|measure| *measure = Measure::Unknown);
        }
    }
}
