//! The state shared by a source and its watcher.

use std::collections::BTreeSet;
use std::mem;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use super::access::Access;
use super::loaded::Sights;
use super::names::{self, Name};
use super::read::Limits;
use super::rest::Rest;
use super::seen::Seen;
use super::setback::Setback;
use super::survey::Survey;
use super::watch::{Watching, Way};

#[derive(Default)]
pub(super) struct Place {
    pub(super) access: Access,
    pub(super) rest: Rest,
    pub(super) seen: Seen,
    pub(super) setback: Setback,
    /// The names that were read last, includes among them.
    names: Mutex<Arc<[Name]>>,
    /// Owned by the watcher, and gone with it.
    watching: OnceLock<Weak<Watching>>,
}

/// The watches to set.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Arming {
    /// All of them: after an event, a watch can be gone with its directory.
    Afresh,
    /// Those that are missing.
    AsNeeded,
}

impl Place {
    pub(super) fn names(&self) -> Arc<[Name]> {
        Arc::clone(&self.names.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes these the only names that are read and watched. `sights` are their digests.
    pub(super) fn settle_on(&self, names: Arc<[Name]>, sights: &Sights) {
        let mut known = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let before = mem::replace(&mut *known, names);
        let differs = *before != **known;
        drop(known);
        self.seen.keep(sights);
        if differs {
            self.look_again();
        }
    }

    /// Adds names to those that are read and watched.
    pub(super) fn watch_too(&self, names: &[Name]) {
        let mut known = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(all) = names::with_new(&known, names) {
            *known = all;
            drop(known);
            self.look_again();
        }
    }

    /// Has the watcher look at the current names. Between the read and the update of the names, it
    /// may have looked at and watched only the previous ones.
    fn look_again(&self) {
        if let Some(watching) = self.watching.get().and_then(Weak::upgrade) {
            watching.wake();
        }
    }

    pub(super) fn watched_by(&self, watching: &Arc<Watching>) {
        // A file is watched once, when it is passed to the manager.
        _ = self.watching.set(Arc::downgrade(watching));
    }

    pub(super) fn survey(&self, names: &[Name], limits: Limits) -> Survey {
        Survey::of(names, limits, |path| self.access.at(path))
    }

    /// Watches these, if the source has a watcher.
    pub(super) fn arm(&self, ways: BTreeSet<Way>, arming: Arming) {
        let Some(watching) = self.watching.get().and_then(Weak::upgrade) else {
            return;
        };
        match arming {
            Arming::Afresh => watching.arm(ways),
            Arming::AsNeeded => watching.add(ways),
        }
    }
}
