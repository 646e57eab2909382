//! Watches over one reload: it always comes to an end, and to a truthful report.
//!
//! The reload is a task of its own. Steps that wait are stopped at their deadline by the reload
//! itself. What the supervisor is for: a stop, and a step that blocks its thread, and with it maybe
//! the whole reload, past its deadline. Then it gives the reload up: the gate keeps the reload from
//! starting anything more, the log is closed, and what still runs is named.
//!
//! A generation that is still on probation when its reload has failed, one way or the other, is rolled
//! back by a second task, which is watched over in the same way.

use std::future::{Future, pending};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep, sleep_until};

use super::probation::Previous;
use super::queue::{Batch, Wanted};
use super::task::Task;
use super::transaction::{Core, Transaction};
use crate::crew::{Entry, Gate};
use crate::race::{Either, race};
use crate::report::Log;
use crate::{Action, Outcome, Report, Step, inside};

/// How long after its deadline a step is taken to block its thread.
const SLACK: Duration = Duration::from_millis(100);

/// How long a reload that did not end well may take to let go of what it had started.
const LETTING_GO: Duration = Duration::from_millis(100);

/// Makes one reload or check and reports it.
///
/// # Cancel safety
///
/// Dropping the future gives the reload up.
pub(super) async fn supervise(core: &Arc<Core>, wanted: Wanted, batch: &Batch) -> Report {
    let (started, began) = (SystemTime::now(), Instant::now());
    let before = core.shared.publication.current().number;
    let reload = Transaction {
        core: Arc::clone(core),
        gate: Arc::new(Gate::new()),
        log: Arc::new(Log::new()),
        triggers: batch.triggers.clone(),
        check: wanted == Wanted::Check,
        pending: Arc::default(),
        trial: Arc::default(),
    };
    let (ending, mut steps) = Supervisor::of(&reload).watch(reload.clone().run()).await;
    let mut outcome = match ending {
        Ending::Outcome(outcome) => outcome,
        Ending::Interrupted => Outcome::Interrupted {
            committed: core.shared.publication.current().number > before,
        },
    };
    if let Some(previous) = reload.trial.take() {
        // At a stop, what is current stays: what fails then may fail because of it.
        if outcome == Outcome::Partial && !core.shared.stop.is_cancelled() {
            outcome = Outcome::RolledBack;
            steps.extend(roll_back(reload.clone(), previous).await);
        } else {
            core.shared.drains.add(previous.replaced);
        }
    }
    let components = steps.iter().filter(|step| step.is_component).count();
    let generation = core.shared.publication.current().number;
    let stays = generation > before && outcome != Outcome::RolledBack;
    Report {
        pending_restart: pending_restart(&reload, stays),
        triggers: reload.triggers,
        generation,
        outcome,
        check: reload.check,
        started,
        took: began.elapsed(),
        steps,
        untouched: core.graph.nodes.len() - components,
        overdue: core.shared.drains.overdue(),
    }
}

/// Goes back, and gives what was done for that.
async fn roll_back(reload: Transaction, previous: Previous) -> Vec<Step> {
    // The one that failed may still be at work; its gate is shut, and its log closed.
    let back = Transaction {
        gate: Arc::new(Gate::committed()),
        log: Arc::new(Log::new()),
        ..reload
    };
    let changed = back.roll_back(previous);
    let (_, steps) = Supervisor::of(&back)
        .watch(back.clone().run_back(changed))
        .await;
    steps
}

/// What waits for a restart: for a check what would, else what does.
fn pending_restart(reload: &Transaction, applied: bool) -> Arc<[Arc<str>]> {
    let found = reload.pending.lock();
    let found = found.unwrap_or_else(PoisonError::into_inner).take();
    let mut history = reload.core.shared.history();
    match found {
        Some(pending) if reload.check => return pending,
        Some(pending) if applied => history.pending_restart = pending,
        _ => {}
    }
    Arc::clone(&history.pending_restart)
}

/// How a transaction ended.
#[derive(Clone, Copy)]
pub(super) enum Ending {
    Outcome(Outcome),
    /// The manager was stopped meanwhile. What that means, the generation tells.
    Interrupted,
}

impl Ending {
    /// Whether all that was started has ended by itself.
    fn is_clean(self) -> bool {
        matches!(
            self,
            Self::Outcome(Outcome::Applied | Outcome::Unchanged | Outcome::Valid)
        )
    }
}

/// Watches over one task of a reload.
struct Supervisor<'a> {
    reload: &'a Transaction,
    began: Instant,
}

impl Drop for Supervisor<'_> {
    fn drop(&mut self) {
        self.reload.gate.give_up();
    }
}

impl<'a> Supervisor<'a> {
    fn of(reload: &'a Transaction) -> Self {
        let began = Instant::now();
        Self { reload, began }
    }

