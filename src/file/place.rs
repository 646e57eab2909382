//! What a source and its watcher share.

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
    /// What was read last, includes and all.
    names: Mutex<Arc<[Name]>>,
    /// Gone with the watcher.
    watching: OnceLock<Weak<Watching>>,
}

/// How much of the watching is done again.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Arming {
    /// All of it: there was an event, so that a watch may have gone with its directory.
    Afresh,
    /// What is not watched yet.
    AsNeeded,
}

impl Place {
    pub(super) fn names(&self) -> Arc<[Name]> {
        Arc::clone(&self.names.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// These, of which this was seen, and no others are read and watched from now on.
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

    /// These are read and watched, too.
    pub(super) fn watch_too(&self, names: &[Name]) {
        let mut known = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(all) = names::with_new(&known, names) {
            *known = all;
            drop(known);
            self.look_again();
        }
    }

    /// Has the watcher look at what is read now. It may have looked at what was read before, and
    /// watched that and nothing else, after these were read and before they were noted.
    fn look_again(&self) {
        if let Some(watching) = self.watching.get().and_then(Weak::upgrade) {
            watching.wake();
        }
    }

    pub(super) fn watched_by(&self, watching: &Arc<Watching>) {
        // A file is watched once, when it is given to the manager.
        _ = self.watching.set(Arc::downgrade(watching));
    }

    pub(super) fn survey(&self, names: &[Name], limits: Limits) -> Survey {
        Survey::of(names, limits, |path| self.access.at(path))
    }

    /// Sees to it that these are watched, if anything is.
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
