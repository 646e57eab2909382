//! The components of one manager, and who is built from whom.

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
/// 1. The inputs of a node stand before it. So the graph has no cycle.
/// 2. Neither `inputs` nor `dependants` nor `pushes` name one twice.
#[derive(Default)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) sources: Vec<usize>,
    pub(crate) effects: Vec<Effect>,
    /// The effects that push a node somewhere, of the few nodes that have any.
    pushes: BTreeMap<usize, Vec<usize>>,
    /// The nodes that keep their first value.
    pub(crate) pinned: Vec<usize>,
    /// Whether there is a node that drains.
    pub(crate) drains: bool,
}

pub(crate) struct Node {
    pub(crate) entry: Arc<Entry>,
    pub(crate) inputs: Box<[usize]>,
    pub(crate) build: Box<dyn Build>,
    /// The nodes that are built from this one.
    pub(crate) dependants: Vec<usize>,
    /// Whether its values are retired or run, or may keep values that do: those are waited for, and
    /// closed at the end.
    pub(crate) drains: bool,
    /// How its values run, if they do.
    pub(crate) runs: Option<Box<Runs>>,
}

pub(crate) struct Effect {
    pub(crate) entry: Arc<Entry>,
    pub(crate) inputs: Vec<usize>,
    pub(crate) run: Box<dyn Run>,
}

/// How a node is built. Each function of the app's in it is in a [`Quiet`] of its own.
pub(crate) trait Build: Send + Sync {
    /// Whether the inputs are others than those of the committed slot.
    fn is_due(&self, draft: &DraftCell) -> bool;

    fn start(&self, draft: &DraftCell) -> BoxFuture<'static, Fresh>;

    /// Whether it keeps its first value.
    fn is_pinned(&self) -> bool {
        false
    }

    /// Whether it would have another value, were it not pinned.
    fn is_pending(&self, _: &DraftCell) -> bool {
        false
    }
}

/// What a build came to.
pub(crate) enum Fresh {
    Unchanged,
    Slot(AnySlot),
    /// The slot of a collection, and what became of its keys.
    Collection(AnySlot, Box<KeyCounts>),
}

/// How an effect is run. Each function of the app's in it is in a [`Quiet`] of its own.
pub(crate) trait Run: Send + Sync {
    /// Whether the inputs are others than when it last ran, or it failed then.
    fn is_due(&self, draft: &DraftCell) -> bool;

    fn start(&self, draft: &DraftCell) -> BoxFuture<'static, ()>;

    /// The last run has ended well. Not part of the run, because one that was given up may come to its
    /// end later, and counts for nothing then.
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

    /// The names of those whose inputs, as they are in the draft, would give them another value.
    ///
    /// # Errors
    ///
    /// The first comparison that panics.
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

    /// The effects that push these nodes somewhere.
    pub(crate) fn effects_of(&self, nodes: &[usize]) -> impl Iterator<Item = usize> {
        let pushes = nodes.iter().filter_map(|node| self.pushes.get(node));
        pushes.flatten().copied()
    }

    /// Gives back the room for more.
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

/// What a slot was built from, in the form that the inputs of its component have given it.
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
            // In a slot also if it is not needed: so it is retired.
            let slot = Slot::new(&home, value, Origin::Read(new_stamp), None);
            Ok(match new_stamp.is_some() && new_stamp == stamp {
                true => Fresh::Unchanged,
                false => Fresh::Slot(slot),
            })
        })
    }
}

/// Stands for the build of a reload that was given up, which counts for nothing.
pub(super) fn given_up() -> BoxFuture<'static, Fresh> {
    Box::pin(ready(Ok(Fresh::Unchanged)))
}

/// A component that is computed from others.
pub(super) struct Derived<B, F> {
    pub(super) home: Arc<Home>,
    pub(super) inputs: B,
    pub(super) build: Quiet<F>,
}

/// Whether these inputs are others than those that the committed slot of the component was built from.
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

/// An effect that is handed values.
pub(super) struct Applied<B: Bound, F> {
    pub(super) inputs: B,
    pub(super) effect: Quiet<F>,
    pub(super) pushed: Mutex<Pushed<B::Seen>>,
}

/// The inputs of the runs of an effect.
pub(super) struct Pushed<S> {
    /// Those with which it last ran well; `None` while it runs and when it failed, since nobody knows
    /// how far it came.
    well: Option<S>,
    /// Those with which it was started last.
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
        // Values of the app's: each apart, because the second panic of a drop would end the process.
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
