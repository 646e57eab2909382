//! The *prepare* phase: reads all sources, and builds what depends on those that changed.
//!
//! # How it works
//!
//! All sources start at once, concurrently. A source that its first poll completes (with an unchanged
//! stamp, say) is settled at once. A node is *affected* if it can be reached from a source that changed
//! or is still being read. Nothing else is looked at, so the walk costs what can change, not the size
//! of the graph. Each affected node waits for those of its inputs that are not settled yet. When the
//! last one settles, the node is built if an input changed, and is settled otherwise. So each node is
//! built as early as possible, with the new values of all its inputs.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::graph::{Fresh, Graph};
use crate::crew::{Clock, Crew, Finished, Gate, Made};
use crate::live::{Draft, DraftCell};
use crate::report::Log;
use crate::{Action, KeyCounts, Stamp, Step, StepError};

/// The result of preparing a draft.
pub(crate) enum Prepared {
    /// The draft is ready to be committed.
    Ready,
    /// A step failed, which the log says, or the reload was abandoned.
    Refused,
    /// The sources are as they were when this one failed its probation.
    HeldBack(usize),
}

/// Prepares the next generation. If it `refuses` what is held back, nothing is built from that. Clears
/// `held_back` when one of its sources has changed.
///
/// # Cancel safety
///
/// Dropping the future drops all builds. Nothing of the draft was visible.
pub(crate) async fn prepare(
    graph: &Graph,
    draft: &DraftCell,
    held_back: &mut Option<HeldBack>,
    refuses: bool,
    clock: Clock,
    gate: &Gate,
    log: &Log,
) -> Prepared {
    let mut walk = Walk {
        graph,
        draft,
        crew: Crew::new(clock),
        waiting: BTreeMap::new(),
        free: VecDeque::new(),
        settled: VecDeque::new(),
        gate,
        log,
    };
    let prepared = walk.run(held_back, refuses).await;
    for (index, took) in walk.crew.unfinished() {
        log.add(Step::new(
            &graph.nodes[index].entry,
            Action::Abandoned,
            took,
        ));
    }
    prepared.unwrap_or(Prepared::Refused)
}

/// Sources that had changed in a generation that failed its probation, with their stamps, which stay
/// the same until a source is edited.
pub(crate) type HeldBack = Vec<(usize, Stamp)>;

struct Walk<'a> {
    graph: &'a Graph,
    draft: &'a DraftCell,
    crew: Crew<Fresh>,
    /// The number of inputs of each affected node that are not settled yet.
    waiting: BTreeMap<usize, usize>,
    /// Nodes whose inputs are all settled, and at least one of these has changed.
    free: VecDeque<usize>,
    /// Settled nodes that their dependants still count as unsettled.
    settled: VecDeque<usize>,
    gate: &'a Gate,
    log: &'a Log,
}

/// A step failed, which the log says, or the reload was abandoned.
struct Refused;

