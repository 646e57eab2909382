//! The current reload, as its worker and its supervisor share it, and the report at its end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokio::time::Instant;

use super::OnError;
use super::core::Core;
use super::probation::Trial;
use super::queue::{Asked, Batch, Wanted};
use super::transaction::Transaction;
use crate::crew::{Entry, Gate};
use crate::inside::Warnings;
use crate::live::{Draft, DraftCell};
use crate::report::Log;
use crate::{Error, Outcome, Report, Step, Triggers};

/// One reload or check, or the rollback of a reload that has failed its probation.
pub(super) struct Reload {
    pub(super) triggers: Triggers,
    pub(super) check: bool,
    /// `true` if only an edit lets values through that failed their probation: for automatic triggers.
    pub(super) holds_back: bool,
    /// `true` if only due effects run and no reloader follows: in a rollback, and in a reload that is held
    /// back.
    only_effects: AtomicBool,
    pub(super) gate: Gate,
    pub(super) log: Log,
    pub(super) warnings: Arc<Warnings>,
    /// The values that it works with.
    pub(super) draft: DraftCell,
    /// The names of the pinned components whose setting has changed, once `prepare` has found them.
    pub(super) pending: Mutex<Option<Arc<[Arc<str>]>>>,
    /// The probation, if the manager has one. It keeps the previous generation from the commit on.
    pub(super) trial: Option<Arc<Trial>>,
    pub(super) began: Instant,
    /// Taken by the worker or supervisor that concludes the reload.
    story: Mutex<Option<Story>>,
}

/// The data of the report to come, and the callers that get it.
struct Story {
    batch: Batch,
    started: SystemTime,
    began: Instant,
    /// The number of the generation that was current when the reload began.
    before: u64,
    /// The steps of the reload before its rollback, once there is one.
    failed: Option<Vec<Step>>,
}

/// The end of a reload.
#[derive(Clone, Copy)]
pub(super) enum Ending {
    Outcome(Outcome),
    /// The manager was stopped meanwhile. The current generation shows if the reload had committed.
    Interrupted,
}

impl Ending {
    /// Returns `true` if every step that was started has ended by itself.
    pub(super) fn is_clean(self) -> bool {
        matches!(
            self,
            Self::Outcome(Outcome::Applied | Outcome::Unchanged | Outcome::Valid)
        )
    }
}

/// The work that follows a reload.
pub(super) enum Next {
    Reload,
    /// Its rollback: the effects that are due because of it.
    Back(Arc<Reload>),
    /// Nothing: this worker ends.
    End,
}

impl Reload {
    pub(super) fn new(core: &Core, asked: Asked) -> Arc<Self> {
        let began = Instant::now();
        let story = Story {
            started: SystemTime::now(),
            began,
            before: core.shared.publication.number(),
            failed: None,
            batch: asked.batch,
        };
        Arc::new(Self {
            triggers: story.batch.triggers.clone(),
            check: asked.wanted == Wanted::Check,
            holds_back: asked.wanted == Wanted::Reload && !story.batch.explicit,
            only_effects: AtomicBool::new(false),
            gate: Gate::new(),
            log: Log::with_capacity(core.graph.sources.len() + core.hooks),
            warnings: Arc::default(),
            draft: DraftCell::new(Draft::on(&core.shared.publication)),
            pending: Mutex::default(),
            trial: core.probation.as_ref().map(|_| Arc::default()),
            began,
            story: Mutex::new(Some(story)),
        })
    }

    /// Creates the rollback. The reload itself may still be running, but its gate is shut and its log closed.
    fn back(&self, story: Story) -> Arc<Self> {
        Arc::new(Self {
            triggers: self.triggers.clone(),
            check: false,
            holds_back: false,
            only_effects: AtomicBool::new(true),
            gate: Gate::committed(),
            log: Log::with_capacity(0),
            warnings: Arc::clone(&self.warnings),
            draft: DraftCell::default(),
            pending: Mutex::default(),
            trial: None,
            began: Instant::now(),
            story: Mutex::new(Some(story)),
        })
    }

    /// Restricts the rest of the reload to due effects.
    pub(super) fn only_make_up(&self) {
        // Relaxed: the lock of the gate is taken after this store and before each load.
        self.only_effects.store(true, Ordering::Relaxed);
    }

    pub(super) fn makes_up_only(&self) -> bool {
        self.only_effects.load(Ordering::Relaxed)
    }

