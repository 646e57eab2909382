//! Where replaced values end: outside the reload, and away from whoever held them last.

use std::any::Any;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::panic::drop_quietly;

/// The way to the reaper. Every slot has one.
#[derive(Clone)]
pub(crate) struct Reaper(mpsc::UnboundedSender<Remains>);

/// What is left of a slot that nobody holds any more.
///
/// Its drop is the end of the value wherever that happens: in the reaper's task, or in place when
/// that task has ended.
pub(crate) struct Remains {
    name: Arc<str>,
    value: Option<Box<dyn Any + Send>>,
    inputs: Option<Box<dyn Any + Send + Sync>>,
}

impl Reaper {
    /// The two ends: one for the slots, one for the task that ends values.
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Remains>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    pub(super) fn reap(&self, remains: Remains) {
        // Without a reaper the error gives the remains back, and they end here.
        drop(self.0.send(remains));
    }
}

impl Remains {
    /// The component whose value it was.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn new(
        name: Arc<str>,
        value: Box<dyn Any + Send>,
        inputs: Box<dyn Any + Send + Sync>,
    ) -> Self {
        Self {
            name,
            value: Some(value),
            inputs: Some(inputs),
        }
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        // First the value, then what it was built from: see invariant 2 of `Slot`.
        drop_quietly(&self.name, self.value.take());
        drop_quietly(&self.name, self.inputs.take());
    }
}
