//! The *apply* phase, which runs the due effects concurrently, then the reloaders by priority.

use std::sync::Arc;
use std::time::Duration;

use super::core::Hook;
use super::reload::Reload;
use super::transaction::Transaction;
use crate::crew::{BoxFuture, Crew, Entry, Finished, Made};
use crate::live::Draft;
use crate::{Action, Step, StepError};

/// The cause of an early end of the apply phase.
pub(super) enum Halt {
    Failed,
    Stopped,
}

impl Transaction<'_> {
    /// Runs the reloaders by ascending priority, one group at a time. After a failure or a stop the rest is
    /// skipped.
    pub(super) async fn run_reloaders(&self, before: Result<(), Halt>) -> Result<(), Halt> {
        let mut halted = before;
        let mut crew = Crew::new(self.core.ledger.clock());
        for hooks in self.core.reloaders.values() {
            if halted.is_ok() && self.is_stopped() {
                halted = Err(Halt::Stopped);
            }
            if halted.is_ok() {
                halted = self.run_hooks(&mut crew, hooks).await;
            } else {
                hooks.iter().for_each(|hook| self.skip(&hook.entry));
            }
        }
        halted
    }

    /// Runs the due effects.
    pub(super) async fn run_effects(&self) -> Result<(), Halt> {
        let graph = &self.core.graph;
        if graph.effects.is_empty() {
            return Ok(());
        }
        let candidates = self.core.due().clone();
        if candidates.is_empty() {
            return Ok(());
        }
        // An effect stays due until it has succeeded.
        let done = |index: usize| _ = self.core.due().remove(&index);
        let now = &self.reload.draft;
        let opens = || now.put(Draft::on(&self.core.shared.publication));
        if !self.reload.gate.unless_given_up(opens) {
            return Err(Halt::Stopped);
        }
        let entry = |index: usize| &graph.effects[index].entry;
        let mut crew = Crew::new(self.core.ledger.clock());
        let mut group = Group::new(self.reload, &mut crew, entry, |index| {
            self.reload.gate.unless_given_up(|| {
                graph.effects[index].run.ran_well();
                done(index);
            });
        });
        // All are checked before one starts, so that `due` is exact when the reload is abandoned.
        let mut asked = Vec::new();
        for index in candidates {
            group.crew.breathe().await;
            let effect = &graph.effects[index];
            let due = effect.entry.watch(|| effect.run.is_due(now));
            match due {
                Ok(false) => _ = self.reload.gate.unless_given_up(|| done(index)),
                due => asked.push((index, due)),
            }
            group.crew.look();
        }
        for (index, due) in asked {
            group.crew.breathe().await;
            let effect = &graph.effects[index];
            match due {
                Ok(_) if self.is_stopped() => {
                    self.skip(&effect.entry);
                    group.halted = group.halted.and(Err(Halt::Stopped));
                }
                Ok(_) => group.start(index, || effect.run.start(now)),
                Err(error) => group.fail(index, error, Duration::ZERO),
            }
        }
        let ended = group.finish().await;
        drop(now.take());
        ended
    }

    async fn run_hooks(&self, crew: &mut Crew<()>, hooks: &[Hook]) -> Result<(), Halt> {
        let entry = |index: usize| &hooks[index].entry;
        let mut group = Group::new(self.reload, crew, entry, |_| ());
        for (index, hook) in hooks.iter().enumerate() {
            group.crew.breathe().await;
            group.start(index, || {
                Arc::clone(&hook.reloader).start(self.reload.triggers.clone())
            });
        }
        group.finish().await
    }

    fn skip(&self, entry: &Entry) {
        self.reload
            .log
            .add(Step::new(entry, Action::Skipped, Duration::ZERO));
    }

    /// Returns `true` if nothing more may be started.
    fn is_stopped(&self) -> bool {
        self.core.shared.stop.is_cancelled() || self.reload.gate.is_given_up()
    }
}

/// Effects or reloaders that run concurrently. Each runs to its end, even if others fail.
struct Group<'a, 'c, E, W> {
    reload: &'a Reload,
    crew: &'c mut Crew<()>,
    /// Returns the entry of a step.
    entry: E,
    /// Called for each step that succeeded. The reload may have been abandoned by then.
    note_well: W,
    halted: Result<(), Halt>,
}

impl<'a, 'c, E, W> Group<'a, 'c, E, W>
where
    E: Fn(usize) -> &'a Arc<Entry>,
    W: Fn(usize),
{
    fn new(reload: &'a Reload, crew: &'c mut Crew<()>, entry: E, note_well: W) -> Self {
        Self {
            reload,
            crew,
            entry,
            note_well,
            halted: Ok(()),
        }
    }

    fn start(&mut self, index: usize, make: impl FnOnce() -> BoxFuture<'static, ()>) {
        if self.reload.gate.is_given_up() {
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
                self.reload.log.add(step);
                (self.note_well)(id);
            }
            Err(error) => self.fail(id, error, took),
        }
    }

    fn fail(&mut self, index: usize, error: StepError, took: Duration) {
        let step = Step::failed((self.entry)(index), error, took);
        self.reload.log.add(step);
        self.halted = Err(Halt::Failed);
    }

    /// Waits for all steps.
    async fn finish(mut self) -> Result<(), Halt> {
        while let Some(finished) = self.crew.next().await {
            self.end(finished);
        }
        self.halted
    }
}
