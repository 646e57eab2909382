//! The watcher: events are hints, the contents are the truth, a slow poll is the guarantee.
//!
//! It is a loop of five steps: wait for an event or for the time of the next poll; wait until the
//! events cease; look up the way to the file and watch it again; read; compare. All its state is in
//! the notifier. No task belongs to it, and dropping it ends the watching.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::error::Kind;
use super::read::{self, Limits};
use super::seen::Sight;
use super::{File, Place};
use crate::{BoxError, Notifier, Trigger};

mod armed;
mod chain;

use armed::Armed;

/// How often a file is read though no event came, unless the app wants otherwise.
pub(super) const SAFETY_POLL: Duration = Duration::from_secs(30);

/// How often, where there are no events to wait for.
const POLL_WITHOUT_EVENTS: Duration = Duration::from_secs(1);

pub(super) struct Watcher {
    place: Arc<Place>,
    limits: Limits,
    trigger: Trigger,
    poll: Option<Duration>,
    /// One permit at most, so any number of events before the next wait is one wake-up.
    event: Arc<Notify>,
    armed: Arc<Mutex<Armed>>,
    /// Whether events will come.
    has_events: bool,
    /// Whether the file has to be looked at. Kept here, so that an event outlives a dropped future.
    dirty: bool,
}

impl Watcher {
    /// Watches from now on. What is looked up in the file system for that, it looks up here and now:
    /// nothing after this may be missed, and the app only starts.
    pub(super) fn new<T>(file: &File<T>) -> Self {
        let event = Arc::new(Notify::new());
        let mut armed = Armed::new(Arc::clone(&event));
        let has_events = armed.arm(&file.place.path);
        Self {
            place: Arc::clone(&file.place),
            limits: file.limits,
            trigger: file.trigger.clone(),
            poll: file.poll,
            event,
            armed: Arc::new(Mutex::new(armed)),
            has_events,
            // One look when the notifier is first asked covers all that happened until then, with
            // or without events.
            dirty: true,
        }
    }

    /// Waits for an event, or until it is time to look without one.
    async fn hint(&self) {
        let every = if self.has_events {
            self.poll
        } else {
            Some(
                self.poll
                    .unwrap_or(POLL_WITHOUT_EVENTS)
                    .min(POLL_WITHOUT_EVENTS),
            )
        };
        match every {
            Some(every) => _ = timeout(every, self.event.notified()).await,
            None => self.event.notified().await,
        }
    }

    /// Waits until no event has come for the quiet time, but not for ever.
    ///
    /// The file is looked at first, so that this wait is its rest, too.
    async fn settle(&self) {
        let start = Instant::now();
        loop {
            read::look(&self.place).await;
            let left = self.limits.ceiling().saturating_sub(start.elapsed());
            let quiet = self.limits.quiet.min(left);
            if timeout(quiet, self.event.notified()).await.is_err() || left.is_zero() {
                return;
            }
        }
    }

    async fn rearm(&mut self) -> Result<(), Kind> {
        let (armed, place) = (Arc::clone(&self.armed), Arc::clone(&self.place));
        let arm = move || {
            armed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .arm(&place.path)
        };
        self.has_events = self.place.access.run(arm).await?;
        Ok(())
    }

    async fn look(&mut self) -> Result<Sight, Kind> {
        // Watched first and read afterwards: what changes after the read has its event.
        self.rearm().await?;
        match read::stable(&self.place, self.limits).await {
            Err(Kind::Stuck) => Err(Kind::Stuck),
            read => Ok(read
                .map(|read| read.stamp)
                .map_err(|kind| mem::discriminant(&kind))),
        }
    }
}

impl Notifier for Watcher {
    async fn notify(&mut self) -> Result<Trigger, BoxError> {
        loop {
            if !self.dirty {
                self.hint().await;
                self.dirty = true;
            }
            self.settle().await;
            // Stuck, it says nothing about the file, which is looked at again when it can be.
            let Ok(sight) = self.look().await else {
                continue;
            };
            self.dirty = false;
            if self.place.seen.is_news(sight) {
                return Ok(self.trigger.clone());
            }
        }
    }

    fn name(&self) -> String {
        format!("file {}", self.place.path.display())
    }
}
