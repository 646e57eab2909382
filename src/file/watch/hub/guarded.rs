//! A watcher of the crate `notify` that does not panic.
//!
//! `notify` panics on every call, and when it is dropped, if its thread does not run. It does not
//! report that the thread could not be started because the process has reached its limit.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use notify::{EventHandler, RecommendedWatcher, RecursiveMode, Watcher as _};

/// `None` after its thread was found to have ended.
pub(super) struct Guarded(Option<RecommendedWatcher>);

impl Guarded {
    pub(super) fn new(mut handler: impl EventHandler) -> notify::Result<Self> {
        // Tried first, because a watcher without its thread leaks a file descriptor.
        let attempt = thread::Builder::new().spawn(|| {});
        let attempt = attempt
            .map_err(|error| notify::Error::generic(&format!("cannot start a thread: {error}")));
        _ = attempt?.join();
        let thread = Arc::new(());
        let held = Arc::clone(&thread);
        let watcher = notify::recommended_watcher(move |event| {
            _ = &held;
            handler.handle_event(event);
        })?;
        // The thread owns the handler, which is dropped if the thread could not be started.
        if Arc::strong_count(&thread) == 1 {
            // Dropping it would panic, and even a panic that is caught runs the app's panic hook.
            mem::forget(watcher);
            return Err(notify::Error::generic("cannot start a thread"));
        }
        Ok(Self(Some(watcher)))
    }

    pub(super) fn watch(&mut self, dir: &Path) -> notify::Result<()> {
        self.ask(|watcher| watcher.watch(dir, RecursiveMode::NonRecursive))
    }

    pub(super) fn unwatch(&mut self, dir: &Path) -> notify::Result<()> {
        self.ask(|watcher| watcher.unwatch(dir))
    }

    pub(super) fn has_ended(&self) -> bool {
        self.0.is_none()
    }

    fn ask(
        &mut self,
        question: impl FnOnce(&mut RecommendedWatcher) -> notify::Result<()>,
    ) -> notify::Result<()> {
        if let Some(watcher) = &mut self.0 {
            // After a panic the watcher is only dropped.
            if let Ok(answer) = catch_unwind(AssertUnwindSafe(|| question(watcher))) {
                return answer;
            }
            self.end();
        }
        Err(notify::Error::generic("its thread has ended"))
    }

    fn end(&mut self) {
        let watcher = self.0.take();
        _ = catch_unwind(AssertUnwindSafe(|| drop(watcher)));
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.end();
    }
}
