//! The *prepare* phase: reads all sources, and builds what depends on those that changed.
//!
//! # How it goes
//!
//! All sources start at once, concurrently. Those that are done with their first poll (an unchanged
//! stamp, say) are settled right away. *Affected* is whatever is reachable from a source that changed
//! or is still being read; nothing else is looked at, so the walk costs what may change, not what is
//! there. Each affected node waits for those of its inputs that are not settled yet. When the last
//! one is, the node is built if an input changed, and else is settled too. So each is built as soon
//! as it can be, with the new values of all its inputs.

use std::collections::{BTreeMap, VecDeque};

use super::graph::{Fresh, Graph};
use crate::crew::{Crew, Finished, Gate, Job};
use crate::live::{Draft, Generation};
use crate::panic::catch;
use crate::report::Log;
use crate::{Action, Step, StepError};

/// Prepares the next generation, or says in the log why not.
///
/// # Cancel safety
///
/// Dropping the future drops all builds and what they have built; nothing of it was visible.
pub(crate) async fn prepare(
    graph: &Graph,
    base: Generation,
    gate: &Gate,
    log: &Log,
) -> Option<Draft> {
    let mut walk = Walk {
        graph,
        draft: Draft::on(base),
        crew: Crew::new(),
        waiting: BTreeMap::new(),
        settled: VecDeque::new(),
        gate,
        log,
    };
    let prepared = walk.run().await;
    for (index, took) in walk.crew.unfinished() {
        log.component(Step::new(
            &graph.nodes[index].entry.name,
            Action::Abandoned,
            took,
        ));
    }
    prepared.ok().map(|()| walk.draft)
}

struct Walk<'a> {
    graph: &'a Graph,
    draft: Draft,
    crew: Crew<Fresh>,
    /// For each affected node, how many of its inputs are not settled yet.
    waiting: BTreeMap<usize, usize>,
    /// Nodes that were settled, and whose dependants have not been told yet.
    settled: VecDeque<usize>,
    gate: &'a Gate,
    log: &'a Log,
}

/// Something failed, and the log says what; or the reload was abandoned.
struct Refused;

impl Walk<'_> {
    async fn run(&mut self) -> Result<(), Refused> {
        for &source in &self.graph.sources {
            self.build(source)?;
        }
        // Their dependants need not be told: nobody waits for a source that is settled by now.
        self.settled.clear();
        self.mark_affected();
        let free = self.waiting.iter().filter(|(_, inputs)| **inputs == 0);
        for node in free.map(|(node, _)| *node).collect::<Vec<_>>() {
            self.visit(node)?;
        }
        loop {
            while let Some(settled) = self.settled.pop_front() {
                self.tell_dependants(settled)?;
            }
            match self.crew.next().await {
                Some(finished) => self.finish(finished)?,
                None => return Ok(()),
            }
        }
    }

    /// Fills `waiting`.
    fn mark_affected(&mut self) {
        let unsettled: Vec<usize> = self.crew.unfinished().map(|(source, _)| source).collect();
        let mut reached: Vec<usize> = self
            .draft
            .changed()
            .chain(unsettled.iter().copied())
            .collect();
        while let Some(node) = reached.pop() {
            for &dependant in &self.graph.nodes[node].dependants {
                if self.waiting.insert(dependant, 0).is_none() {
                    reached.push(dependant);
                }
            }
        }
        let affected: Vec<usize> = self.waiting.keys().copied().collect();
        for node in affected.into_iter().chain(unsettled) {
            for dependant in &self.graph.nodes[node].dependants {
                *self
                    .waiting
                    .get_mut(dependant)
                    .expect("a dependant of an affected one is one") += 1;
            }
        }
    }

    fn tell_dependants(&mut self, settled: usize) -> Result<(), Refused> {
        for &dependant in &self.graph.nodes[settled].dependants {
            let inputs = self
                .waiting
                .get_mut(&dependant)
                .expect("it was marked as affected");
            *inputs -= 1;
            if *inputs == 0 {
                self.visit(dependant)?;
            }
        }
        Ok(())
    }

    /// All inputs of this node are settled.
    fn visit(&mut self, index: usize) -> Result<(), Refused> {
        let node = &self.graph.nodes[index];
        if !node
            .inputs
            .iter()
            .any(|&input| self.draft.is_changed(input))
        {
            self.settled.push_back(index);
            return Ok(());
        }
        match catch(|| node.build.is_due(&self.draft, self.draft.committed(index))) {
            Ok(true) => self.build(index),
            Ok(false) => {
                let took = std::time::Duration::ZERO;
                let result = Ok(Fresh::Unchanged);
                self.finish(Finished {
                    id: index,
                    result,
                    took,
                })
            }
            Err(panicked) => self.fail(index, panicked),
        }
    }

    fn build(&mut self, index: usize) -> Result<(), Refused> {
        if self.gate.is_abandoned() {
            return Err(Refused);
        }
        let node = &self.graph.nodes[index];
        let committed = Some(self.draft.committed(index));
        match Job::start(&node.entry, || node.build.start(&self.draft, committed)) {
            Ok(job) => match self.crew.push(index, job) {
                Some(finished) => self.finish(finished),
                None => Ok(()),
            },
            Err(error) => self.fail(index, error),
        }
    }

    fn finish(&mut self, finished: Finished<Fresh>) -> Result<(), Refused> {
        let Finished {
            id: index,
            result,
            took,
        } = finished;
        let action = match result {
            Ok(Fresh::Unchanged) => Action::Unchanged,
            Ok(Fresh::Slot(slot)) => {
                self.draft.replace(index, slot);
                Action::Rebuilt
            }
            Err(error) => {
                self.log.component(Step::failed(
                    &self.graph.nodes[index].entry.name,
                    error,
                    took,
                ));
                return Err(Refused);
            }
        };
        self.log
            .component(Step::new(&self.graph.nodes[index].entry.name, action, took));
        self.settled.push_back(index);
        Ok(())
    }

    fn fail(&mut self, index: usize, error: StepError) -> Result<(), Refused> {
        self.finish(Finished {
            id: index,
            result: Err(error),
            took: std::time::Duration::ZERO,
        })
    }
}