    async fn watch<F>(&self, work: F) -> (Ending, Vec<Step>)
    where
        F: Future<Output = Ending> + Send + 'static,
    {
        let Transaction {
            core, gate, log, ..
        } = self.reload;
        let mut task = Task(tokio::spawn(inside::scope(core.shared.id, work)));
        let mut stopped = false;
        // No step can be overdue before the shortest timeout has passed.
        let mut look = self.began + core.shortest + SLACK;
        loop {
            let stop = async {
                match stopped {
                    false => core.shared.stop.cancelled().await,
                    true => pending().await,
                }
            };
            match race(&mut task, race(stop, sleep_until(look))).await {
                Either::First(Ok(ending)) => {
                    if !ending.is_clean() {
                        self.let_go().await;
                    }
                    return (ending, log.close([]));
                }
                Either::First(Err(error)) => {
                    // The runtime shuts down, or this crate has a bug.
                    tracing::error!(target: "rekindle", "a reload broke off: {error}");
                    return self.give_up(task, Vec::new()).await;
                }
                Either::Second(Either::First(())) => {
                    stopped = true;
                    core.shared.queue.close();
                    // What is committed may go on, for as long as the grace period lasts.
                    if gate.abandon() {
                        return self.give_up(task, Vec::new()).await;
                    }
                    look = look.min(self.grace_ends());
                }
                Either::Second(Either::Second(())) => {
                    let running = self.running();
                    let overdue: Vec<Step> = running.iter().filter_map(overdue).collect();
                    if !overdue.is_empty() {
                        return self.give_up(task, overdue).await;
                    }
                    if stopped && self.grace_ends() <= Instant::now() {
                        return self.give_up(task, Vec::new()).await;
                    }
                    look = self.next_look(&running, stopped);
                }
            }
        }
    }

    /// When one of these may be overdue, or one that begins from now on, or the grace period over.
    fn next_look(&self, running: &[Running], stopped: bool) -> Instant {
        let begins_now = Instant::now() + self.reload.core.shortest;
        let ends = |(entry, since): &Running| since.map(|since| since + entry.timeout());
        let first = running
            .iter()
            .filter_map(ends)
            .fold(begins_now, Instant::min)
            + SLACK;
        match stopped {
            true => first.min(self.grace_ends()),
            false => first,
        }
    }

    fn grace_ends(&self) -> Instant {
        let Core { shared, ledger, .. } = &*self.reload.core;
        shared.give_up(ledger.grace())
    }

    /// Gives the reload up, because of these or else because of the stop, and tells what is left of it.
    async fn give_up(&self, task: Task<Ending>, overdue: Vec<Step>) -> (Ending, Vec<Step>) {
        let Transaction {
            core, gate, log, ..
        } = self.reload;
        let committed = gate.give_up();
        let ending = match (overdue.is_empty(), committed) {
            (true, _) => Ending::Interrupted,
            (false, true) => Ending::Outcome(Outcome::Partial),
            (false, false) => Ending::Outcome(Outcome::Rejected),
        };
        let running = self.running().into_iter().map(|(entry, since)| {
            let took = since.map_or(Duration::ZERO, |since| since.elapsed());
            Step::new(&entry, Action::Abandoned, took)
        });
        // Those that have ended, and whose results the reload has not looked at.
        let ended = core.ledger.made_since(self.began).into_iter();
        let ended = ended.filter(|entry| entry.kind.is_step());
        let ended = ended.map(|entry| Step::new(&entry, Action::Abandoned, Duration::ZERO));
        let to_come = committed.then(|| core.effects_to_come());
        let to_come = to_come.into_iter().flatten();
        let skipped = to_come.map(|entry| Step::new(&entry, Action::Skipped, Duration::ZERO));
        let rest = overdue
            .into_iter()
            .chain(running)
            .chain(ended)
            .chain(skipped);
        let steps = log.close(rest);
        drop(task);
        self.let_go().await;
        (ending, steps)
    }

    /// What did not end well may have left steps behind that were told to end and have not yet, and
    /// the next reload must not meet them. One that blocks its thread does not end; the ledger says
    /// that it still runs.
    async fn let_go(&self) {
        let give_up = Instant::now() + LETTING_GO;
        while !self.running().is_empty() && Instant::now() < give_up {
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// The steps of this reload that run.
    fn running(&self) -> Vec<Running> {
        let running = self.reload.core.ledger.running().into_iter();
        let steps = running.filter(|entry| entry.kind.is_step());
        let steps = steps.map(|entry| (Arc::clone(&entry), entry.since()));
        let began = self.began;
        let of_this_reload = |(entry, since): &Running| match since {
            Some(since) => *since >= began,
            None => entry.made_since(began),
        };
        steps.filter(of_this_reload).collect()
    }
}

/// A step that runs, and since when; `None` while it waits for a core.
type Running = (Arc<Entry>, Option<Instant>);

/// What a step that is overdue failed of.
fn overdue((entry, since): &Running) -> Option<Step> {
    let took = since.as_ref()?.elapsed();
    let is_overdue = took >= entry.timeout() + SLACK;
    is_overdue.then(|| Step::failed(entry, entry.overdue(), took))
}
