//! For how long something has been left alone, by our own clock.
//!
//! Modification times come from the clock of whoever has the file: a server may be ahead or behind,
//! some file systems know whole seconds only, and every program may set them. So they tell *that*
//! a file was modified, when it is looked at twice, and not *when*.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::survey::State;

/// What no clock that is meant to be right is off by: a file whose times are older than this was not
/// written just now.
const LONG_AGO: Duration = Duration::from_secs(3);

/// By what a file is known to be the same, unmodified one.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Identity {
    #[cfg(unix)]
    inode: (u64, u64),
    /// When anything about it was changed last; unlike the modification time, nobody can set it.
    #[cfg(unix)]
    changed: (i64, i64),
    pub(super) size: u64,
    modified: Option<SystemTime>,
}

/// Which file it is: whatever its path, where that can be known.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct FileId(#[cfg(unix)] (u64, u64), #[cfg(not(unix))] PathBuf);

impl Identity {
    pub(super) fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;

        Self {
            #[cfg(unix)]
            inode: (metadata.dev(), metadata.ino()),
            #[cfg(unix)]
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            size: metadata.len(),
            modified: metadata.modified().ok(),
        }
    }

    /// Which file it is that was found at a path.
    #[cfg(unix)]
    pub(super) fn id(&self, _: &Path) -> FileId {
        FileId(self.inode)
    }

    /// Which file it is that was found at a path.
    #[cfg(not(unix))]
    pub(super) fn id(&self, path: &Path) -> FileId {
        FileId(path.to_owned())
    }

    /// Whether its times say that it has rested for `needed`, so clearly that they can be believed.
    /// Times in the future say nothing.
    pub(super) fn is_old(&self, needed: Duration) -> bool {
        let now = SystemTime::now();
        let is_old = |time: Option<SystemTime>| {
            let age = time.and_then(|time| now.duration_since(time).ok());
            age.is_some_and(|age| age >= needed.max(LONG_AGO))
        };
        #[cfg(unix)]
        if !is_old(self.changed()) {
            return false;
        }
        is_old(self.modified)
    }

    #[cfg(unix)]
    fn changed(&self) -> Option<SystemTime> {
        let seconds = u64::try_from(self.changed.0).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }
}

/// As what each thing was last seen, and since when.
///
/// The source and its watcher share it: contents that the watcher has seen come to rest are read
/// again without another wait.
#[derive(Default)]
pub(super) struct Rest(Mutex<BTreeMap<PathBuf, (State, Instant)>>);

impl Rest {
    /// Takes note of what is at this path now. For how long it has been seen to be that.
    pub(super) fn note(&self, path: &Path, state: &State) -> Duration {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.get(path) {
            Some((known, since)) if known == state => since.elapsed(),
            _ => {
                seen.insert(path.to_owned(), (state.clone(), Instant::now()));
                Duration::ZERO
            }
        }
    }

    /// Forgets all other paths.
    pub(super) fn keep(&self, wanted: impl Fn(&Path) -> bool) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|path, _| wanted(path));
    }
}
