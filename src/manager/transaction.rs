//! One reload: *prepare → commit → apply*.
//!
//! What can be refused goes first, what cannot be undone goes last. Retiring is not done here: the
//! last one to let go of an old slot sends its value to the reaper.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::core::{Core, Hook};
use super::drain::Drain;
use super::probation::{HeldBack, Previous, Probation};
use super::reload::{Ending, Reload};
use crate::component::prepare;
use crate::crew::{BoxFuture, Crew, Entry, Finished, Made};
use crate::live::Draft;
use crate::{Action, Outcome, Step, StepError};

/// The work of one reload or check.
pub(super) struct Transaction<'a> {
    pub(super) core: &'a Core,
    pub(super) reload: &'a Reload,
}

/// Why the apply phase did not run to its end.
enum Halt {
    Failed,
    Stopped,
}

impl Transaction<'_> {
    pub(super) async fn run(&self) -> Ending {
        let base = self.core.shared.publication.current();
        let Some(draft) = prepare(
            &self.core.graph,
            base,
            self.core.ledger.clock(),
            &self.reload.gate,
            &self.reload.log,
        )
        .await
        else {
            return Ending::Outcome(Outcome::Rejected);
        };
        let changed: Vec<usize> = draft.changed().collect();
        let any = !changed.is_empty();
        if any {
            let pending = self.core.graph.pending(&draft).into();
            *self
                .reload
                .pending
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(pending);
        }
        let stamps = self.stamps(&draft);
        if let Some(error) = self.held_back(&stamps) {
            self.reload.log.add(error);
            return Ending::Outcome(Outcome::Rejected);
        }
        if self.reload.check {
            return Ending::Outcome(if any {
                Outcome::Valid
            } else {
                Outcome::Unchanged
            });
        }
        let probation = self.core.probation.as_ref().filter(|_| any);
        let committed = self.reload.gate.commit(|| {
            if !any {
                return;
            }
            let previous = self.core.shared.publication.current();
            let replaced = self.commit(draft);
            match probation {
                Some(_) => self.reload.trial.begin(Previous {
                    generation: previous,
                    changed: changed.clone(),
                    stamps,
                    replaced,
                }),
                None => self.core.shared.drains.add(replaced),
            }
        });
        if !committed {
            // Whoever gave this reload up has reported it.
            return Ending::Interrupted;
        }
        let mut applied = self.run_effects(&changed).await;
        if let Some(probation) = probation.filter(|_| applied.is_ok()) {
            applied = self.probate(probation).await;
            if applied.is_ok()
                && !self.is_stopped()
                && let Some(previous) = self.reload.trial.pass(&self.reload.gate)
            {
                *self.core.held_back() = None;
                self.core.shared.drains.add(previous.replaced);
            }
        }
        match self.run_reloaders(applied).await {
            Ok(()) => Ending::Outcome(if any {
                Outcome::Applied
            } else {
                Outcome::Unchanged
            }),
            Err(Halt::Failed) => Ending::Outcome(Outcome::Partial),
            Err(Halt::Stopped) => Ending::Interrupted,
        }
    }

    /// Makes the previous values current again. The components that change by that.
    pub(super) fn roll_back(&self, previous: Previous) -> Vec<usize> {
        let mut draft = Draft::on(self.core.shared.publication.current());
        for &index in &previous.changed {
            draft.replace(index, Arc::clone(previous.generation.slot(index)));
        }
        self.core.shared.drains.add(self.commit(draft));
        *self.core.held_back() = Some(previous.stamps);
        previous.changed
    }

    /// Runs the effects that are due because these were rolled back. One that fails stays due.
    pub(super) async fn run_back(&self, changed: &[usize]) -> Ending {
        match self.run_effects(changed).await {
            Ok(()) => Ending::Outcome(Outcome::RolledBack),
            Err(_) => Ending::Outcome(Outcome::Partial),
        }
    }

    async fn probate(&self, probation: &Probation) -> Result<(), Halt> {
        let began = Instant::now();
        let passed = probation.pass(&self.core.shared).await;
        passed.map_err(|error| {
            let step = Step::failed(&probation.entry, error, began.elapsed());
            self.reload.log.add(step);
            Halt::Failed
        })
    }

    /// The stamps of the sources that changed, of those that have one.
    fn stamps(&self, draft: &Draft) -> HeldBack {
        let sources = self.core.graph.sources.iter().copied();
        let changed = sources.filter(|&source| draft.is_changed(source));
        let stamped = changed.map(|source| Some((source, draft.slot(source).stamp()?)));
        stamped.flatten().collect()
    }

    /// Why this is refused, if it is what failed the probation last, and nothing else.
    fn held_back(&self, stamps: &HeldBack) -> Option<Step> {
        let held = self.core.held_back();
        let (source, _) = held.as_ref().filter(|held| *held == stamps)?.first()?;
        let name = &self.core.graph.nodes[*source].entry.name;
        let error = format!("`{name}` is as it was when it failed probation; edit it to try again");
        let entry = &self.core.probation.as_ref()?.entry;
        Some(Step::failed(
            entry,
            StepError::error(error.into()),
            Duration::ZERO,
        ))
    }

    /// Makes the draft current: its values, and its tasks. What it replaces.
    fn commit(&self, draft: Draft) -> Vec<Drain> {
        let (publication, graph) = (&self.core.shared.publication, &self.core.graph);
        let previous = publication.current();
        let drained = draft.changed().filter(|&index| graph.nodes[index].drains);
        let replaced =
            drained.flat_map(|index| Drain::of(graph, index, &previous, Some(draft.slot(index))));
        let replaced = replaced.collect();
        drop(previous);
        let running = draft
            .changed()
            .filter(|&index| graph.nodes[index].runs.is_some());
        let running: Vec<_> = running.collect();
        let changed = draft.changed();
        let members = changed.flat_map(|index| graph.nodes[index].build.members(draft.slot(index)));
        let members: Vec<_> = members.collect();
        publication.commit(draft);
        members.iter().for_each(|(_, member)| member.show());
        let current = publication.current();
        for index in running {
            if let Some(runs) = &graph.nodes[index].runs {
                self.core.tasks.switch(index, runs, current.slot(index));
            }
        }
        replaced
    }

    /// Runs all reloaders by ascending priority, one group at a time, unless what came before failed.
    async fn run_reloaders(&self, before: Result<(), Halt>) -> Result<(), Halt> {
        let mut halted = before;
        for hooks in self.core.reloaders.values() {
            if halted.is_ok() && self.is_stopped() {
                halted = Err(Halt::Stopped);
            }
            if halted.is_ok() {
                halted = self.run_hooks(hooks).await;
            } else {
                hooks.iter().for_each(|hook| self.skip(&hook.entry));
            }
        }
        halted
    }

    /// Runs the effects that are due.
    async fn run_effects(&self, changed: &[usize]) -> Result<(), Halt> {
        let graph = &self.core.graph;
        let mut candidates = self.core.due().clone();
        candidates.extend(changed.iter().flat_map(|&node| &graph.nodes[node].effects));
        if candidates.is_empty() {
            return Ok(());
        }
        // Until it has run well, an effect counts as due.
        self.core.due().extend(&candidates);
        let now = Draft::on(self.core.shared.publication.current());
        let entry = |index: usize| &graph.effects[index].entry;
        let mut group = Group::new(self, entry, |index| {
            self.core.due().remove(&index);
        });
        // First all are asked, so that what is left in `due` when this is given up is really due.
        let mut asked = Vec::new();
        for index in candidates {
            let effect = &graph.effects[index];
            let due = effect.entry.watch(|| effect.run.is_due(&now));
            match due {
                Ok(false) => group.well(index),
                due => asked.push((index, due)),
            }
            group.crew.breathe().await;
        }
        for (index, due) in asked {
            let effect = &graph.effects[index];
            match due {
                Ok(_) if self.is_stopped() => {
                    self.skip(&effect.entry);
                    group.halted = group.halted.and(Err(Halt::Stopped));
                }
                Ok(_) => group.start(index, || effect.run.start(&now)),
                Err(error) => group.fail(index, error, Duration::ZERO),
            }
            group.crew.breathe().await;
        }
        group.finish().await
    }

    async fn run_hooks(&self, hooks: &[Hook]) -> Result<(), Halt> {
        let mut group = Group::new(self, |index: usize| &hooks[index].entry, |_| ());
        for (index, hook) in hooks.iter().enumerate() {
            group.start(index, || {
                Arc::clone(&hook.reloader).start(self.reload.triggers.clone())
            });
            group.crew.breathe().await;
        }
        group.finish().await
    }

    fn skip(&self, entry: &Entry) {
        self.reload
            .log
            .add(Step::new(entry, Action::Skipped, Duration::ZERO));
    }

    /// Whether nothing more may be started.
    fn is_stopped(&self) -> bool {
        self.core.shared.stop.is_cancelled() || self.reload.gate.is_given_up()
    }
}

