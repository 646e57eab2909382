//! The kernel's events, by way of the crate `notify`.
//!
//! `notify` runs a thread that calls the handler. The handler only leaves a permit in a
//! [`Notify`](tokio::sync::Notify), and only for what may matter: our own reads cause events too,
//! and so does everybody else in a directory such as `/tmp`.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::{AccessKind, AccessMode};
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use super::chain::{Chain, Way};

/// How often a way that changes while it is armed is looked up again.
const ATTEMPTS: usize = 8;

type Names = Arc<Mutex<(bool, BTreeSet<OsString>)>>;

pub(in crate::file) struct Armed {
    event: Arc<Notify>,
    /// `None` until the kernel grants one.
    watcher: Option<RecommendedWatcher>,
    /// What is watched.
    dirs: BTreeSet<PathBuf>,
    /// The names whose events matter.
    names: Names,
    /// Whether it was said that the kernel refuses.
    refused: bool,
}

impl Armed {
    pub(super) fn new(event: Arc<Notify>) -> Self {
        Self {
            event,
            watcher: None,
            dirs: BTreeSet::new(),
            names: Names::default(),
            refused: false,
        }
    }

    /// Watches the way to `path` as it is now. Whether there will be events; if not, that is logged
    /// the first time.
    pub(super) fn arm(&mut self, ways: &BTreeSet<Way>) -> bool {
        match self.try_arm(ways) {
            Ok(()) => {
                if std::mem::take(&mut self.refused) {
                    tracing::info!(ways = ?ways, "watching the file again");
                }
                true
            }
            Err(error) => {
                if !std::mem::replace(&mut self.refused, true) {
                    tracing::warn!(
                        ways = ?ways,
                        error = %error,
                        "the file cannot be watched and is polled instead; \
                         see `fs.inotify.max_user_watches` and `fs.inotify.max_user_instances`"
                    );
                }
                false
            }
        }
    }

    fn try_arm(&mut self, ways: &BTreeSet<Way>) -> notify::Result<()> {
        for _ in 0..ATTEMPTS {
            let chain = Chain::of_all(ways);
            self.names
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone_from(&(chain.any, chain.names.clone()));
            match self.watch(&chain.dirs) {
                // Looked up again, because a link may have been changed before it was watched.
                Ok(()) if Chain::of_all(ways) == chain => return Ok(()),
                Ok(()) => {}
                Err(error) if matches!(error.kind, ErrorKind::PathNotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Err(notify::Error::generic(
            "the way to it does not come to rest",
        ))
    }

    /// Watches these directories and no others.
    ///
    /// Each is watched afresh, even if it was watched already: a watch belongs to an inode, and
    /// under the same path, even under the same inode number, there may be a new directory. What
    /// happens between the two calls is not missed, because the file is read afterwards.
    fn watch(&mut self, dirs: &BTreeSet<PathBuf>) -> notify::Result<()> {
        let watcher = match &mut self.watcher {
            Some(watcher) => watcher,
            none => none.insert(notify::recommended_watcher(handler(
                &self.event,
                &self.names,
            ))?),
        };
        for dir in std::mem::take(&mut self.dirs) {
            // It fails if the kernel has ended the watch because the directory is gone.
            _ = watcher.unwatch(&dir);
        }
        for dir in dirs {
            watcher.watch(dir, RecursiveMode::NonRecursive)?;
            self.dirs.insert(dir.clone());
        }
        Ok(())
    }
}

fn handler(event: &Arc<Notify>, names: &Names) -> impl notify::EventHandler {
    let (notify, names) = (Arc::clone(event), Arc::clone(names));
    move |result: notify::Result<Event>| {
        let matters = match result {
            Ok(event) => matters(
                &event,
                &names.lock().unwrap_or_else(PoisonError::into_inner),
            ),
            // Nobody knows what was missed.
            Err(_) => true,
        };
        if matters {
            notify.notify_one();
        }
    }
}

fn matters(event: &Event, names: &(bool, BTreeSet<OsString>)) -> bool {
    let written = AccessKind::Close(AccessMode::Write);
    if matches!(event.kind, EventKind::Access(kind) if kind != written) {
        return false;
    }
    // Names and not paths: some systems report paths without the links in them. An event that names
    // nothing (an overflow) may mean anything.
    let named = |path: &PathBuf| {
        path.file_name()
            .is_none_or(|name| names.0 || names.1.contains(name))
    };
    event.need_rescan() || event.paths.is_empty() || event.paths.iter().any(named)
}