impl Walk<'_> {
    async fn run(
        &mut self,
        held_back: &mut Option<HeldBack>,
        refuses: bool,
    ) -> Result<Prepared, Refused> {
        for &source in &self.graph.sources {
            self.crew.breathe().await;
            self.build(source)?;
        }
        if let Some(held) = held_back {
            // Before anything is built from the sources, so that pools are not opened again and again.
            while let Some(finished) = self.crew.next().await {
                self.finish(finished)?;
            }
            match self.is_held_back(held) {
                Some(source) if refuses => return Ok(Prepared::HeldBack(source)),
                Some(_) => {}
                None => *held_back = None,
            }
        }
        // No node waits for a source that is settled by now, so its dependants need no update.
        self.settled.clear();
        self.mark_affected();
        loop {
            if let Some(node) = self.free.pop_front() {
                self.crew.breathe().await;
                self.build(node)?;
            } else if !self.settled.is_empty() {
                self.tell_dependants()?;
            } else if let Some(finished) = self.crew.next().await {
                self.finish(finished)?;
            } else {
                return Ok(Prepared::Ready);
            }
        }
    }

    /// Returns the first of these sources if all of them still have their stamps.
    fn is_held_back(&self, held_back: &HeldBack) -> Option<usize> {
        let (first, _) = held_back.first()?;
        let are_all = |draft: &Draft| {
            let is = |&(source, stamp): &_| draft.slot(source).stamp() == Some(stamp);
            held_back.iter().all(is)
        };
        self.draft.read(are_all)?.then_some(*first)
    }

    /// Fills `waiting`, and `free` with the nodes that wait for no input.
    fn mark_affected(&mut self) {
        let nodes = &self.graph.nodes;
        let unsettled: Vec<usize> = self.crew.unfinished().map(|(source, _)| source).collect();
        let changed = self.draft.read(|draft| draft.changed().to_vec());
        let mut reached = changed.unwrap_or_default();
        if unsettled.is_empty() && reached.is_empty() {
            return;
        }
        reached.extend(&unsettled);
        while let Some(node) = reached.pop() {
            for &dependant in &nodes[node].dependants {
                if self.waiting.insert(dependant, 0).is_none() {
                    reached.push(dependant);
                }
            }
        }
        let affected: Vec<usize> = self.waiting.keys().copied().collect();
        for node in affected.into_iter().chain(unsettled) {
            for dependant in &nodes[node].dependants {
                let inputs = self.waiting.get_mut(dependant);
                *inputs.expect("a dependant of an affected node is affected") += 1;
            }
        }
        // An input of these nodes has changed, or they would wait.
        let free = self.waiting.iter().filter(|(_, inputs)| **inputs == 0);
        self.free.extend(free.map(|(node, _)| *node));
        self.crew.look();
    }

    /// Updates the dependants of all settled nodes. A dependant whose inputs are all settled now is free
    /// to be built if one of them changed, and is settled too otherwise.
    fn tell_dependants(&mut self) -> Result<(), Refused> {
        let Self {
            graph: Graph { nodes, .. },
            settled,
            waiting,
            free,
            ..
        } = self;
        let told = self.draft.read(|draft| {
            while let Some(node) = settled.pop_front() {
                for &dependant in &nodes[node].dependants {
                    let inputs = waiting.get_mut(&dependant);
                    let inputs = inputs.expect("it was marked as affected");
                    *inputs -= 1;
                    if *inputs > 0 {
                        continue;
                    }
                    let mut inputs = nodes[dependant].inputs.iter();
                    match inputs.any(|&input| draft.is_changed(input)) {
                        true => free.push_back(dependant),
                        false => settled.push_back(dependant),
                    }
                }
            }
        });
        self.crew.look();
        told.ok_or(Refused)
    }

    /// Builds the node if its inputs changed.
    fn build(&mut self, index: usize) -> Result<(), Refused> {
        if self.gate.is_given_up() {
            return Err(Refused);
        }
        let node = &self.graph.nodes[index];
        let made = || match node.build.is_due(self.draft) {
            true => Made::Future(node.build.start(self.draft)),
            false => Made::Ready(Fresh::Unchanged),
        };
        match self.crew.push(index, &node.entry, made) {
            Some(finished) => self.finish(finished),
            None => Ok(()),
        }
    }

    fn finish(&mut self, finished: Finished<Fresh>) -> Result<(), Refused> {
        let Finished {
            id: index,
            result,
            took,
        } = finished;
        match result {
            Ok(Fresh::Unchanged) => self.settle(index, Action::Unchanged, took, None),
            Ok(Fresh::Slot(slot)) => {
                self.draft.replace(index, slot);
                self.settle(index, Action::Rebuilt, took, None);
            }
            Ok(Fresh::Collection(slot, keys)) => {
                self.draft.replace(index, slot);
                self.settle(index, Action::Rebuilt, took, Some(keys));
            }
            Err(error) => return self.refuse(index, error, took),
        }
        Ok(())
    }

    fn settle(
        &mut self,
        index: usize,
        action: Action,
        took: Duration,
        keys: Option<Box<KeyCounts>>,
    ) {
        let entry = &self.graph.nodes[index].entry;
        self.log.add(Step {
            keys,
            ..Step::new(entry, action, took)
        });
        self.settled.push_back(index);
    }

    fn refuse(&self, index: usize, error: StepError, took: Duration) -> Result<(), Refused> {
        self.log
            .add(Step::failed(&self.graph.nodes[index].entry, error, took));
        Err(Refused)
    }
}
