//! The components of one manager, and who is built from whom.

use std::any::Any;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use super::inputs::Bound;
use super::runner::Runs;
use crate::crew::{BoxFuture, Entry};
use crate::live::{AnySlot, Draft, Home, Slot};
use crate::panic::Quiet;
use crate::{Built, Done, Reading, Source};

/// All components and effects. It grows while the app starts, and is fixed once it runs.
///
/// # Invariants
///
/// 1. The inputs of a node stand before it. So the graph has no cycle.
/// 2. Neither `inputs` nor `dependants` nor `effects` name one twice.
#[derive(Default)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) sources: Vec<usize>,
    pub(crate) effects: Vec<Effect>,
    /// The nodes that keep their first value.
    pub(crate) pinned: Vec<usize>,
}

pub(crate) struct Node {
    pub(crate) entry: Arc<Entry>,
    pub(crate) inputs: Vec<usize>,
    pub(crate) build: Quiet<Box<dyn Build>>,
    /// The nodes that are built from this one.
    pub(crate) dependants: Vec<usize>,
    /// The effects that push this one somewhere.
    pub(crate) effects: Vec<usize>,
    /// Whether its values are retired or run, or may keep values that do: those are waited for, and
    /// closed at the end.
    pub(crate) drains: bool,
    /// How its values run, if they do.
    pub(crate) runs: Option<Runs>,
}

pub(crate) struct Effect {
    pub(crate) entry: Arc<Entry>,
    pub(crate) inputs: Vec<usize>,
    pub(crate) run: Quiet<Box<dyn Run>>,
}

/// How a node is built.
pub(crate) trait Build: Send + Sync {
    /// Whether the inputs are others than those of the committed slot.
    fn is_due(&self, draft: &Draft, committed: &AnySlot) -> bool;

    fn start(&self, draft: &Draft, committed: Option<&AnySlot>) -> BoxFuture<'static, Fresh>;

    /// Whether it keeps its first value.
    fn is_pinned(&self) -> bool {
        false
    }

    /// Whether it would have another value, were it not pinned.
    fn is_pending(&self, _: &Draft) -> bool {
        false
    }

    /// The values of which the one in this slot consists, with their names, if it is a collection.
    fn members(&self, _: &AnySlot) -> Vec<(Arc<str>, AnySlot)> {
        Vec::new()
    }
}

/// What a build came to.
pub(crate) enum Fresh {
    Unchanged,
    Slot(AnySlot),
}

/// How an effect is run.
pub(crate) trait Run: Send + Sync {
    /// Whether the inputs are others than when it last ran, or it failed then.
    fn is_due(&self, draft: &Draft) -> bool;

    fn start(&self, draft: &Draft) -> BoxFuture<'static, ()>;
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
        for &input in &node.inputs {
            self.nodes[input].dependants.push(index);
            node.drains |= self.nodes[input].drains;
        }
        if node.inputs.is_empty() {
            self.sources.push(index);
        }
        if node.build.is_pinned() {
            self.pinned.push(index);
        }
        self.nodes.push(node);
    }

    /// The names of those whose inputs, as they are in the draft, would give them another value.
    pub(crate) fn pending(&self, draft: &Draft) -> Vec<Arc<str>> {
        let pinned = self.pinned.iter().map(|&index| &self.nodes[index]);
        // A comparison that panics has not found a difference; the same one refuses reloads elsewhere.
        let is_pending = |node: &&Node| {
            let pending = node.entry.watch(|| node.build.is_pending(draft));
            pending.unwrap_or(false)
        };
        let pending = pinned.filter(is_pending);
        pending.map(|node| Arc::clone(&node.entry.name)).collect()
    }

    pub(crate) fn add_effect(&mut self, effect: Effect) {
        let index = self.effects.len();
        for &input in &effect.inputs {
            self.nodes[input].effects.push(index);
        }
        self.effects.push(effect);
    }
}

impl Effect {
    pub(crate) fn new(entry: &Arc<Entry>, inputs: Vec<usize>, run: Box<dyn Run>) -> Self {
        Self {
            entry: Arc::clone(entry),
            inputs,
            run: Quiet::new(&entry.name, run),
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
            inputs,
            build: Quiet::new(&entry.name, build),
            dependants: Vec::new(),
            effects: Vec::new(),
            drains,
            runs,
        }
    }
}

/// A component that is read from outside.
pub(super) struct FromSource<S> {
    pub(super) home: Arc<Home>,
    pub(super) source: Arc<S>,
}

impl<S: Source> Build for FromSource<S> {
    fn is_due(&self, _: &Draft, _: &AnySlot) -> bool {
        true
    }

    fn start(&self, _: &Draft, committed: Option<&AnySlot>) -> BoxFuture<'static, Fresh> {
        let first = committed.is_none();
        let stamp = committed.and_then(|slot| slot.stamp());
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
            let slot = Slot::new(&home, value, new_stamp, Box::new(()));
            Ok(match new_stamp.is_some() && new_stamp == stamp {
                true => Fresh::Unchanged,
                false => Fresh::Slot(slot),
            })
        })
    }
}

/// A component that is computed from others.
pub(super) struct Derived<B, F> {
    pub(super) home: Arc<Home>,
    pub(super) inputs: B,
    pub(super) build: F,
}

impl<B, F, Fut> Build for Derived<B, F>
where
    B: Bound,
    F: FnOnce(B::Values) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output: Built> + Send + 'static,
{
    fn is_due(&self, draft: &Draft, committed: &AnySlot) -> bool {
        let seen: &dyn Any = committed.inputs();
        let seen = seen
            .downcast_ref()
            .expect("a slot keeps the inputs of its own component");
        !self.inputs.is_unchanged(draft, seen)
    }

    fn start(&self, draft: &Draft, _: Option<&AnySlot>) -> BoxFuture<'static, Fresh> {
        let (values, seen) = self.inputs.values(draft);
        let future = self.build.clone()(values);
        let home = Arc::clone(&self.home);
        Box::pin(async move {
            let value = future.await.into_result()?;
            Ok(Fresh::Slot(Slot::new(&home, value, None, Box::new(seen))))
        })
    }
}

/// An effect that is handed values.
pub(super) struct Applied<B: Bound, F> {
    pub(super) inputs: B,
    pub(super) effect: F,
    /// The inputs with which it last ran well; `None` while it runs and when it failed, since nobody
    /// knows how far it came.
    pub(super) seen: Arc<Mutex<Option<B::Seen>>>,
}

impl<B, F, Fut> Run for Applied<B, F>
where
    B: Bound,
    F: FnOnce(B::Values) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output: Done> + Send + 'static,
{
    fn is_due(&self, draft: &Draft) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        !seen
            .as_ref()
            .is_some_and(|seen| self.inputs.is_unchanged(draft, seen))
    }

    fn start(&self, draft: &Draft) -> BoxFuture<'static, ()> {
        let (values, seen) = self.inputs.values(draft);
        let future = self.effect.clone()(values);
        let last = Arc::clone(&self.seen);
        let before = last.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(before);
        Box::pin(async move {
            future.await.into_result()?;
            *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
            Ok(())
        })
    }
}
