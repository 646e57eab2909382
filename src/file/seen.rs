//! What the watcher measures changes against.
//!
//! # Invariants
//!
//! 1. What the watcher reported is what the next change is measured against, path by path.
//! 2. A read never moves that measure to what was read: the read may be a dry run, or belong to a
//!    reload that is refused or given up, so it may not swallow a report. The exception is the
//!    first read of a path after it was armed (at start-up, or of a new include): nothing came
//!    before it.
//! 3. A read that saw something else leaves no measure at all, so the next look is reported.
//!    Otherwise this would be lost: contents A reported; B saved, and loaded because of a signal
//!    before the watcher looked; A saved again; the watcher looks and finds nothing new.
//! 4. A read that was given up before it saw anything leaves no measure either: what was reported
//!    has not been loaded.
//!
//! The price of the last two is a needless report, which leads to a reload that changes nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::loaded::{Sight, Sights};

/// A path that nobody has looked at is not in it.
#[derive(Default)]
pub(super) struct Seen(Mutex<BTreeMap<PathBuf, Measure>>);

#[derive(PartialEq)]
enum Measure {
    /// This was reported, or found at the first read.
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

    /// Forgets the paths that are not among these.
    pub(super) fn keep(&self, sights: &Sights) {
        let mut measures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        measures.retain(|path, _| sights.contains_key(path));
    }
}

impl Reading<'_> {
    /// Takes note of what the read found.
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
