//! The watcher: events are hints, the contents decide, a slow poll is the guarantee.
//!
//! It is a loop of five steps: wait for an event or the next poll, wait until the events cease,
//! resolve the ways to the files and watch them, read, compare. All its state is in the notifier.
//! It has no task of its own, and dropping it ends the watching.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::Plan;
use super::loaded::Sights;
use super::names;
use super::place::{Arming, Place};
use super::read::{self, Limits};
use crate::race::{Either, race};
use crate::{BoxError, Notifier, Trigger};

mod armed;
mod chain;
mod hub;
mod watching;
mod ways;

pub(super) use watching::Watching;
pub(super) use ways::Way;

/// The poll interval, unless the app sets another.
pub(super) const SAFETY_POLL: Duration = Duration::from_secs(30);

/// The longest poll interval while the kernel rejects a watch.
const POLL_WITHOUT_EVENTS: Duration = Duration::from_secs(1);

/// The pause before the first attempt after a shortage. It doubles with each attempt, up to
/// [`SAFETY_POLL`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);

pub(super) struct Watcher {
    name: String,
    place: Arc<Place>,
    limits: Limits,
    trigger: Trigger,
    poll: Option<Duration>,
    watching: Arc<Watching>,
    /// `true` if the files must be looked at. It is a field, so that an event outlives a dropped
    /// future.
    dirty: bool,
    /// The number of attempts since the last shortage began.
    attempts: u32,
}

impl Watcher {
    /// Watches from the first read on: files are watched before they are read.
    pub(super) fn new(plan: &Plan) -> Self {
        let watching = Arc::new(Watching::new(plan.events));
        plan.place.watched_by(&watching);
        plan.place.watch_too(&plan.roots);
        let first = names::first(&plan.roots);
        let name = match plan.roots.len() {
            0 | 1 => format!("file {}", first.display()),
            more => format!("files {} and {} more", first.display(), more - 1),
        };
        Self {
            name,
            place: Arc::clone(&plan.place),
            limits: plan.limits,
            trigger: plan.trigger.clone(),
            poll: plan.poll,
            watching,
            // The first look covers everything that happened before it, with or without events.
            dirty: true,
            attempts: 0,
        }
    }

    /// Waits for an event or the next poll. Returns `true` if there was an event.
    async fn hint(&mut self) -> bool {
        loop {
            let pause = self.pause();
            let every = pause.into_iter().chain(self.every()).min();
            let next = race(self.watching.event(), self.place.setback.began());
            let next = match every {
                Some(every) => timeout(jittered(every), next).await,
                None => Ok(next.await),
            };
            match next {
                Ok(Either::First(())) => return true,
                // A reload could not read, so there is a pause from here on.
                Ok(Either::Second(())) => self.attempts = 0,
                Err(_) => {
                    self.attempts += u32::from(pause.is_some());
                    return false;
                }
            }
        }
    }

    /// The interval between looks without an event.
    fn every(&self) -> Option<Duration> {
        match (self.watching.has_events(), self.poll) {
            (Some(true), every) => every,
            // The app turned events off, so its interval counts.
            (None, every) => Some(every.unwrap_or(SAFETY_POLL)),
            (Some(false), every) => Some(every.unwrap_or(SAFETY_POLL).min(POLL_WITHOUT_EVENTS)),
        }
    }

    /// The pause before the next attempt, during a shortage.
    fn pause(&self) -> Option<Duration> {
        if !self.place.setback.lasts() {
            return None;
        }
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.attempts));
        Some(pause.min(SAFETY_POLL))
    }

    /// Waits until no event has come for the quiet time, at most for `Limits::ceiling`.
    ///
    /// It looks at the files first, so that their stability is counted during this wait.
    async fn settle(&self) {
        let start = Instant::now();
        loop {
            read::look(&self.place, &self.place.names(), self.limits).await;
            let left = self.limits.ceiling().saturating_sub(start.elapsed());
            let quiet = self.limits.quiet.min(left);
            if timeout(quiet, self.watching.event()).await.is_err() || left.is_zero() {
                return;
            }
        }
    }

    /// Reads the current digests. `None` if an earlier call hangs, which says nothing about the
    /// files. They are looked at again when it has returned.
    async fn look(&self) -> Option<Sights> {
        let names = self.place.names();
        match read::stable(&self.place, &names, self.limits, Arming::Afresh).await {
            Ok(loaded) => Some(loaded.sights()),
            Err(unread) => unread.sights(),
        }
    }
}

/// An interval a tenth longer or shorter, so that the machines of a fleet do not ask their file
/// server all at once.
fn jittered(every: Duration) -> Duration {
    let random = RandomState::new().hash_one(()) % 1_000;
    let share = f64::from(random as u32) / 1_000.0;
    (every - every / 10).saturating_add((every / 5).mul_f64(share))
}

impl Notifier for Watcher {
    async fn notify(&mut self) -> Result<Trigger, BoxError> {
        loop {
            let told = self.dirty || self.hint().await;
            self.dirty = true;
            // Without an event there is no burst to wait for. The read waits if a file is not
            // stable.
            if told {
                self.settle().await;
            }
            let Some(sights) = self.look().await else {
                continue;
            };
            self.dirty = false;
            if self.place.seen.is_news(sights) {
                return Ok(self.trigger.clone());
            }
        }
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}
