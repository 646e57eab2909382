//! The queue in which replaced values and old errors end, outside the reload and away from their
//! last holder.

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

/// The sending side of the reaper's queue, shared by all components.
pub(crate) struct Reaper {
    arrivals: mpsc::UnboundedSender<Arrival>,
    to_retire: Arc<ToRetire>,
    /// `true` once the reaper's task is about to run, and after it has ended.
    runs: AtomicBool,
}

/// The app's function that ends a value of a component. The value is moved into it.
pub(crate) type Retire = Quiet<Box<RetireFn>>;
pub(crate) type RetireFn = dyn Fn(Box<dyn Any + Send>) -> BoxFuture<'static, ()> + Send + Sync;

/// For each component with a `retire`, the number of its values that were built and whose
/// retirement has not ended.
#[derive(Default)]
pub(crate) struct ToRetire(Mutex<BTreeMap<Arc<str>, usize>>);

/// Something to drop or retire in the reaper's task, or in place if that task has ended.
pub(crate) enum Arrival {
    Value(Remains),
    /// An error that an application function returned.
    Error(Quiet<BoxError>),
}

/// The content of a slot that has lost its last holder.
///
/// Dropping it ends the value: in the reaper's task, or in place if that task has ended.
pub(crate) struct Remains {
    home: Arc<Home>,
    value: Option<Box<dyn Any + Send>>,
    /// The inputs that must outlive the value.
    kept_by: [Option<Inputs>; 2],
}

impl Reaper {
    /// Creates the sender for the slots and the receiver for the reaper's task.
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

    /// Must be called when the reaper's task is about to run.
    pub(crate) fn runs(&self) {
        self.runs.store(true, Ordering::Relaxed);
    }

    /// Takes an error that a function of this component or step returned and that is not needed any
    /// more.
    pub(crate) fn forget(&self, name: &Arc<str>, error: BoxError) {
        let error = Arrival::Error(Quiet::new(name, error));
        // Before the task runs, dropping in place delays no reload, and errors do not pile up in
        // the queue of an app that retries its start.
        match self.runs.load(Ordering::Relaxed) {
            true => self.take(error),
            false => end_here(error),
        }
    }

    fn take(&self, arrival: Arrival) {
        match self.arrivals.send(arrival) {
            Ok(()) => woken::note(),
            // The receiver is gone, and the error returns the arrival.
            Err(SendError(arrival)) => end_here(arrival),
        }
    }
}

thread_local! {
    /// The arrivals that end on this thread after the one that ends right now.
    static NEXT: RefCell<Option<VecDeque<Arrival>>> = const { RefCell::new(None) };
}

/// Ends an arrival on this thread, and then every arrival whose last holder it was. They end in a
/// loop instead of by recursion, because a chain of values may be longer than the stack allows.
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
    // Access fails while the thread's locals are destroyed; the arrival was dropped with the
    // closure.
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
    /// The component or step that the arrival belongs to.
    pub(crate) fn name(&self) -> &Arc<str> {
        match self {
            Self::Value(remains) => remains.name(),
            Self::Error(error) => error.name(),
        }
    }

    /// Drops the arrival. Catches every panic, also that of a log subscriber that receives the
    /// first one.
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

    /// The number of values still to retire, by component.
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

    /// The component that owned the value.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.home.name
    }

    pub(crate) fn is_to_retire(&self) -> bool {
        self.home.retire.get().is_some()
    }

    /// Calls the app's function with the value, if that function still exists.
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
        // The value first, then its inputs: invariant 2 of `Slot`.
        drop_quietly(&self.home.name, self.value.take());
        for inputs in &mut self.kept_by {
            drop_quietly(&self.home.name, inputs.take());
        }
        if self.is_to_retire() {
            self.home.reaper.to_retire.remove(&self.home.name);
        }
    }
}
