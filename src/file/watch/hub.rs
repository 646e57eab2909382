//! The kernel's events for all sources of the process, through the crate `notify`.
//!
//! There is one hub for each file system: a thread of `notify` and, on Linux, an inotify instance.
//! A network mount that hangs holds up only the sources that watch something there. A hub is
//! dropped with its last source.
//!
//! # Invariants
//!
//! 1. The routes are never locked while `notify` is called: its thread, which answers the call,
//!    waits for them when it delivers an event.
//! 2. A route exists before its directory is watched, so an event that `notify` has delivered has
//!    reached every source that it concerns.
//! 3. The watches of `notify`, and those recorded in the routes, change only while the watcher is
//!    locked.
//! 4. A source that loses a watch, because the directory is gone or another source renewed the
//!    watch, is woken, and a source that is woken arms again.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use notify::ErrorKind;
use tokio::sync::Notify;

use super::chain::{Hop, Id};

mod guarded;
mod routes;

use guarded::Guarded;
use routes::Routes;

/// `true` if a watch belongs to the directory that was at the path when it was set, and setting it
/// again is harmless.
const INOTIFY: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// The hubs in use, by file system.
static HUBS: Mutex<BTreeMap<u64, Weak<Hub>>> = Mutex::new(BTreeMap::new());

pub(super) struct Hub {
    device: u64,
    watcher: Mutex<Guarded>,
    routes: Arc<Mutex<Routes>>,
}

impl Hub {
    /// The hub of this file system, which is created if it does not exist.
    pub(super) fn of(device: u64) -> notify::Result<Arc<Self>> {
        let mut hubs = lock(&HUBS);
        if let Some(hub) = hubs.get(&device).and_then(Weak::upgrade) {
            return Ok(hub);
        }
        hubs.retain(|_, hub| hub.strong_count() > 0);
        let routes = Arc::<Mutex<Routes>>::default();
        let told = Arc::clone(&routes);
        let hub = Arc::new(Self {
            device,
            watcher: Mutex::new(Guarded::new(move |event| lock(&told).tell(event))?),
            routes,
        });
        hubs.insert(device, Arc::downgrade(&hub));
        Ok(hub)
    }

    /// Watches exactly these directories for this source.
    pub(super) fn arm(
        &self,
        source: &Arc<Notify>,
        hops: &BTreeMap<&Path, &Hop>,
    ) -> notify::Result<()> {
        let mut watcher = lock(&self.watcher);
        self.routes().set(source, hops);
        let unused = self.routes().take_unused();
        for (dir, id) in unused {
            self.unwatch(&mut watcher, source, &dir, id);
        }
        let mut armed = Ok(());
        for (dir, hop) in hops {
            match self.watch(&mut watcher, source, dir, hop.id) {
                // Passing through a directory takes fewer permissions than watching it, and
                // `Armed::try_arm` resolves the ways again, which finds what is gone.
                Err(error) if !hop.needed && (is_denied(&error) || is_gone(&error)) => {}
                watched => armed = armed.and(watched),
            }
        }
        if watcher.has_ended() {
            self.give_up();
        }
        armed
    }

    /// Ends the interest of this source. A directory without a source is unwatched when the next
    /// source arms: unwatching waits for an answer of `notify`, for which this does not wait.
    pub(super) fn leave(&self, source: &Arc<Notify>) {
        self.routes().set(source, &BTreeMap::new());
    }

    fn watch(
        &self,
        watcher: &mut Guarded,
        source: &Arc<Notify>,
        dir: &Path,
        id: Option<Id>,
    ) -> notify::Result<()> {
        let before = self.routes().note(dir, id);
        if before.id != id || (before.is_doubtful && !INOTIFY) {
            // Otherwise the watch of the previous directory would stay for ever.
            self.unwatch(watcher, source, dir, before.id);
        } else if !INOTIFY {
            return Ok(());
        }
        // inotify watches are renewed even if nothing seems to have changed: a new directory often
        // gets the inode of the one that was removed last.
        match watcher.watch(dir) {
            Ok(()) => {
                if !INOTIFY {
                    // FSEvents has one stream for all watches, and misses events while that starts.
                    self.routes().wake_all();
                }
                Ok(())
            }
            Err(error) => {
                self.routes().note(dir, None);
                Err(error)
            }
        }
    }

    /// Ends the watch of the directory that is or was at this path, and wakes the other sources
    /// that lose it. The source that arms looks afterwards anyway. If it were woken, it would never
    /// come to rest where the inode differs at every look.
    fn unwatch(&self, watcher: &mut Guarded, source: &Arc<Notify>, dir: &Path, id: Option<Id>) {
        // Fails if there was no watch, or if the kernel ended it with the directory. That is an
        // event, which wakes the sources.
        if watcher.unwatch(dir).is_ok() {
            self.routes().wake_others(source, dir, id);
        }
    }

    /// Removes a hub whose thread has ended. All its sources are woken and arm in another hub.
    fn give_up(&self) {
        let mut hubs = lock(&HUBS);
        if let Some(hub) = hubs.get(&self.device)
            && std::ptr::eq(hub.as_ptr(), self)
        {
            hubs.remove(&self.device);
        }
        drop(hubs);
        self.routes().wake_all();
    }

    fn routes(&self) -> MutexGuard<'_, Routes> {
        lock(&self.routes)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_denied(error: &notify::Error) -> bool {
    matches!(&error.kind, ErrorKind::Io(error) if error.kind() == io::ErrorKind::PermissionDenied)
}

/// Returns `true` if a directory disappeared before it was watched.
pub(super) fn is_gone(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}
