//! Stability: the time for which a file has been left alone, by our own clock.
//!
//! Modification times come from the clock of the file's host: a server can be ahead or behind, some
//! file systems have whole seconds only, and every program can set them. Two looks at them
//! therefore show *that* a file was modified, and not *when*.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::survey::State;

/// The most that a clock is off by if it is meant to be right. A file with older times was not
/// written just now.
const LONG_AGO: Duration = Duration::from_secs(3);

/// The properties that identify an unmodified file.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Identity {
    #[cfg(unix)]
    inode: (u64, u64),
    /// The time of the last change of the inode; unlike the modification time, programs cannot set
    /// it.
    #[cfg(unix)]
    changed: (i64, i64),
    pub(super) size: u64,
    modified: Option<SystemTime>,
}

/// The identity of a file, independent of its path where the system has one.
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

    /// The identity of the file that was found at a path.
    #[cfg(unix)]
    pub(super) fn id(&self, _: &Path) -> FileId {
        FileId(self.inode)
    }

    /// The identity of the file that was found at a path.
    #[cfg(not(unix))]
    pub(super) fn id(&self, path: &Path) -> FileId {
        FileId(path.to_owned())
    }

    /// Returns `true` if the times of the file are so old that it has certainly been stable for
    /// `needed`. Times in the future prove nothing.
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

/// The last seen state of each path, and the time since when it has been seen.
///
/// The source and its watcher share it, so the source does not wait again for contents that the
/// watcher has seen become stable.
#[derive(Default)]
pub(super) struct Rest(Mutex<BTreeMap<PathBuf, (State, Instant)>>);

impl Rest {
    /// Records the current state of a path. Returns the time for which it has been seen.
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

    /// Forgets all paths that are not wanted.
    pub(super) fn keep(&self, wanted: impl Fn(&Path) -> bool) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|path, _| wanted(path));
    }
}
