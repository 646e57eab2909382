//! Where one built value lives, together with what it was built from.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use super::publication::Publication;
use super::reaper::{Reaper, Remains, Retire};
use crate::Stamp;

/// One value of a component, with its stamp and the inputs that it was built from.
///
/// # Invariants
///
/// 1. `value` and `inputs` are `Some` until `drop` hands them to the reaper.
/// 2. The inputs outlive the value: the reaper lets them go when it is done with the value, so
///    what was built from something is always gone before that something.
pub(crate) struct Slot<T: Send + Sync + 'static> {
    home: Arc<Home>,
    value: Option<T>,
    stamp: Option<Stamp>,
    inputs: Option<Box<dyn Any + Send + Sync>>,
    /// No other slot in this process has the number.
    serial: u64,
    /// Whether it is or was part of a generation.
    shown: AtomicBool,
}

/// The component that slots belong to.
pub(crate) struct Home {
    pub(crate) name: Arc<str>,
    /// Its place in each generation.
    pub(crate) index: usize,
    /// Weak, because values keep the leases that they were built from: a strong one would hold all
    /// values for ever.
    pub(crate) publication: Weak<Publication>,
    pub(crate) reaper: Reaper,
    /// How the app ends a value. Set before the first one is built, if at all.
    pub(crate) retire: OnceLock<Arc<Retire>>,
    /// The member of a collection whose slots these are.
    pub(crate) member: Option<Member>,
}

/// Finds a member in a slot of its collection: the serial number of its value.
pub(crate) type Member = Box<dyn Fn(&AnySlot) -> Option<u64> + Send + Sync>;

/// Stands in a generation for what was closed at the end of the run.
pub(crate) struct Closed(pub(super) Arc<str>);

/// A slot whose type is known only to the handles of its component.
pub(crate) type AnySlot = Arc<dyn ErasedSlot>;

/// The part of a slot that needs no type.
pub(crate) trait ErasedSlot: Any + Send + Sync {
    fn stamp(&self) -> Option<Stamp>;

    /// What the value was built from, in the form that its `Inputs` gave it.
    fn inputs(&self) -> &(dyn Any + Send + Sync);

    /// To be called when it has become part of a generation.
    fn show(&self);
}

impl<T: Send + Sync + 'static> Slot<T> {
    pub(crate) fn new(
        home: &Arc<Home>,
        value: T,
        stamp: Option<Stamp>,
        inputs: Box<dyn Any + Send + Sync>,
    ) -> Arc<Self> {
        if home.retire.get().is_some() {
            home.reaper.to_retire().add(&home.name);
        }
        // Only that no two are the same matters: no partner needed.
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            home: Arc::clone(home),
            value: Some(value),
            stamp,
            inputs: Some(inputs),
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            shown: AtomicBool::new(false),
        })
    }

    pub(crate) fn value(&self) -> &T {
        self.value
            .as_ref()
            .expect("a slot is emptied only by its drop")
    }

    pub(crate) fn serial(&self) -> u64 {
        self.serial
    }

    pub(crate) fn home(&self) -> &Arc<Home> {
        &self.home
    }

    /// Whether it was current and is not any more.
    pub(crate) fn is_replaced(&self) -> bool {
        // Release and Acquire: whoever sees that it was shown sees the publication before that.
        if !self.shown.load(Ordering::Acquire) {
            return false;
        }
        let Some(publication) = self.home.publication.upgrade() else {
            return false;
        };
        let current = publication.current();
        let slot = current.slot(self.home.index);
        let any: &dyn Any = &**slot;
        if any.is::<Closed>() {
            return true;
        }
        let serial = match &self.home.member {
            Some(member) => member(slot),
            None => Some(Self::of(slot).serial),
        };
        serial != Some(self.serial)
    }

    /// The slot of a handle's own component. Its type is `T`, because the handle was made by the
    /// build that fills it.
    ///
    /// # Panics
    ///
    /// If the component is closed.
    pub(crate) fn of(slot: &AnySlot) -> &Self {
        let any: &dyn Any = &**slot;
        any.downcast_ref().unwrap_or_else(|| Closed::panic(slot))
    }

    /// Like [`of`](Self::of), but counted.
    pub(crate) fn share(slot: &AnySlot) -> Arc<Self> {
        let any: Arc<dyn Any + Send + Sync> = Arc::<dyn ErasedSlot>::clone(slot);
        any.downcast().unwrap_or_else(|_| Closed::panic(slot))
    }
}

impl Closed {
    #[cold]
    fn panic(slot: &AnySlot) -> ! {
        let slot: &dyn Any = &**slot;
        let Self(name) = slot
            .downcast_ref()
            .expect("a handle has the type of its component");
        panic!("component `{name}` is closed: the run of its manager has ended");
    }
}

impl ErasedSlot for Closed {
    fn stamp(&self) -> Option<Stamp> {
        None
    }

    fn inputs(&self) -> &(dyn Any + Send + Sync) {
        &()
    }

    fn show(&self) {}
}

impl<T: Send + Sync + 'static> ErasedSlot for Slot<T> {
    fn stamp(&self) -> Option<Stamp> {
        self.stamp
    }

    fn inputs(&self) -> &(dyn Any + Send + Sync) {
        self.inputs
            .as_deref()
            .expect("a slot is emptied only by its drop")
    }

    fn show(&self) {
        self.shown.store(true, Ordering::Release);
    }
}

impl<T: Send + Sync + 'static> Drop for Slot<T> {
    fn drop(&mut self) {
        let value = self.value.take().expect("a value is dropped once");
        let inputs = self.inputs.take().expect("a value is dropped once");
        let remains = Remains::new(&self.home, Box::new(value), inputs);
        self.home.reaper.reap(remains);
    }
}
