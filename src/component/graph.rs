//! The components of one manager, and the inputs of each.

use std::collections::BTreeMap;
use std::future::{Future, ready};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::inputs::Bound;
use super::runner::Runs;
use crate::crew::{BoxFuture, Entry};
use crate::live::{AnySlot, Draft, DraftCell, Home, Inputs, Origin, Slot};
use crate::panic::{Quiet, drop_quietly};
use crate::{Built, Done, KeyCounts, Reading, Source, Step};

/// All components and effects. It grows while the app starts, and is fixed once it runs.
///
/// # Invariants
///
/// 1. The inputs of a node stand before it, so the graph has no cycle.
/// 2. `inputs`, `dependants` and `pushes` name no index twice.
#[derive(Default)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) sources: Vec<usize>,
    pub(crate) effects: Vec<Effect>,
    /// The effects that read a node, for the few nodes that have any.
    pushes: BTreeMap<usize, Vec<usize>>,
    /// The nodes that keep their first value.
    pub(crate) pinned: Vec<usize>,
    /// `true` if any node drains.
    pub(crate) drains: bool,
}

pub(crate) struct Node {
    pub(crate) entry: Arc<Entry>,
    pub(crate) inputs: Box<[usize]>,
    pub(crate) build: Box<dyn Build>,
    /// The nodes that are built from this one.
    pub(crate) dependants: Vec<usize>,
    /// `true` if its values are retired or run, or can keep values that are: the manager waits for
    /// those, and closes them at the end.
    pub(crate) drains: bool,
    /// The runner of its values, if they run.
    pub(crate) runs: Option<Box<Runs>>,
}

pub(crate) struct Effect {
    pub(crate) entry: Arc<Entry>,
    pub(crate) inputs: Vec<usize>,
    pub(crate) run: Box<dyn Run>,
}

/// Builds a node. Each function of the app in it is in a [`Quiet`] of its own.
pub(crate) trait Build: Send + Sync {
    /// Returns `true` if the inputs differ from those of the committed slot.
    fn is_due(&self, draft: &DraftCell) -> bool;

    fn start(&self, draft: &DraftCell) -> BoxFuture<'static, Fresh>;

    /// Returns `true` if the node keeps its first value.
    fn is_pinned(&self) -> bool {
        false
    }

    /// Returns `true` if the node would have another value, were it not pinned.
    fn is_pending(&self, _: &DraftCell) -> bool {
        false
    }
}

/// The result of a build.
pub(crate) enum Fresh {
    Unchanged,
    Slot(AnySlot),
    /// The slot of a collection, and its key counts.
    Collection(AnySlot, Box<KeyCounts>),
}

/// Runs an effect. Each function of the app in it is in a [`Quiet`] of its own.
pub(crate) trait Run: Send + Sync {
    /// Returns `true` if the inputs differ from those of the last run, or if that run failed.
    fn is_due(&self, draft: &DraftCell) -> bool;

    fn start(&self, draft: &DraftCell) -> BoxFuture<'static, ()>;

    /// Records that the last run ended well. Not part of the run, because an abandoned run can end
    /// later, and must not count then.
    fn ran_well(&self);
}

impl Graph {
    /// The components that are closed at the end, with their names.
    pub(crate) fn draining(&self) -> impl Iterator<Item = (usize, Arc<str>)> {
        let nodes = self.nodes.iter().enumerate();
        nodes
            .filter(|(_, node)| node.drains)
            .map(|(index, node)| (index, Arc::clone(&node.entry.name)))
    }

    pub(crate) fn add_node(&mut self, mut node: Node) {
        let index = self.nodes.len();
        for &input in &*node.inputs {
            self.nodes[input].dependants.push(index);
            node.drains |= self.nodes[input].drains;
        }
        if node.inputs.is_empty() {
            self.sources.push(index);
        }
        if node.build.is_pinned() {
            self.pinned.push(index);
        }
        self.drains |= node.drains;
        self.nodes.push(node);
    }

