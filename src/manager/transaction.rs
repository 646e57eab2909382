//! One reload: *prepare → commit → apply*.
//!
//! Steps that can reject the reload go first, steps that cannot be undone go last. Retirement is not part
//! of it: the last holder that lets go of an old slot sends its value to the reaper.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::apply::Halt;
use super::core::Core;
use super::probation::{Previous, Probation, Trial, Verdict};
use super::reload::{Ending, Reload};
use crate::component::{HeldBack, Prepared, prepare};
use crate::live::Draft;
use crate::{Outcome, Step, StepError, woken};

/// The work of one reload or check.
pub(super) struct Transaction<'a> {
    pub(super) core: &'a Core,
    pub(super) reload: &'a Reload,
}

impl Transaction<'_> {
    pub(super) async fn run(&self) -> Ending {
        let Self { core, reload } = *self;
        match self.prepare().await {
            Ok(Prepared::Ready) => {}
            Ok(Prepared::HeldBack(source)) => return self.hold_back(source).await,
            // The log has the failure.
            _ => return self.discard(Outcome::Rejected),
        }
        let Some(changed) = reload.draft.read(|draft| draft.changed().to_vec()) else {
            return Ending::Interrupted;
        };
        let any = !changed.is_empty();
        if reload.check {
            let outcome = if any {
                Outcome::Valid
            } else {
                Outcome::Unchanged
            };
            return self.discard(outcome);
        }
        let probation = core.probation.as_ref().filter(|_| any);
        if probation.is_some()
            && let Some(step) = self.busy(&changed)
        {
            reload.log.add(step);
            return self.discard(Outcome::Rejected);
        }
        let committed = reload.gate.commit(|| {
            let draft = reload.draft.take().filter(|_| any);
            if let Some(draft) = draft {
                self.commit(draft, reload.trial.as_ref());
            }
        });
        if !committed {
            // The supervisor has abandoned this reload and reported it.
            return Ending::Interrupted;
        }
        if any {
            core.shared.publication.wake();
        }
        let mut applied = self.run_effects().await;
        if let Some(probation) = probation.filter(|_| applied.is_ok()) {
            applied = self.probate(probation).await;
        }
        match self.run_reloaders(applied).await {
            Ok(()) if any => Ending::Outcome(Outcome::Applied),
            Ok(()) => Ending::Outcome(Outcome::Unchanged),
            Err(Halt::Failed) => Ending::Outcome(Outcome::Partial),
            Err(Halt::Stopped) => Ending::Interrupted,
        }
    }

    /// Builds the draft, unless it is held back, and compares the pinned settings. Any failure rejects the
    /// reload.
    async fn prepare(&self) -> Result<Prepared, ()> {
        let Self { core, reload } = *self;
        let draft = &reload.draft;
        let (graph, clock) = (&core.graph, core.ledger.clock());
        let on_probation = core.probation.is_some();
        let mut held = on_probation.then(|| core.held_back().clone()).flatten();
        let refuses = reload.holds_back;
        let (gate, log) = (&reload.gate, &reload.log);
        let prepared = prepare(graph, draft, &mut held, refuses, clock, gate, log).await;
        if on_probation && !reload.check {
            reload.gate.unless_given_up(|| *core.held_back() = held);
        }
        let Prepared::Ready = prepared else {
            return Ok(prepared);
        };
        let any = draft.read(|draft| !draft.changed().is_empty());
        if any == Some(true) && !graph.pinned.is_empty() {
            woken::go_first().await;
            let pending = graph.pending(draft);
            let pending = pending.map_err(|step| reload.log.amend(step))?;
            let mut place = reload
                .pending
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *place = Some(pending.into());
        }
        Ok(Prepared::Ready)
    }

    /// Ends a reload that changes nothing. The values that it has built are on their way to be retired.
    fn discard(&self, outcome: Outcome) -> Ending {
        self.reload.discard(self.core);
        Ending::Outcome(outcome)
    }

    /// Rejects an automatic reload that would only fail its probation again.
    async fn hold_back(&self, source: usize) -> Ending {
        let Self { core, reload } = *self;
        reload.log.add(self.failed_before(source));
        let refused = self.discard(Outcome::Rejected);
        // Effects that failed at the rollback are not held back, but tried again. They are not part of
        // the rejected reload, so a stop lets them run to their end.
        reload.only_make_up();
        if core.graph.effects.is_empty() || reload.check || !reload.gate.commit(|| ()) {
            return refused;
        }
        _ = self.run_effects().await;
        refused
    }

    async fn probate(&self, probation: &Probation) -> Result<(), Halt> {
        let Self { core, reload } = *self;
        let began = Instant::now();
        let trial = reload.trial.as_ref().expect("it is on probation");
        let failed = match probation.judge(trial, &reload.gate, &core.shared).await {
            Verdict::Stopped => return Err(Halt::Stopped),
            Verdict::Failed(error) => error,
            Verdict::Passed => match trial.pass(&reload.gate) {
                Ok(Some(previous)) => {
                    core.confirm(&previous);
                    return Ok(());
                }
                Ok(None) => return Err(Halt::Stopped),
                Err(error) => error,
            },
        };
        let step = Step::failed(&probation.entry, failed, began.elapsed());
        reload.log.add(step);
        Err(Halt::Failed)
    }

    /// Returns the failure of an abandoned step that still runs and is needed again.
    fn busy(&self, changed: &[usize]) -> Option<Step> {
        let Self { core, .. } = *self;
        let probe = core.probation.iter().map(|probation| &probation.entry);
        let due = core.due().clone();
        let effects = core.graph.effects_of(changed).chain(due);
        let effects = effects.map(|effect| &core.graph.effects[effect].entry);
        let busy = probe.chain(effects).find(|entry| entry.is_running())?;
        Some(Step::failed(busy, StepError::busy(), Duration::ZERO))
    }

    /// Makes the previous values current again.
    pub(super) fn roll_back(&self, previous: Previous) {
        let Self { core, .. } = *self;
        let mut draft = Draft::on(&core.shared.publication);
        for &index in &previous.changed {
            draft.replace(index, Arc::clone(previous.generation.slot(index)));
        }
        self.commit(draft, None);
        let stamps = previous.stamps;
        *core.held_back() = Some(stamps).filter(|stamps| !stamps.is_empty());
    }

    /// Wakes the tasks that wait for a change, and runs the effects that are due because of the rollback. An
    /// effect that fails stays due.
    pub(super) async fn run_back(&self) -> Ending {
        self.core.shared.publication.wake();
        match self.run_effects().await {
            Ok(()) => Ending::Outcome(Outcome::RolledBack),
            Err(_) => Ending::Outcome(Outcome::Partial),
        }
    }

    /// Returns the stamps of the changed sources that have one.
    fn stamps(&self, draft: &Draft) -> HeldBack {
        let sources = self.core.graph.sources.iter().copied();
        let changed = sources.filter(|&source| draft.is_changed(source));
        let stamped = changed.map(|source| Some((source, draft.slot(source).stamp()?)));
        stamped.flatten().collect()
    }

    /// Returns the step that rejects a reload because its sources failed their probation last time.
    fn failed_before(&self, source: usize) -> Step {
        let Core {
            graph, probation, ..
        } = self.core;
        let name = &graph.nodes[source].entry.name;
        let error =
            format!("`{name}` is as it was when it failed probation; edit it or request a reload");
        let probation = probation.as_ref().expect("there is one that it failed");
        let error = StepError::error(error.into());
        Step::failed(&probation.entry, error, Duration::ZERO)
    }

    /// Makes the draft current, with its values and tasks. Effects that depend on them become due. The
    /// caller must then wake the tasks that wait for a change.
    fn commit(&self, draft: Draft, trial: Option<&Arc<Trial>>) {
        let Self { core, .. } = *self;
        let previous = draft.base().clone();
        let stamps = trial.map(|_| self.stamps(&draft));
        let changed = draft.commit(trial.is_some());
        core.due().extend(core.graph.effects_of(&changed));
        let current = core.shared.publication.current();
        // The trial begins before the tasks start, because they may fail it.
        if let Some(trial) = trial {
            // If it fails too, the rollback sets its own stamps.
            drop(core.held_back().take());
            core.shared.history().on_probation = true;
            trial.begin(Previous {
                generation: previous.clone(),
                changed: changed.clone(),
                stamps: stamps.unwrap_or_default(),
            });
        }
        for &index in &changed {
            if let Some(runs) = &core.graph.nodes[index].runs {
                core.tasks.switch(index, runs, current.slot(index), trial);
            }
        }
        if trial.is_none() {
            core.replaced(&previous, &changed);
        }
    }
}
