//! The slot of one built value, together with the inputs it was built from.

use std::any::Any;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use super::generation::Generation;
use super::publication::Publication;
use super::reaper::{Reaper, Remains, Retire};
use crate::Stamp;

/// One value of a component, with its stamp and the inputs that it was built from.
///
/// # Invariants
///
/// 1. `value` is `Some` until `drop` hands it to the reaper, with the inputs that must outlive it.
/// 2. The inputs outlive the value: the reaper drops them when it is done with the value, so a
///    value is always gone before its inputs are.
pub(crate) struct Slot<T: Send + Sync + 'static> {
    home: Arc<Home>,
    value: Option<T>,
    origin: Origin,
    /// For a member of a collection, the inputs of the collection that it belongs to, or belonged
    /// to last.
    anchor: Option<Box<Mutex<Inputs>>>,
    /// The serial number, unique in this process.
    serial: u64,
    stage: AtomicU8,
}

/// The origin of a value.
pub(crate) enum Origin {
    /// Read from outside, with this stamp.
    Read(Option<Stamp>),
    Built(Inputs),
    /// Built once, and never again, so nothing is remembered.
    Kept,
}

/// The inputs of a value, in the form that the `Inputs` trait holds them.
pub(crate) type Inputs = Arc<dyn Any + Send + Sync>;

/// Built, and may become part of a generation.
const NEW: u8 = 0;
/// Is or was part of a generation.
const SHOWN: u8 = 1;
/// Will never be part of a generation: its reload was rejected, or was a dry run.
const DISCARDED: u8 = 2;

/// The component that owns a slot.
pub(crate) struct Home {
    pub(crate) name: Arc<str>,
    /// The index of the component in each generation.
    pub(crate) index: usize,
    /// Weak, because values keep the leases they were built from, and a strong reference would keep
    /// all values alive for ever.
    pub(crate) publication: Weak<Publication>,
    pub(crate) reaper: Arc<Reaper>,
    /// The app's function that ends a value, set before the first value is built. Weak, because the
    /// function may hold handles.
    pub(crate) retire: OnceLock<Weak<Retire>>,
    pub(crate) part: Option<Box<Part>>,
}

/// The role of a component in a collection.
pub(crate) enum Part {
    /// The collection itself, with the function that returns the members of its value.
    Whole(fn(&dyn Any) -> Vec<AnySlot>),
    /// A member, with the function that finds its value's serial number in a slot of the
    /// collection.
    Member(Box<Find>),
}

type Find = dyn Fn(&AnySlot) -> Option<u64> + Send + Sync;

/// The slot of a component that was closed at the end of the run.
pub(crate) struct Closed(pub(super) Arc<str>);

/// A slot whose type only the handles of its component know.
pub(crate) type AnySlot = Arc<dyn ErasedSlot>;

/// The interface of a slot that does not depend on its type.
pub(crate) trait ErasedSlot: Any + Send + Sync {
    /// The name of the component; for a member of a collection, with its key.
    fn name(&self) -> &Arc<str>;

    fn stamp(&self) -> Option<Stamp> {
        None
    }

    fn inputs(&self) -> Option<&Inputs> {
        None
    }

    /// The slots of the members, if the value is a collection.
    fn members(&self) -> Vec<AnySlot> {
        Vec::new()
    }

    /// Must be called when the slot has become part of a generation; a member is given the inputs
    /// of its collection.
    fn show(&self, _collection: Option<&Inputs>) {}

    /// Must be called when the slot will not become part of a generation. Has no effect if it is
    /// part of one.
    fn discard(&self) {}
}

