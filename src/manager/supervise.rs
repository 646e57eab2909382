//! Watches over one reload: it always comes to an end, and to a truthful report.
//!
//! The reload is a task of its own. Steps that wait are stopped at their deadline by the reload
//! itself. What the supervisor is for: a stop, and a step that blocks its thread, and with it maybe
//! the whole reload, past its deadline.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::JoinError;
use tokio::time::{Instant, sleep, sleep_until};

use super::queue::{Batch, Wanted};
use super::task::Task;
use super::transaction::{Core, Transaction};
use crate::crew::{Entry, Gate};
use crate::race::{Either, race};
use crate::report::Log;
use crate::{Action, Outcome, Report, Step, StepError, inside};

/// How long after its deadline a step is taken to block its thread.
const SLACK: Duration = Duration::from_millis(100);

/// How long a reload that was given up may take to let go of what it had prepared.
const LETTING_GO: Duration = Duration::from_millis(100);

/// Makes one reload or check and reports it.
pub(super) async fn supervise(core: &Arc<Core>, wanted: Wanted, batch: &Batch) -> Report {
    let (gate, log) = (Arc::new(Gate::new()), Arc::<Log>::default());
    let (started, began) = (SystemTime::now(), Instant::now());
    let before = core.shared.publication.current().number;
    let transaction = Transaction {
        core: Arc::clone(core),
        gate: Arc::clone(&gate),
        log: Arc::clone(&log),
        triggers: batch.triggers.clone(),
        check: wanted == Wanted::Check,
    };
    let transaction = inside::scope(core.shared.id, transaction.run());
    let task = Task(tokio::spawn(transaction));
    let ending = Supervisor {
        core,
        gate: &gate,
        log: &log,
        began,
        give_up: None,
    }
    .watch(task)
    .await;
    let logged = log.take();
    let generation = core.shared.publication.current().number;
    Report {
        triggers: batch.triggers.clone(),
        generation,
        outcome: match ending {
            Outcome::Interrupted { .. } => Outcome::Interrupted {
                committed: generation > before,
            },
            outcome => outcome,
        },
        check: wanted == Wanted::Check,
        started,
        took: began.elapsed(),
        steps: logged.steps,
        untouched: core.graph.nodes.len() - logged.components,
    }
}

struct Supervisor<'a> {
    core: &'a Core,
    gate: &'a Gate,
    log: &'a Log,
    began: Instant,
    /// After a stop: when the grace period ends.
    give_up: Option<Instant>,
}

impl Supervisor<'_> {
    async fn watch(mut self, mut task: Task<Outcome>) -> Outcome {
        let outcome = self.outcome(&mut task).await;
        if !matches!(
            outcome,
            Outcome::Applied | Outcome::Unchanged | Outcome::Valid
        ) {
            task.abort();
            self.let_go(task).await;
        }
        outcome
    }

    async fn outcome(&mut self, task: &mut Task<Outcome>) -> Outcome {
        loop {
            let events = race(self.stop(), sleep_until(self.next_look()));
            let outcome = match race(&mut *task, events).await {
                Either::First(Ok(outcome)) => Some(outcome),
                Either::First(Err(error)) => Some(self.broken(&error)),
                Either::Second(Either::First(())) => self.stopped(),
                Either::Second(Either::Second(())) => self.look(),
            };
            if let Some(outcome) = outcome {
                return outcome;
            }
        }
    }

    /// What did not end well may have left steps behind that were told to end and have not yet,
    /// and the next reload must not meet them. One that blocks its thread does not end; the ledger
    /// says that it still runs.
    async fn let_go(&self, task: Task<Outcome>) {
        let give_up = Instant::now() + LETTING_GO;
        drop(task);
        while !self.running().is_empty() && Instant::now() < give_up {
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Resolves when the stop comes, once.
    async fn stop(&self) {
        match self.give_up {
            None => self.core.shared.stop.cancelled().await,
            Some(_) => pending().await,
        }
    }

    /// When a step may be overdue, or the grace period is over. A step that has not started yet
    /// cannot be overdue before the shortest timeout has passed.
    fn next_look(&self) -> Instant {
        let mut look = Instant::now() + self.core.shortest + SLACK;
        for (entry, since) in self.running() {
            look = look.min(since + entry.timeout() + SLACK);
        }
        self.give_up.map_or(look, |give_up| look.min(give_up))
    }

    /// The end has begun: what can still be called off is.
    fn stopped(&mut self) -> Option<Outcome> {
        self.core.shared.queue.close();
        self.give_up = Some(Instant::now() + self.core.grace);
        if !self.gate.abandon() {
            return None;
        }
        self.log_abandoned();
        Some(Outcome::Interrupted { committed: false })
    }

    /// Gives the reload up if a step is overdue or the grace period is over.
    fn look(&self) -> Option<Outcome> {
        let now = Instant::now();
        if self.give_up.is_some_and(|give_up| give_up <= now) {
            self.log_abandoned();
            return Some(Outcome::Interrupted { committed: true });
        }
        let is_overdue =
            |entry: &Entry, since: Instant| now.duration_since(since) >= entry.timeout() + SLACK;
        let overdue: Vec<_> = self
            .running()
            .into_iter()
            .filter(|(entry, since)| is_overdue(entry, *since))
            .collect();
        if overdue.is_empty() {
            return None;
        }
        let refused = self.gate.abandon();
        for (entry, since) in overdue {
            let error = StepError::blocked(entry.timeout());
            self.note(
                &entry,
                Step::failed(&entry.name, error, now.duration_since(since)),
            );
        }
        Some(if refused {
            Outcome::Rejected
        } else {
            Outcome::Partial
        })
    }

    /// The task ended without an outcome: the runtime shuts down, or this crate has a bug.
    fn broken(&self, error: &JoinError) -> Outcome {
        tracing::error!(target: "rekindle", "a reload broke off: {error}");
        Outcome::Interrupted {
            committed: !self.gate.abandon(),
        }
    }

    fn log_abandoned(&self) {
        for (entry, since) in self.running() {
            self.note(
                &entry,
                Step::new(&entry.name, Action::Abandoned, since.elapsed()),
            );
        }
    }

    fn note(&self, entry: &Entry, step: Step) {
        match entry.is_component() {
            true => self.log.component(step),
            false => self.log.effect(step),
        }
    }

    /// The steps of this reload that run now.
    fn running(&self) -> Vec<(Arc<Entry>, Instant)> {
        let running = self.core.ledger.running().into_iter();
        let running = running.filter_map(|entry| entry.since().map(|since| (entry, since)));
        running.filter(|(_, since)| *since >= self.began).collect()
    }
}
