//! The watches of one source, in the hubs of the file systems that its ways lead through.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::path::{Component, Path};
use std::sync::Arc;

use tokio::sync::Notify;

use super::chain::{Chain, Hop};
use super::hub::{Hub, is_gone};
use super::ways::{Paths, Way};
use crate::escape::Escaped;
use crate::log::event;

/// The number of attempts to arm ways that change meanwhile.
const ATTEMPTS: usize = 8;

/// `true` if files are watched in addition to their directories.
const FILES: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// The watches of one source. Dropping it ends them without waiting.
pub(in crate::file) struct Armed {
    /// Gets a permit for every event. It identifies the source to the hubs.
    event: Arc<Notify>,
    /// The hubs that know the source, by file system.
    hubs: BTreeMap<u64, Arc<Hub>>,
    /// `true` if it was logged that the kernel rejects a watch.
    refused: bool,
}

impl Armed {
    pub(in crate::file) fn new(event: Arc<Notify>) -> Self {
        Self {
            event,
            hubs: BTreeMap::new(),
            refused: false,
        }
    }

    /// Watches exactly these ways, as they are now. Returns `true` if there will be events; if not,
    /// that is logged the first time. Blocks the thread.
    pub(in crate::file) fn arm(&mut self, ways: &BTreeSet<Way>) -> bool {
        match self.try_arm(ways) {
            Ok(()) => {
                if mem::take(&mut self.refused) {
                    event!(INFO, path = %Paths(ways), "watching the file again");
                }
                true
            }
            Err(error) => {
                if !mem::replace(&mut self.refused, true) {
                    event!(
                        WARN,
                        path = %Paths(ways),
                        error = %Escaped(&error),
                        "the file cannot be watched and is polled instead; \
                         see `fs.inotify.max_user_watches` and `fs.inotify.max_user_instances`"
                    );
                }
                false
            }
        }
    }

    fn try_arm(&mut self, ways: &BTreeSet<Way>) -> notify::Result<()> {
        let mut chain = Chain::of(ways);
        for _ in 0..ATTEMPTS {
            let watched = self.watch(&chain);
            // Resolved again, because something can change before it is watched.
            let now = Chain::of(ways);
            match watched {
                Ok(()) if now.hops == chain.hops => return Ok(()),
                Err(error) if !is_gone(&error) => return Err(error),
                _ => chain = now,
            }
        }
        Err(notify::Error::generic(
            "the way to it does not come to rest",
        ))
    }

    /// Watches exactly these directories. If one fails, the others are watched all the same.
    fn watch(&mut self, chain: &Chain) -> notify::Result<()> {
        let mut parts: BTreeMap<u64, BTreeMap<&Path, &Hop>> = BTreeMap::new();
        for (dir, hop) in &chain.hops {
            if hop.needed || is_worth_watching(dir) {
                let id = hop.id.ok_or_else(notify::Error::path_not_found)?;
                parts.entry(id.device).or_default().insert(dir, hop);
            }
        }
        if FILES {
            for (file, hop) in &chain.files {
                let id = hop.id.unwrap_or_default();
                parts.entry(id.device).or_default().insert(file, hop);
            }
        }
        self.hubs.retain(|device, hub| {
            let stays = parts.contains_key(device);
            if !stays {
                hub.leave(&self.event);
            }
            stays
        });
        let mut watched = Ok(());
        for (device, hops) in parts {
            let part = self.hub(device).and_then(|hub| hub.arm(&self.event, &hops));
            watched = watched.and(part);
        }
        watched
    }

    fn hub(&mut self, device: u64) -> notify::Result<Arc<Hub>> {
        let hub = Hub::of(device)?;
        let before = self.hubs.insert(device, Arc::clone(&hub));
        if let Some(before) = before.filter(|before| !Arc::ptr_eq(before, &hub)) {
            before.leave(&self.event);
        }
        Ok(hub)
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        for hub in self.hubs.values() {
            hub.leave(&self.event);
        }
    }
}

/// Returns `true` for a directory that is worth a watch only to learn that it, or a link or
/// directory in it, was moved.
///
/// The root and the directories directly in it are not worth it: programs open files in `/etc` or
/// `/tmp` all the time, which would wake the watcher, and these directories are never moved. On
/// macOS none is, because the kernel watches everything below a directory in any case.
fn is_worth_watching(dir: &Path) -> bool {
    let names = dir
        .components()
        .filter(|part| matches!(part, Component::Normal(_)));
    cfg!(not(target_os = "macos")) && names.count() > 1
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn whatever_appears_in_a_directory_that_is_listed_is_told() {
        let temp = tempfile::tempdir().unwrap();
        let conf = temp.path().canonicalize().unwrap().join("conf.d");
        let event = Arc::new(Notify::new());
        let mut armed = Armed::new(Arc::clone(&event));
        let ways = BTreeSet::from([Way::Directory(conf.clone())]);
        let told = async || {
            let told = timeout(Duration::from_secs(20), event.notified()).await;
            told.expect("it is told");
        };
        for round in 0..3 {
            assert!(armed.arm(&ways));
            fs::create_dir(&conf).unwrap();
            told().await;
            assert!(armed.arm(&ways));
            fs::write(conf.join(format!("{round}.toml")), "").unwrap();
            told().await;
            fs::remove_dir_all(&conf).unwrap();
            told().await;
        }
    }
}