impl<T: Send + Sync + 'static> Slot<T> {
    pub(crate) fn new(
        home: &Arc<Home>,
        value: T,
        origin: Origin,
        anchor: Option<Inputs>,
    ) -> Arc<Self> {
        if home.retire.get().is_some() {
            home.reaper.to_retire().add(&home.name);
        }
        // Relaxed is enough, because the number only needs to be unique.
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            home: Arc::clone(home),
            value: Some(value),
            origin,
            anchor: anchor.map(|anchor| Box::new(Mutex::new(anchor))),
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            stage: AtomicU8::new(NEW),
        })
    }

    #[inline]
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

    /// Returns `true` if the value is not current and cannot become current again, not even when a
    /// probation fails.
    pub(crate) fn is_replaced(&self) -> bool {
        // Acquire, with Release in `show`: a thread that sees `SHOWN` sees the publication before
        // it.
        match self.stage.load(Ordering::Acquire) {
            NEW => return false,
            DISCARDED => return true,
            _ => {}
        }
        let Some(publication) = self.home.publication.upgrade() else {
            // All handles and the manager were dropped.
            return true;
        };
        let (current, before) = publication.current_and_before();
        let is_in = |generation: &Generation| self.is_of(generation.slot(self.home.index));
        !is_in(&current) && !before.as_ref().is_some_and(is_in)
    }

    /// Returns `true` if `slot`, that of the component in some generation, is this one or has it as
    /// a member.
    fn is_of(&self, slot: &AnySlot) -> bool {
        if Self::is_closed(slot) {
            return false;
        }
        let serial = match self.home.part.as_deref() {
            Some(Part::Member(member)) => member(slot),
            _ => Some(Self::of(slot).serial),
        };
        serial == Some(self.serial)
    }

    pub(super) fn is_closed(slot: &AnySlot) -> bool {
        let slot: &dyn Any = &**slot;
        slot.is::<Closed>()
    }

    /// The slot with its type, which is `T` because the handle was created by the build that fills
    /// the slot.
    ///
    /// # Panics
    ///
    /// If the component is closed.
    #[inline]
    pub(crate) fn of(slot: &AnySlot) -> &Self {
        let any: &dyn Any = &**slot;
        any.downcast_ref().unwrap_or_else(|| Closed::panic(slot))
    }

    /// Like [`of`](Self::of), with a reference of its own.
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
    fn name(&self) -> &Arc<str> {
        &self.0
    }
}

impl<T: Send + Sync + 'static> ErasedSlot for Slot<T> {
    fn name(&self) -> &Arc<str> {
        &self.home.name
    }

    fn stamp(&self) -> Option<Stamp> {
        match self.origin {
            Origin::Read(stamp) => stamp,
            _ => None,
        }
    }

    fn inputs(&self) -> Option<&Inputs> {
        match &self.origin {
            Origin::Built(inputs) => Some(inputs),
            _ => None,
        }
    }

    fn members(&self) -> Vec<AnySlot> {
        match self.home.part.as_deref() {
            Some(Part::Whole(members)) => members(self.value()),
            _ => Vec::new(),
        }
    }

    fn show(&self, collection: Option<&Inputs>) {
        self.stage.store(SHOWN, Ordering::Release);
        if let (Some(anchor), Some(collection)) = (&self.anchor, collection) {
            let mut anchor = anchor.lock().unwrap_or_else(PoisonError::into_inner);
            let before = std::mem::replace(&mut *anchor, Arc::clone(collection));
            drop(anchor);
            drop(before);
        }
        for member in self.members() {
            member.show(self.inputs());
        }
    }

    fn discard(&self) {
        let (from, to) = (NEW, DISCARDED);
        let (order, fails) = (Ordering::Release, Ordering::Relaxed);
        if self.stage.compare_exchange(from, to, order, fails).is_ok() {
            self.members().iter().for_each(|member| member.discard());
        }
    }
}

impl<T: Send + Sync + 'static> Drop for Slot<T> {
    fn drop(&mut self) {
        let anchor = self.anchor.take().map(|anchor| {
            let anchor = anchor.into_inner();
            anchor.unwrap_or_else(PoisonError::into_inner)
        });
        let inputs = match std::mem::replace(&mut self.origin, Origin::Kept) {
            Origin::Built(inputs) => Some(inputs),
            _ => None,
        };
        let kept_by = [inputs, anchor];
        let is_plain = !std::mem::needs_drop::<T>() && self.home.retire.get().is_none();
        if is_plain && kept_by.iter().all(Option::is_none) {
            // There is nothing to drop or retire.
            return;
        }
        let value = self.value.take().expect("a value is dropped once");
        let remains = Remains::new(&self.home, Box::new(value), kept_by);
        self.home.reaper.reap(remains);
    }
}
