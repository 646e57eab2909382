//! The sources that are interested in each directory and its entries.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind};
use tokio::sync::Notify;

use crate::file::watch::chain::{Entries, Hop, Id};

#[cfg(test)]
mod tests;

#[derive(Default)]
pub(super) struct Routes(BTreeMap<PathBuf, Route>);

#[derive(Default)]
struct Route {
    watched: Watched,
    interests: Vec<Interest>,
}

/// The watch at a path.
#[derive(Clone, Copy, Default)]
pub(super) struct Watched {
    /// The directory that was found there before it was watched; `None` if it is not watched.
    pub(super) id: Option<Id>,
    /// `true` if there has been an event for the directory itself since then.
    pub(super) is_doubtful: bool,
}

struct Interest {
    source: Arc<Notify>,
    entries: Entries,
}

impl Routes {
    /// Makes these the only directories that this source is interested in.
    pub(super) fn set(&mut self, source: &Arc<Notify>, hops: &BTreeMap<&Path, &Hop>) {
        for route in self.0.values_mut() {
            route
                .interests
                .retain(|interest| !Arc::ptr_eq(&interest.source, source));
        }
        for (dir, hop) in hops {
            let route = self.0.entry(dir.to_path_buf()).or_default();
            route.interests.push(Interest {
                source: Arc::clone(source),
                entries: hop.entries.clone(),
            });
        }
    }

    /// Removes the directories that no source is interested in, and returns them.
    pub(super) fn take_unused(&mut self) -> Vec<(PathBuf, Option<Id>)> {
        let mut unused = Vec::new();
        self.0.retain(|dir, route| {
            let is_used = !route.interests.is_empty();
            if !is_used {
                unused.push((dir.clone(), route.watched.id));
            }
            is_used
        });
        unused
    }

    /// Records what is about to be watched at a path. Returns what was watched before.
    pub(super) fn note(&mut self, dir: &Path, id: Option<Id>) -> Watched {
        let watched = Watched {
            id,
            is_doubtful: false,
        };
        match self.0.get_mut(dir) {
            Some(route) => std::mem::replace(&mut route.watched, watched),
            None => Watched::default(),
        }
    }

    /// Wakes all other sources that watch this directory, through any path.
    pub(super) fn wake_others(&self, source: &Arc<Notify>, dir: &Path, id: Option<Id>) {
        let interests = self.same(dir, id).flat_map(|route| &route.interests);
        interests
            .filter(|interest| !Arc::ptr_eq(&interest.source, source))
            .for_each(|interest| interest.source.notify_one());
    }

    pub(super) fn wake_all(&self) {
        self.0.values().for_each(Route::wake);
    }

    /// Wakes the sources that the event concerns.
    pub(super) fn tell(&mut self, event: notify::Result<Event>) {
        match event {
            Ok(event) if !matters(event.kind) => {}
            Ok(event) if !event.need_rescan() && !event.paths.is_empty() => {
                for path in &event.paths {
                    if is_exchange(event.kind) {
                        self.doubt(path);
                    }
                    self.tell_of(path);
                }
            }
            // It is unknown what was missed.
            _ => self.wake_all(),
        }
    }

    fn tell_of(&self, path: &Path) {
        let mut is_known = false;
        // When a directory goes, `notify` ends its watch and the watches of all below it.
        for (dir, route) in self.below(path) {
            is_known = true;
            self.same(dir, route.watched.id).for_each(Route::wake);
        }
        let Some((dir, name)) = path.parent().zip(path.file_name()) else {
            return;
        };
        if let Some(route) = self.0.get(dir) {
            self.same(dir, route.watched.id)
                .for_each(|route| route.wake_for(name));
        } else if !is_known {
            // Some systems report another spelling of a path.
            self.0.values().for_each(|route| route.wake_for(name));
        }
    }

    fn doubt(&mut self, path: &Path) {
        let below = self.0.range_mut(path.to_owned()..);
        for (_, route) in below.take_while(|(dir, _)| dir.starts_with(path)) {
            route.watched.is_doubtful = true;
        }
    }

    /// The routes of the directory itself and of those below it.
    fn below(&self, path: &Path) -> impl Iterator<Item = (&PathBuf, &Route)> {
        self.0
            .range(path.to_owned()..)
            .take_while(move |(dir, _)| dir.starts_with(path))
    }

    /// The routes of one directory, which may be mounted at several paths. inotify has one watch
    /// for all of them, which `notify` knows by the path that was watched last.
    fn same(&self, dir: &Path, id: Option<Id>) -> impl Iterator<Item = &Route> {
        let is_same = move |other: Option<Id>| cfg!(unix) && id.is_some() && other == id;
        self.0
            .iter()
            .filter(move |(path, route)| *path == dir || is_same(route.watched.id))
            .map(|(_, route)| route)
    }
}

impl Route {
    fn wake(&self) {
        for interest in &self.interests {
            interest.source.notify_one();
        }
    }

    fn wake_for(&self, name: &OsStr) {
        for interest in &self.interests {
            if interest.entries.include(name) {
                interest.source.notify_one();
            }
        }
    }
}

/// Returns `false` for the events of our own reads.
fn matters(kind: EventKind) -> bool {
    let written = AccessKind::Close(AccessMode::Write);
    !matches!(kind, EventKind::Access(kind) if kind != written)
}

/// Returns `true` if there can be another directory at the path now.
fn is_exchange(kind: EventKind) -> bool {
    use EventKind::{Create, Modify, Remove};
    matches!(kind, Create(_) | Remove(_) | Modify(ModifyKind::Name(_)))
}
