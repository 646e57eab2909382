//! The kernel's events, by way of the crate `notify`, for all sources of the process.
//!
//! There is one hub for each file system: a thread of `notify`, and on Linux an inotify instance. A
//! network mount that hangs holds up whoever watches something there, and nobody else. A hub goes
//! with the last source that uses it.
//!
//! # Invariants
//!
//! 1. The routes are never locked while `notify` is called: its thread, which answers, waits for them
//!    when it hands over an event.
//! 2. A route is there before its directory is watched, so an event that `notify` has handed over
//!    has reached everybody concerned.
//! 3. What `notify` is told to watch, and what the routes say is watched, changes only with the
//!    watcher locked.
//! 4. Whoever loses a watch, because the directory is gone or because another source had it set
//!    anew, is woken, and a source that is woken arms again.

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

/// Whether a watch belongs to the directory that was at the path when it was set, and setting it
/// again is harmless.
const INOTIFY: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// The hubs that are in use, by file system.
static HUBS: Mutex<BTreeMap<u64, Weak<Hub>>> = Mutex::new(BTreeMap::new());

pub(super) struct Hub {
    device: u64,
    watcher: Mutex<Guarded>,
    routes: Arc<Mutex<Routes>>,
}

impl Hub {
    /// The hub of this file system, which nobody may have used yet.
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

    /// Watches these directories for this source, and no others.
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
                // To go through a directory takes less than to watch it, and what is gone is missed
                // where it was.
                Err(error) if !hop.needed && (is_denied(&error) || is_gone(&error)) => {}
                watched => armed = armed.and(watched),
            }
        }
        if watcher.has_ended() {
            self.give_up();
        }
        armed
    }

    /// This source watches nothing here any more. What nobody watches, the next one who arms will
    /// unwatch: that takes an answer of `notify`, for which this does not wait.
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
            // Else the watch of the directory that was there would be left for ever.
            self.unwatch(watcher, source, dir, before.id);
        } else if !INOTIFY {
            return Ok(());
        }
        // With inotify also where nothing seems to have changed: a new directory often gets the
        // inode of the one that was removed last.
        match watcher.watch(dir) {
            Ok(()) => {
                if !INOTIFY {
                    // FSEvents has one stream for all, and misses what happens while that starts.
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

    /// Ends the watch of what is or was at this path, and wakes those who have lost it by that. The
    /// source that arms looks afterwards anyway; woken, it would never come to rest where the inode
    /// is another one at every look.
    fn unwatch(&self, watcher: &mut Guarded, source: &Arc<Notify>, dir: &Path, id: Option<Id>) {
        // It fails where there was no watch, or where the kernel ended it with the directory: that
        // is an event, which wakes.
        if watcher.unwatch(dir).is_ok() {
            self.routes().wake_others(source, dir, id);
        }
    }

    /// Without its thread, nobody will be told anything: all have to go to another hub.
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

/// Whether something went between looking it up and watching it.
pub(super) fn is_gone(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}
