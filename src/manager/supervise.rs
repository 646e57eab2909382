//! The supervisor, which brings each reload to an end and to a truthful report.
//!
//! The reload itself stops waiting steps at their deadline. The supervisor handles a stop, and a step
//! that blocks its thread, and with it the worker, past its deadline. Then it abandons the reload: the
//! gate keeps the reload from starting anything more, the log is closed, the steps that still run are
//! named, and another worker takes over.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::{Instant, sleep_until};

use super::core::Core;
use super::reload::{Ending, Next, Reload};
use super::task::Task;
use super::worker::{Running, SLACK, is_late, let_go, running, work};
use crate::aside::wake_at;
use crate::log::event;
use crate::race::{Either, race};
use crate::shutdown::Phase;
use crate::{Action, Outcome, Step, inside};

pub(super) struct Supervisor<'a> {
    core: &'a Arc<Core>,
    /// The worker, or `None` once it has ended.
    worker: Option<Task<()>>,
    /// The time of the next look for overdue steps. `None` while the supervisor waits to be woken.
    look: Option<Instant>,
}

/// An event that the supervisor must handle.
pub(super) enum Due {
    Look,
    WorkerEnded(Result<(), JoinError>),
}

impl Drop for Supervisor<'_> {
    fn drop(&mut self) {
        self.core.under_way.abandon(self.core);
    }
}

impl<'a> Supervisor<'a> {
    pub(super) fn new(core: &'a Arc<Core>) -> Self {
        let mut supervisor = Self {
            core,
            worker: None,
            look: None,
        };
        supervisor.employ(Next::Reload);
        supervisor
    }

    fn employ(&mut self, next: Next) {
        let work = work(Arc::clone(self.core), next);
        let work = inside::scope(self.core.shared.id, work);
        self.worker = Some(Task(tokio::spawn(work)));
    }

