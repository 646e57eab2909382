//! One reload: *prepare → commit → apply*.
//!
//! What can be refused goes first, what cannot be undone goes last. Retiring is not done here: the
//! last one to let go of an old slot sends its value to the reaper.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::shared::Shared;
use crate::component::{Graph, prepare};
use crate::crew::{BoxFuture, Crew, Entry, Gate, Job, Ledger};
use crate::live::Draft;
use crate::panic::catch;
use crate::reloader::DynReloader;
use crate::report::Log;
use crate::{Action, Outcome, Step, StepError, Triggers};

/// Everything that a reload needs, fixed once the app runs.
pub(super) struct Core {
    pub(super) shared: Arc<Shared>,
    pub(super) graph: Graph,
    pub(super) reloaders: BTreeMap<i32, Vec<Hook>>,
    pub(super) ledger: Arc<Ledger>,
    /// Effects that failed or were skipped, and are tried again by the next reload.
    pub(super) due: Mutex<BTreeSet<usize>>,
    /// The shortest timeout of all steps.
    pub(super) shortest: Duration,
    pub(super) grace: Duration,
}

/// A reloader.
pub(super) struct Hook {
    pub(super) entry: Arc<Entry>,
    pub(super) reloader: Arc<dyn DynReloader>,
}

/// One reload or check.
pub(super) struct Transaction {
    pub(super) core: Arc<Core>,
    pub(super) gate: Arc<Gate>,
    pub(super) log: Arc<Log>,
    pub(super) triggers: Triggers,
    pub(super) check: bool,
}

/// Why the apply phase did not run to its end.
enum Halt {
    Failed,
    Stopped,
}

impl Transaction {
    pub(super) async fn run(self) -> Outcome {
        let base = self.core.shared.publication.current();
        let Some(draft) = prepare(&self.core.graph, base, &self.gate, &self.log).await else {
            return Outcome::Rejected;
        };
        let committed = draft.changed().len() > 0;
        if self.check {
            return if committed {
                Outcome::Valid
            } else {
                Outcome::Unchanged
            };
        }
        if !self.gate.commit() {
            // Whoever abandoned this reload has reported it.
            return Outcome::Interrupted { committed: false };
        }
        let changed: Vec<usize> = draft.changed().collect();
        if committed {
            self.core.shared.publication.commit(draft);
        }
        match self.apply(&changed).await {
            Ok(()) if committed => Outcome::Applied,
            Ok(()) => Outcome::Unchanged,
            Err(Halt::Failed) => Outcome::Partial,
            Err(Halt::Stopped) => Outcome::Interrupted { committed },
        }
    }

    /// Runs the effects that are due, and then all reloaders by ascending priority, one group at a
    /// time.
    async fn apply(&self, changed: &[usize]) -> Result<(), Halt> {
        let mut halted = self.run_effects(changed).await;
        for hooks in self.core.reloaders.values() {
            if halted.is_ok() && self.core.shared.stop.is_cancelled() {
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

    async fn run_effects(&self, changed: &[usize]) -> Result<(), Halt> {
        let effects = &self.core.graph.effects;
        let mut candidates = self.due().clone();
        candidates.extend(
            changed
                .iter()
                .flat_map(|&node| &self.core.graph.nodes[node].effects),
        );
        if candidates.is_empty() {
            return Ok(());
        }
        // Until it has run well, an effect counts as due.
        self.due().extend(&candidates);
        let now = Draft::on(self.core.shared.publication.current());
        let mut group = Group::new(&self.log);
        for index in candidates {
            let effect = &effects[index];
            match catch(|| effect.run.is_due(&now)) {
                Ok(false) => self.settle(index),
                Ok(true) if self.core.shared.stop.is_cancelled() => {
                    self.skip(&effect.entry);
                    group.halted = Err(Halt::Stopped);
                }
                Ok(true) => group.start(index, &effect.entry, || effect.run.start(&now)),
                Err(panicked) => group.fail(&effect.entry, panicked),
            }
        }
        group.finish(|index| self.settle(index)).await
    }

    async fn run_hooks(&self, hooks: &[Hook]) -> Result<(), Halt> {
        let mut group = Group::new(&self.log);
        for (index, hook) in hooks.iter().enumerate() {
            let (reloader, triggers) = (Arc::clone(&hook.reloader), self.triggers.clone());
            group.start(index, &hook.entry, || {
                Box::pin(async move { reloader.reload(triggers).await })
            });
        }
        group.finish(|_| ()).await
    }

    fn skip(&self, entry: &Entry) {
        self.log
            .effect(Step::new(&entry.name, Action::Skipped, Duration::ZERO));
    }

    /// The effect has run well with the current values.
    fn settle(&self, effect: usize) {
        self.due().remove(&effect);
    }

    fn due(&self) -> std::sync::MutexGuard<'_, BTreeSet<usize>> {
        self.core.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Effects or reloaders that run concurrently. All of them are brought to an end, whatever becomes
/// of the others.
struct Group<'a> {
    crew: Crew<()>,
    entries: BTreeMap<usize, Arc<Entry>>,
    done: Vec<usize>,
    halted: Result<(), Halt>,
    log: &'a Log,
}

impl<'a> Group<'a> {
    fn new(log: &'a Log) -> Self {
        let (crew, entries) = (Crew::new(), BTreeMap::new());
        Self {
            crew,
            entries,
            done: Vec::new(),
            halted: Ok(()),
            log,
        }
    }

    fn start(
        &mut self,
        index: usize,
        entry: &Arc<Entry>,
        make: impl FnOnce() -> BoxFuture<'static, ()>,
    ) {
        match Job::start(entry, make) {
            Ok(job) => {
                if let Some(finished) = self.crew.push(index, job) {
                    self.note(index, entry, finished.result, finished.took);
                } else {
                    self.entries.insert(index, Arc::clone(entry));
                }
            }
            Err(error) => self.fail(entry, error),
        }
    }

    fn fail(&mut self, entry: &Entry, error: StepError) {
        self.log
            .effect(Step::failed(&entry.name, error, Duration::ZERO));
        self.halted = Err(Halt::Failed);
    }

    fn note(&mut self, index: usize, entry: &Entry, result: Result<(), StepError>, took: Duration) {
        match result {
            Ok(()) => {
                self.done.push(index);
                self.log.effect(Step::new(&entry.name, Action::Ran, took));
            }
            Err(error) => {
                self.log.effect(Step::failed(&entry.name, error, took));
                self.halted = Err(Halt::Failed);
            }
        }
    }

    /// Waits for all, and calls `well` for each that ran well.
    async fn finish(mut self, well: impl Fn(usize)) -> Result<(), Halt> {
        loop {
            self.done.drain(..).for_each(&well);
            let Some(finished) = self.crew.next().await else {
                return self.halted;
            };
            let entry = self
                .entries
                .remove(&finished.id)
                .expect("only what was started ends");
            self.note(finished.id, &entry, finished.result, finished.took);
        }
    }
}