/// Effects or reloaders that run concurrently. All of them are brought to an end, whatever becomes
/// of the others.
struct Group<'a, E, W> {
    transaction: &'a Transaction<'a>,
    crew: Crew<()>,
    /// The entry of each.
    entry: E,
    /// Called with each that ran well, unless the reload was given up by then.
    note_well: W,
    halted: Result<(), Halt>,
}

impl<'a, E: Fn(usize) -> &'a Arc<Entry>, W: Fn(usize)> Group<'a, E, W> {
    fn new(transaction: &'a Transaction<'a>, entry: E, note_well: W) -> Self {
        Self {
            transaction,
            crew: Crew::new(transaction.core.ledger.clock()),
            entry,
            note_well,
            halted: Ok(()),
        }
    }

    fn start(&mut self, index: usize, make: impl FnOnce() -> BoxFuture<'static, ()>) {
        if self.transaction.reload.gate.is_given_up() {
            return;
        }
        let made = || Made::Future(make());
        if let Some(finished) = self.crew.push(index, (self.entry)(index), made) {
            self.end(finished);
        }
    }

    fn end(&mut self, finished: Finished<()>) {
        let Finished { id, result, took } = finished;
        match result {
            Ok(()) => {
                let step = Step::new((self.entry)(id), Action::Ran, took);
                self.transaction.reload.log.add(step);
                self.well(id);
            }
            Err(error) => self.fail(id, error, took),
        }
    }

    fn well(&self, index: usize) {
        if !self.transaction.reload.gate.is_given_up() {
            (self.note_well)(index);
        }
    }

    fn fail(&mut self, index: usize, error: StepError, took: Duration) {
        let step = Step::failed((self.entry)(index), error, took);
        self.transaction.reload.log.add(step);
        self.halted = Err(Halt::Failed);
    }

    /// Waits for all.
    async fn finish(mut self) -> Result<(), Halt> {
        while let Some(finished) = self.crew.next().await {
            self.end(finished);
        }
        self.halted
    }
}