    /// Returns the steps of its apply phase that have not run yet.
    pub(super) fn to_come(&self, core: &Core) -> Vec<Arc<Entry>> {
        let mut to_come: Vec<_> = core.due_effects().collect();
        if !self.makes_up_only() {
            let hooks = core.reloaders.values().flatten();
            to_come.extend(hooks.map(|hook| Arc::clone(&hook.entry)));
        }
        to_come
    }

    /// Drops the values of a reload that will not make them current: it changes nothing, or it was abandoned
    /// and a step that blocks its thread would hold them.
    pub(super) fn discard(&self, core: &Core) {
        if let Some(draft) = self.draft.take() {
            core.shared.drains.add_unused(&core.graph, &draft);
        }
    }

    /// Ends the reload after its gate was shut: reports it, or goes back to the previous generation.
    pub(super) fn conclude(&self, core: &Core, ending: Ending, steps: Vec<Step>) -> Next {
        let Some(mut story) = self.take() else {
            return Next::End;
        };
        if let Some(mut failed) = story.failed.take() {
            failed.extend(steps);
            return self.tell(core, story, Outcome::RolledBack, failed);
        }
        let outcome = match ending {
            Ending::Outcome(outcome) => outcome,
            Ending::Interrupted => Outcome::Interrupted {
                committed: core.shared.publication.number() > story.before,
            },
        };
        // At a stop the current generation stays, because the stop itself may cause a failure.
        let goes_back = outcome == Outcome::Partial && !core.shared.stop.is_cancelled();
        let trial = self.trial.as_ref();
        if let Some((previous, failure)) = trial.and_then(|trial| trial.end(goes_back)) {
            if goes_back {
                core.shared.history().on_probation = false;
                story.failed = Some(steps);
                let back = self.back(story);
                core.under_way.replace(&back);
                let reload = &back;
                Transaction { core, reload }.roll_back(previous);
                return Next::Back(back);
            }
            core.confirm(&previous);
            if let Some(error) = failure {
                // Without a probation this would have ended the run. A send error means that it is over.
                drop(core.fatal.send(error));
            }
        }
        self.tell(core, story, outcome, steps)
    }

    fn tell(&self, core: &Core, story: Story, outcome: Outcome, steps: Vec<Step>) -> Next {
        core.under_way.end();
        let shared = &core.shared;
        let generation = shared.publication.number();
        let stays = generation > story.before && outcome != Outcome::RolledBack;
        let components = steps.iter().filter(|step| step.is_component).count();
        let report = Arc::new(Report {
            pending_restart: self.pending_restart(core, stays),
            triggers: self.triggers.clone(),
            generation,
            outcome,
            check: self.check,
            started: story.started,
            took: story.began.elapsed(),
            steps,
            warnings: self.warnings.all(),
            untouched: core.graph.nodes.len() - components,
            overdue: match core.graph.drains {
                true => shared.drains.overdue(),
                false => Vec::new(),
            },
        });
        shared.publish(&report);
        story.batch.answer(&report);
        let is_well = report.is_success() || self.check || shared.stop.is_cancelled();
        if core.policy == OnError::Keep || is_well {
            return Next::Reload;
        }
        // A send error means that the run is over.
        drop(core.fatal.send(Error::reload(report)));
        Next::End
    }

    /// Returns the pinned settings that wait for a restart, or for a check, those that would.
    fn pending_restart(&self, core: &Core, applied: bool) -> Arc<[Arc<str>]> {
        if core.graph.pinned.is_empty() {
            return Arc::default();
        }
        let found = self.pending.lock();
        let found = found.unwrap_or_else(PoisonError::into_inner).take();
        let mut history = core.shared.history();
        match found {
            Some(pending) if self.check => return pending,
            Some(pending) if applied => history.pending_restart = pending,
            _ => {}
        }
        Arc::clone(&history.pending_restart)
    }

    /// Drops the waiting callers' channels without a report, so that each caller gets
    /// [`Error::is_stopped`]. Drops all values, and keeps the current generation if it is on probation.
    pub(super) fn abandon(&self, core: &Core) {
        drop(self.take());
        self.discard(core);
        if let Some((previous, _)) = self.trial.as_ref().and_then(|trial| trial.end(false)) {
            core.confirm(&previous);
        }
    }

    fn take(&self) -> Option<Story> {
        let mut story = self.story.lock().unwrap_or_else(PoisonError::into_inner);
        story.take()
    }
}
