//! Watches over one reload: it always comes to an end, and to a truthful report.
//!
//! The reload is a task of its own. Steps that wait are stopped at their deadline by the reload
//! itself. What the supervisor is for: a stop, and a step that blocks its thread, and with it maybe
//! the whole reload, past its deadline. Then it gives the reload up: the gate keeps the reload from
//! starting anything more, the log is closed, and what still runs is named.

use std::future::pending;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep, sleep_until};

use super::queue::{Batch, Wanted};
use super::task::Task;
use super::transaction::{Core, Pending, Transaction};
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
    let supervisor = Supervisor {
        core,
        gate: Arc::new(Gate::new()),
        log: Arc::new(Log::new()),
        began,
        pending: Arc::default(),
    };
    let check = wanted == Wanted::Check;
    let (ending, steps) = supervisor.watch(batch, check).await;
    let generation = core.shared.publication.current().number;
    let pending = supervisor.pending_restart(check, generation > before);
    let components = steps.iter().filter(|step| step.is_component).count();
    Report {
        triggers: batch.triggers.clone(),
        generation,
        outcome: match ending {
            Ending::Outcome(outcome) => outcome,
            Ending::Interrupted => Outcome::Interrupted {
                committed: generation > before,
            },
        },
        check,
        started,
        took: began.elapsed(),
        steps,
        untouched: core.graph.nodes.len() - components,
        overdue: core.shared.drains.overdue(),
        pending_restart: pending,
    }
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

struct Supervisor<'a> {
    core: &'a Arc<Core>,
    gate: Arc<Gate>,
    log: Arc<Log>,
    began: Instant,
    pending: Arc<Pending>,
}

impl Drop for Supervisor<'_> {
    fn drop(&mut self) {
        self.gate.give_up();
    }
}

impl Supervisor<'_> {
    /// What waits for a restart: for a check what would, else what does.
    fn pending_restart(&self, check: bool, committed: bool) -> Arc<[Arc<str>]> {
        let found = self
            .pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let mut history = self.core.shared.history();
        match found {
            Some(pending) if check => pending,
            Some(pending) if committed => {
                history.pending_restart = pending;
                Arc::clone(&history.pending_restart)
            }
            _ => Arc::clone(&history.pending_restart),
        }
    }

    async fn watch(&self, batch: &Batch, check: bool) -> (Ending, Vec<Step>) {
        let transaction = Transaction {
            core: Arc::clone(self.core),
            gate: Arc::clone(&self.gate),
            log: Arc::clone(&self.log),
            triggers: batch.triggers.clone(),
            check,
            pending: Arc::clone(&self.pending),
        };
        let transaction = inside::scope(self.core.shared.id, transaction.run());
        let mut task = Task(tokio::spawn(transaction));
        let mut stopped = false;
        // No step can be overdue before the shortest timeout has passed.
        let mut look = self.began + self.core.shortest + SLACK;
        loop {
            let stop = async {
                match stopped {
                    false => self.core.shared.stop.cancelled().await,
                    true => pending().await,
                }
            };
            match race(&mut task, race(stop, sleep_until(look))).await {
                Either::First(Ok(ending)) => {
                    if !ending.is_clean() {
                        self.let_go().await;
                    }
                    return (ending, self.log.close([]));
                }
                Either::First(Err(error)) => {
                    // The runtime shuts down, or this crate has a bug.
                    tracing::error!(target: "rekindle", "a reload broke off: {error}");
                    return self.give_up(task, Vec::new()).await;
                }
                Either::Second(Either::First(())) => {
                    stopped = true;
                    self.core.shared.queue.close();
                    // What is committed may go on, for as long as the grace period lasts.
                    if self.gate.abandon() {
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
        let begins_now = Instant::now() + self.core.shortest;
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
        self.core.shared.give_up(self.core.ledger.grace())
    }

    /// Gives the reload up, because of these or else because of the stop, and tells what is left of it.
    async fn give_up(&self, task: Task<Ending>, overdue: Vec<Step>) -> (Ending, Vec<Step>) {
        let committed = self.gate.give_up();
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
        let ended = self.core.ledger.made_since(self.began).into_iter();
        let ended = ended.filter(|entry| entry.kind.is_step());
        let ended = ended.map(|entry| Step::new(&entry, Action::Abandoned, Duration::ZERO));
        let to_come = committed.then(|| self.core.effects_to_come());
        let to_come = to_come.into_iter().flatten();
        let skipped = to_come.map(|entry| Step::new(&entry, Action::Skipped, Duration::ZERO));
        let rest = overdue
            .into_iter()
            .chain(running)
            .chain(ended)
            .chain(skipped);
        let steps = self.log.close(rest);
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
        let running = self.core.ledger.running().into_iter();
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