    /// Waits for the next event that the supervisor must handle.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub(super) async fn is_due(&mut self) -> Due {
        let ended = async {
            match &mut self.worker {
                Some(worker) => worker.await,
                None => pending().await,
            }
        };
        let look = self.look;
        let look = async {
            match look {
                Some(look) => wake_at(look).await,
                None => self.core.under_way.begun().await,
            }
        };
        match race(ended, look).await {
            Either::First(ended) => Due::WorkerEnded(ended),
            Either::Second(()) => Due::Look,
        }
    }

    pub(super) async fn see_to(&mut self, due: Due) {
        match due {
            Due::Look => self.look().await,
            Due::WorkerEnded(ended) => {
                self.worker = None;
                // A worker that returns has made the last reload.
                let Err(error) = ended else { return };
                // The runtime shuts down, or this crate has a bug.
                event!(ERROR, "a reload broke off: {error}");
                let told = match self.core.under_way.current() {
                    Some(reload) => self.give_up(&reload, Vec::new()).await,
                    None => false,
                };
                if !told {
                    self.core.under_way.abandon(self.core);
                    self.employ(Next::Reload);
                }
            }
        }
    }

    /// Abandons the reload if a step is overdue, and sets the time of the next look.
    async fn look(&mut self) {
        // No step can be overdue before the shortest timeout has passed.
        let begins_now = Instant::now() + self.core.ledger.shortest() + SLACK;
        let Some(reload) = self.core.under_way.current() else {
            self.look = match self.core.under_way.look_away() {
                true => None,
                false => Some(begins_now),
            };
            return;
        };
        let running = running(self.core, &reload);
        let overdue = overdue(&running);
        if !overdue.is_empty() {
            self.give_up(&reload, overdue).await;
        }
        let ends = |(entry, since): &Running| since.map(|since| since + entry.timeout() + SLACK);
        let ends = running.iter().filter_map(ends);
        self.look = Some(ends.fold(begins_now, Instant::min));
    }

    /// Abandons a reload that has not committed. Lets a committed one go on, for the app's share of the
    /// shutdown budget.
    pub(super) async fn stop(&mut self) {
        let Self { core, .. } = *self;
        core.shared.queue.close();
        if let Some(reload) = core.under_way.current()
            && reload.gate.abandon()
        {
            self.tell_given_up(&reload, false, Vec::new()).await;
        }
        let deadline = core.ledger.budget().deadline_inside(Phase::App);
        while self.worker.is_some() {
            match race(self.is_due(), sleep_until(deadline)).await {
                Either::First(due) => self.see_to(due).await,
                Either::Second(()) => {
                    if let Some(reload) = core.under_way.current() {
                        self.give_up(&reload, Vec::new()).await;
                    }
                    self.worker = None;
                }
            }
        }
    }

    /// Abandons the reload, because of the `overdue` steps, or of the stop if there are none. Returns `true`
    /// if it was not over.
    async fn give_up(&mut self, reload: &Arc<Reload>, overdue: Vec<Step>) -> bool {
        let given_up = reload.gate.give_up();
        if let Some(committed) = given_up {
            self.tell_given_up(reload, committed, overdue).await;
        }
        given_up.is_some()
    }

    /// Concludes an abandoned reload with the steps that are left of it, and replaces the worker.
    async fn tell_given_up(&mut self, reload: &Arc<Reload>, committed: bool, overdue: Vec<Step>) {
        let Self { core, .. } = *self;
        let ending = match (overdue.is_empty(), committed && !reload.makes_up_only()) {
            (true, _) => Ending::Interrupted,
            (false, true) => Ending::Outcome(Outcome::Partial),
            (false, false) => Ending::Outcome(Outcome::Rejected),
        };
        let running = running(core, reload);
        // The worker cannot abort waiting steps while another step blocks its thread.
        let failed = core.ledger.abort_waiting(reload.began).into_iter();
        let failed = failed.map(|(entry, error, took)| Step::failed(&entry, error, took));
        let running = running.into_iter().map(|(entry, since)| {
            let took = since.map_or(Duration::ZERO, |since| since.elapsed());
            Step::new(&entry, Action::Abandoned, took)
        });
        // Steps that have ended, but whose results the reload has not logged.
        let ended = core.ledger.made_since(reload.began).into_iter();
        let ended = ended.filter(|entry| entry.kind.is_step());
        let ended = ended.map(|entry| Step::new(&entry, Action::Abandoned, Duration::ZERO));
        let to_come = committed.then(|| reload.to_come(core));
        let skipped = to_come
            .into_iter()
            .flatten()
            .map(|entry| Step::new(&entry, Action::Skipped, Duration::ZERO));
        let rest = overdue
            .into_iter()
            .chain(failed)
            .chain(running)
            .chain(ended)
            .chain(skipped);
        let steps = reload.log.close(rest);
        self.worker = None;
        reload.discard(core);
        let_go(core, reload).await;
        match reload.conclude(core, ending, steps) {
            Next::End => {}
            Next::Reload if core.shared.stop.is_cancelled() => {}
            next => self.employ(next),
        }
    }
}

/// Returns the steps that have failed, if one is overdue: those that block their thread and whose time is
/// up. Other late steps may merely wait for that thread, and have failed only if no step blocks one.
fn overdue(running: &[Running]) -> Vec<Step> {
    let late = |by: Duration| running.iter().filter(move |it| is_late(it, by));
    if late(SLACK).next().is_none() {
        return Vec::new();
    }
    let block = late(Duration::ZERO).filter(|(entry, _)| entry.is_polling());
    let block: Vec<_> = block.collect();
    let failed = if block.is_empty() {
        late(SLACK).collect()
    } else {
        block
    };
    let step = |(entry, since): &Running| {
        let took = since.map_or(Duration::ZERO, |since| since.elapsed());
        Step::failed(entry, entry.overdue(), took)
    };
    failed.into_iter().map(step).collect()
}