    /// The names of the pinned components whose inputs, as they are in the draft, would give them
    /// another value.
    ///
    /// # Errors
    ///
    /// Returns the step of the first comparison that panics.
    pub(crate) fn pending(&self, draft: &DraftCell) -> Result<Vec<Arc<str>>, Step> {
        let mut names = Vec::new();
        for Node { entry, build, .. } in self.pinned.iter().map(|&index| &self.nodes[index]) {
            match entry.watch(|| build.is_pending(draft)) {
                Ok(true) => names.push(Arc::clone(&entry.name)),
                Ok(false) => {}
                Err(error) => return Err(Step::failed(entry, error, Duration::ZERO)),
            }
        }
        Ok(names)
    }

    /// The effects that read these nodes.
    pub(crate) fn effects_of(&self, nodes: &[usize]) -> impl Iterator<Item = usize> {
        let pushes = nodes.iter().filter_map(|node| self.pushes.get(node));
        pushes.flatten().copied()
    }

    /// Frees the spare capacity of the lists.
    pub(crate) fn shrink(&mut self) {
        self.nodes.shrink_to_fit();
        self.sources.shrink_to_fit();
        for node in &mut self.nodes {
            node.dependants.shrink_to_fit();
        }
    }

    pub(crate) fn add_effect(&mut self, effect: Effect) {
        let index = self.effects.len();
        for &input in &effect.inputs {
            self.pushes.entry(input).or_default().push(index);
        }
        self.effects.push(effect);
    }
}

impl Effect {
    pub(crate) fn new(entry: &Arc<Entry>, inputs: Vec<usize>, run: Box<dyn Run>) -> Self {
        Self {
            entry: Arc::clone(entry),
            inputs,
            run,
        }
    }
}

impl Node {
    pub(crate) fn new(
        entry: &Arc<Entry>,
        inputs: Vec<usize>,
        build: Box<dyn Build>,
        drains: bool,
        runs: Option<Runs>,
    ) -> Self {
        Self {
            entry: Arc::clone(entry),
            inputs: inputs.into(),
            build,
            dependants: Vec::new(),
            drains,
            runs: runs.map(Box::new),
        }
    }
}

/// The record of the inputs that a slot was built from, in the form that its component's inputs gave
/// it.
pub(super) fn seen<S: 'static>(inputs: Option<&Inputs>) -> &S {
    let seen = inputs.and_then(|inputs| inputs.downcast_ref());
    seen.expect("a slot keeps the inputs of its own component")
}

/// A component that is read from outside.
pub(super) struct FromSource<S> {
    pub(super) home: Arc<Home>,
    pub(super) source: Arc<Quiet<S>>,
}

impl<S: Source> Build for FromSource<S> {
    fn is_due(&self, _: &DraftCell) -> bool {
        true
    }

    fn start(&self, draft: &DraftCell) -> BoxFuture<'static, Fresh> {
        let committed = |draft: &Draft| {
            let committed = draft.committed(self.home.index);
            committed.map(|slot| slot.stamp())
        };
        let Some(committed) = draft.read(committed) else {
            return given_up();
        };
        let (first, stamp) = (committed.is_none(), committed.flatten());
        let (home, source) = (Arc::clone(&self.home), Arc::clone(&self.source));
        Box::pin(async move {
            let (value, new_stamp) = match source.read(stamp).await? {
                Reading::Unchanged if first => {
                    return Err("the source says `Unchanged` before it was ever read".into());
                }
                Reading::Unchanged => return Ok(Fresh::Unchanged),
                Reading::Stamped(value, stamp) => (value, Some(stamp)),
                Reading::Value(value) => (value, None),
            };
            // In a slot even if it is not needed, so that it is retired.
            let slot = Slot::new(&home, value, Origin::Read(new_stamp), None);
            Ok(match new_stamp.is_some() && new_stamp == stamp {
                true => Fresh::Unchanged,
                false => Fresh::Slot(slot),
            })
        })
    }
}

