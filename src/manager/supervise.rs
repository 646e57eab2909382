//! Watches over one reload: it always comes to an end, and to a truthful report.
//!
//! The reload is a task of its own. Steps that wait are stopped at their deadline by the reload
//! itself. What the supervisor is for: a stop, and a step that blocks its thread, and with it maybe
//! the whole reload, past its deadline. Then it gives the reload up: the gate keeps the reload from
//! starting anything more, the log is closed, and what still runs is named.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::JoinError;
use tokio::time::{Instant, sleep, sleep_until};

use super::queue::{Batch, Wanted};
use super::task::Task;
use super::transaction::{Core, Transaction};
use crate::crew::{Entry, Gate, Kind};
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
    };
    let check = wanted == Wanted::Check;
    let (ending, steps) = supervisor.watch(batch, check).await;
    let generation = core.shared.publication.current().number;
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
    }
}

/// How a transaction ended.
#[derive(Clone, Copy)]
pub(super) enum Ending {
    Outcome(Outcome),
    /// The manager was stopped meanwhile. What that means, the generation tells.
    Interrupted,
}

struct Supervisor<'a> {
    core: &'a Arc<Core>,
    gate: Arc<Gate>,
    log: Arc<Log>,
    began: Instant,
}

/// Why a reload is given up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reason {
    Overdue,
    Stop,
}

impl Drop for Supervisor<'_> {
    fn drop(&mut self) {
        self.gate.give_up();
    }
}

impl Supervisor<'_> {
    async fn watch(&self, batch: &Batch, check: bool) -> (Ending, Vec<Step>) {
        let transaction = Transaction {
            core: Arc::clone(self.core),
            gate: Arc::clone(&self.gate),
            log: Arc::clone(&self.log),
            triggers: batch.triggers.clone(),
            check,
        };
        let transaction = inside::scope(self.core.shared.id, transaction.run());
        let mut task = Task(tokio::spawn(transaction));
        let mut stopped = false;
        let (ending, steps) = loop {
            let stop = async {
                match stopped {
                    false => self.core.shared.stop.cancelled().await,
                    true => pending().await,
                }
            };
            let events = race(stop, sleep_until(self.next_look(stopped)));
            match race(&mut task, events).await {
                Either::First(Ok(ending)) => break (ending, self.log.close([])),
                Either::First(Err(error)) => break self.broken(&error),
                Either::Second(Either::First(())) => {
                    stopped = true;
                    self.core.shared.queue.close();
                    // What is committed may go on, for as long as the grace period lasts.
                    if self.gate.abandon() {
                        break (Ending::Interrupted, self.give_up(Reason::Stop));
                    }
                }
                Either::Second(Either::Second(())) => {
                    if stopped && self.grace_ends() <= Instant::now() {
                        break (Ending::Interrupted, self.give_up(Reason::Stop));
                    }
                    if self
                        .running()
                        .iter()
                        .any(|(entry, since)| is_overdue(entry, *since))
                    {
                        let refused = self.gate.abandon();
                        let outcome = if refused {
                            Outcome::Rejected
                        } else {
                            Outcome::Partial
                        };
                        break (Ending::Outcome(outcome), self.give_up(Reason::Overdue));
                    }
                }
            }
        };
        drop(task);
        self.let_go().await;
        (ending, steps)
    }

    /// When a step may be overdue, or the grace period is over. A step whose time has not begun yet
    /// cannot be overdue before the shortest timeout has passed.
    fn next_look(&self, stopped: bool) -> Instant {
        let mut look = Instant::now() + self.core.shortest + SLACK;
        for (entry, since) in self.running() {
            look = look.min(since + entry.timeout() + SLACK);
        }
        match stopped {
            true => look.min(self.grace_ends()),
            false => look,
        }
    }

    fn grace_ends(&self) -> Instant {
        self.core.shared.give_up(self.core.ledger.grace())
    }

    /// Gives the reload up, and tells what is left of it.
    fn give_up(&self, reason: Reason) -> Vec<Step> {
        let committed = self.gate.give_up();
        let mut rest = Vec::new();
        for (entry, since) in self.running() {
            let took = since.elapsed();
            rest.push(match reason {
                Reason::Overdue if is_overdue(&entry, since) => {
                    Step::failed(&entry, entry.overdue(), took)
                }
                _ => Step::new(&entry, Action::Abandoned, took),
            });
        }
        if committed {
            rest.extend(self.core.effects_to_come().map(|entry| skipped(&entry)));
        }
        self.log.close(rest)
    }

    /// The task ended without an outcome: the runtime shuts down, or this crate has a bug.
    fn broken(&self, error: &JoinError) -> (Ending, Vec<Step>) {
        tracing::error!(target: "rekindle", "a reload broke off: {error}");
        (Ending::Interrupted, self.give_up(Reason::Stop))
    }

    /// What did not end well may have left steps behind that were told to end and have not yet, and
    /// the next reload must not meet them. One that blocks its thread does not end; the ledger says
    /// that it still runs.
    async fn let_go(&self) {
        let give_up = Instant::now() + LETTING_GO;
        while self
            .core
            .ledger
            .running()
            .iter()
            .any(|entry| is_step(entry))
            && Instant::now() < give_up
        {
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// The steps of this reload whose time runs.
    fn running(&self) -> Vec<(Arc<Entry>, Instant)> {
        let steps = self
            .core
            .ledger
            .running()
            .into_iter()
            .filter(|entry| is_step(entry));
        let steps = steps.filter_map(|entry| entry.since().map(|since| (entry, since)));
        steps.filter(|(_, since)| *since >= self.began).collect()
    }
}

fn is_step(entry: &Entry) -> bool {
    matches!(entry.kind, Kind::Component | Kind::Effect | Kind::Reloader)
}

fn is_overdue(entry: &Entry, since: Instant) -> bool {
    since.elapsed() >= entry.timeout() + SLACK
}

fn skipped(entry: &Entry) -> Step {
    Step::new(entry, Action::Skipped, Duration::ZERO)
}
