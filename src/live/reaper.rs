//! Where replaced values and old errors end: outside the reload, and away from whoever held them last.

use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::ready;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::mpsc::{self, error::SendError};

use super::slot::{Home, Inputs};
use crate::crew::BoxFuture;
use crate::log::event;
use crate::panic::{Quiet, catch, drop_quietly};
use crate::{BoxError, woken};

/// The way to the reaper. All components share it.
pub(crate) struct Reaper {
    arrivals: mpsc::UnboundedSender<Arrival>,
    to_retire: Arc<ToRetire>,
    /// Whether there is the task, or was.
    runs: AtomicBool,
}

/// How the app ends a value of a component, which is handed to it by move.
pub(crate) type Retire = Quiet<Box<RetireFn>>;
pub(crate) type RetireFn = dyn Fn(Box<dyn Any + Send>) -> BoxFuture<'static, ()> + Send + Sync;

/// How many values there are of each component that has a `retire`, from their building until that
/// has ended.
#[derive(Default)]
pub(crate) struct ToRetire(Mutex<BTreeMap<Arc<str>, usize>>);

/// What ends in the reaper's task; or in place, when that task has ended.
pub(crate) enum Arrival {
    Value(Remains),
    /// What a function of the app's has returned.
    Error(Quiet<BoxError>),
}

/// What is left of a slot that nobody holds any more.
///
/// Its drop is the end of the value wherever that happens: in the reaper's task, or in place when
/// that task has ended.
pub(crate) struct Remains {
    home: Arc<Home>,
    value: Option<Box<dyn Any + Send>>,
    /// What has to stay for as long as the value is there.
    kept_by: [Option<Inputs>; 2],
}

impl Reaper {
    /// The two ends: one for the slots, one for the task that ends what arrives.
    pub(crate) fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<Arrival>) {
        let (arrivals, receiver) = mpsc::unbounded_channel();
        let to_retire = Arc::default();
        let reaper = Self {
            arrivals,
            to_retire,
            runs: AtomicBool::new(false),
        };
        (Arc::new(reaper), receiver)
    }

    pub(crate) fn to_retire(&self) -> &Arc<ToRetire> {
        &self.to_retire
    }

    pub(super) fn reap(&self, remains: Remains) {
        self.take(Arrival::Value(remains));
    }

    /// To be called when the task is about to begin.
    pub(crate) fn runs(&self) {
        self.runs.store(true, Ordering::Relaxed);
    }

    /// Takes an error that a function of this component or step has returned, and nobody asks for any
    /// more.
    pub(crate) fn forget(&self, name: &Arc<str>, error: BoxError) {
        let error = Arrival::Error(Quiet::new(name, error));
        // Before the task runs there is no reload that it could be in the way of; and there may be many
        // until then, if the app starts by trying again and again.
        match self.runs.load(Ordering::Relaxed) {
            true => self.take(error),
            false => end_here(error),
        }
    }

    fn take(&self, arrival: Arrival) {
        match self.arrivals.send(arrival) {
            Ok(()) => woken::note(),
            // Without a reaper the error gives it back.
            Err(SendError(arrival)) => end_here(arrival),
        }
    }
}

thread_local! {
    /// What is to end on this thread after what ends there right now.
    static NEXT: RefCell<Option<VecDeque<Arrival>>> = const { RefCell::new(None) };
}

/// Ends something on this thread, and after it what it was the last to hold. One after the other, and
/// not one inside the other: a chain of values may be longer than the stack is deep.
fn end_here(arrival: Arrival) {
    let mut first = Some(arrival);
    let is_outermost = NEXT.try_with(|next| match &mut *next.borrow_mut() {
        Some(next) => {
            next.extend(first.take());
            false
        }
        none => {
            *none = Some(VecDeque::new());
            true
        }
    });
    // While a thread ends it remembers nothing any more.
    if is_outermost != Ok(true) {
        return;
    }
    let mut ending = first;
    while let Some(arrival) = ending {
        arrival.end();
        ending = NEXT.with_borrow_mut(|next| next.as_mut().and_then(VecDeque::pop_front));
    }
    NEXT.set(None);
}

impl Arrival {
    /// The component or step that it is of.
    pub(crate) fn name(&self) -> &Arc<str> {
        match self {
            Self::Value(remains) => remains.name(),
            Self::Error(error) => error.name(),
        }
    }

    /// Drops it. Not even a panic of whoever hears from the log that it panicked comes through.
    pub(crate) fn end(self) {
        let _ = catch(|| drop(self));
    }
}

impl ToRetire {
    pub(super) fn add(&self, name: &Arc<str>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(Arc::clone(name)).or_default() += 1;
    }

    fn remove(&self, name: &Arc<str>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get_mut(name).expect("each is added once");
        *count -= 1;
        if *count == 0 {
            counts.remove(name);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.is_empty()
    }

    /// The components, and how many values of each.
    pub(crate) fn left(&self) -> BTreeMap<Arc<str>, usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Remains {
    pub(super) fn new(
        home: &Arc<Home>,
        value: Box<dyn Any + Send>,
        kept_by: [Option<Inputs>; 2],
    ) -> Self {
        Self {
            home: Arc::clone(home),
            value: Some(value),
            kept_by,
        }
    }

    /// The component whose value it was.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.home.name
    }

    pub(crate) fn is_to_retire(&self) -> bool {
        self.home.retire.get().is_some()
    }

    /// Hands the value to the app's function, if that is still there.
    pub(crate) fn retire(&mut self) -> BoxFuture<'static, ()> {
        let retire = self.home.retire.get().and_then(Weak::upgrade);
        match retire {
            Some(retire) => retire(self.value.take().expect("a value is retired once")),
            None => Box::pin(ready(Ok(()))),
        }
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        if self.is_to_retire() && self.value.is_some() {
            event!(
                ERROR,
                "a value of component `{}` is dropped without having been retired: its manager has \
                 ended, or never ran",
                self.name(),
            );
        }
        // First the value, then what it was built from: see invariant 2 of `Slot`.
        drop_quietly(&self.home.name, self.value.take());
        for inputs in &mut self.kept_by {
            drop_quietly(&self.home.name, inputs.take());
        }
        if self.is_to_retire() {
            self.home.reaper.to_retire.remove(&self.home.name);
        }
    }
}