/// The build of an abandoned reload, which counts for nothing.
pub(super) fn given_up() -> BoxFuture<'static, Fresh> {
    Box::pin(ready(Ok(Fresh::Unchanged)))
}

/// A component that is computed from others.
pub(super) struct Derived<B, F> {
    pub(super) home: Arc<Home>,
    pub(super) inputs: B,
    pub(super) build: Quiet<F>,
}

/// Returns `true` if these inputs differ from those that the component's committed slot was built from.
pub(super) fn is_due<B: Bound>(index: usize, inputs: &B, draft: &DraftCell) -> bool {
    let take = |draft: &Draft| {
        let committed = draft.committed(index)?;
        Some((inputs.hold(draft), committed.inputs().cloned()))
    };
    let Some((held, committed)) = draft.read(take).flatten() else {
        return false;
    };
    let (seen, _) = seen::<(B::Seen, B::Kept)>(committed.as_ref());
    !inputs.is_unchanged(&held, seen)
}

impl<B, F, Fut> Build for Derived<B, F>
where
    B: Bound,
    F: FnOnce(B::Values) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output: Built> + Send + 'static,
{
    fn is_due(&self, draft: &DraftCell) -> bool {
        is_due(self.home.index, &self.inputs, draft)
    }

    fn start(&self, draft: &DraftCell) -> BoxFuture<'static, Fresh> {
        let Some(held) = draft.read(|draft| self.inputs.hold(draft)) else {
            return given_up();
        };
        let (values, seen, kept) = self.inputs.values(held);
        let future = F::clone(&self.build)(values);
        let home = Arc::clone(&self.home);
        Box::pin(async move {
            let value = future.await.into_result()?;
            let inputs = Origin::Built(Arc::new((seen, kept)));
            Ok(Fresh::Slot(Slot::new(&home, value, inputs, None)))
        })
    }
}

/// An effect that gets values.
pub(super) struct Applied<B: Bound, F> {
    pub(super) inputs: B,
    pub(super) effect: Quiet<F>,
    pub(super) pushed: Mutex<Pushed<B::Seen>>,
}

/// The inputs of the runs of an effect.
pub(super) struct Pushed<S> {
    /// The inputs of the last run, if it ended well; `None` while it runs, and when it failed, because it
    /// is unknown how far it came.
    well: Option<S>,
    /// The inputs of the run that was started last.
    tried: Option<S>,
}

impl<S> Default for Pushed<S> {
    fn default() -> Self {
        Self {
            well: None,
            tried: None,
        }
    }
}

impl<B: Bound, F> Applied<B, F> {
    fn pushed(&self) -> MutexGuard<'_, Pushed<B::Seen>> {
        self.pushed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B, F, Fut> Run for Applied<B, F>
where
    B: Bound,
    F: FnOnce(B::Values) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output: Done> + Send + 'static,
{
    fn is_due(&self, draft: &DraftCell) -> bool {
        let Some(held) = draft.read(|draft| self.inputs.hold(draft)) else {
            return true;
        };
        let pushed = self.pushed();
        let well = pushed.well.as_ref();
        !well.is_some_and(|seen| self.inputs.is_unchanged(&held, seen))
    }

    fn start(&self, draft: &DraftCell) -> BoxFuture<'static, ()> {
        let Some(held) = draft.read(|draft| self.inputs.hold(draft)) else {
            return Box::pin(ready(Ok(())));
        };
        let (values, seen, _) = self.inputs.values(held);
        let mut pushed = self.pushed();
        let before = (pushed.well.take(), pushed.tried.replace(seen));
        drop(pushed);
        let name = self.effect.name();
        // Each on its own, because a second panic during one drop would abort the process.
        drop_quietly(name, before.0);
        drop_quietly(name, before.1);
        let future = F::clone(&self.effect)(values);
        Box::pin(async move { future.await.into_result() })
    }

    fn ran_well(&self) {
        let mut pushed = self.pushed();
        pushed.well = pushed.tried.take();
    }
}
