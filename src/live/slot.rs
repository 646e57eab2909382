//! Where one built value lives, together with what it was built from.

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
/// 1. `value` is `Some` until `drop` hands it to the reaper, together with what it is kept by.
/// 2. The inputs outlive the value: the reaper lets them go when it is done with the value, so
///    what was built from something is always gone before that something.
pub(crate) struct Slot<T: Send + Sync + 'static> {
    home: Arc<Home>,
    value: Option<T>,
    origin: Origin,
    /// Of a member of a collection: what the collection was built from that it belongs to, or did last.
    anchor: Option<Box<Mutex<Inputs>>>,
    /// No other slot in this process has the number.
    serial: u64,
    stage: AtomicU8,
}

/// Where a value comes from.
pub(crate) enum Origin {
    /// It was read from outside; that has this stamp.
    Read(Option<Stamp>),
    Built(Inputs),
    /// It keeps nothing of what it was, because it is never built again.
    Kept,
}

/// What a value was built from, in the form that its `Inputs` gave it.
pub(crate) type Inputs = Arc<dyn Any + Send + Sync>;

/// It was built, and may become part of a generation.
const NEW: u8 = 0;
/// It is or was part of a generation.
const SHOWN: u8 = 1;
/// It will never be part of one: its reload was refused, or was only a check.
const DISCARDED: u8 = 2;

/// The component that slots belong to.
pub(crate) struct Home {
    pub(crate) name: Arc<str>,
    /// Its place in each generation.
    pub(crate) index: usize,
    /// Weak, because values keep the leases that they were built from: a strong one would hold all
    /// values for ever.
    pub(crate) publication: Weak<Publication>,
    pub(crate) reaper: Arc<Reaper>,
    /// How the app ends a value. Set before the first one is built, if at all. Weak, because the
    /// function may hold handles.
    pub(crate) retire: OnceLock<Weak<Retire>>,
    pub(crate) part: Option<Box<Part>>,
}

/// The part that a component has in a collection.
pub(crate) enum Part {
    /// It is one: how to get at the members of which its value consists.
    Whole(fn(&dyn Any) -> Vec<AnySlot>),
    /// It is a member: how to find it in a slot of the collection, by the serial number of its value.
    Member(Box<Find>),
}

type Find = dyn Fn(&AnySlot) -> Option<u64> + Send + Sync;

/// Stands in a generation for what was closed at the end of the run.
pub(crate) struct Closed(pub(super) Arc<str>);

/// A slot whose type is known only to the handles of its component.
pub(crate) type AnySlot = Arc<dyn ErasedSlot>;

/// The part of a slot that needs no type.
pub(crate) trait ErasedSlot: Any + Send + Sync {
    /// The component; of a member of a collection, with its key.
    fn name(&self) -> &Arc<str>;

    fn stamp(&self) -> Option<Stamp> {
        None
    }

    fn inputs(&self) -> Option<&Inputs> {
        None
    }

    /// The slots of which the value consists, if it is a collection.
    fn members(&self) -> Vec<AnySlot> {
        Vec::new()
    }

    /// To be called when it has become part of a generation, of that collection if it is a member.
    fn show(&self, _collection: Option<&Inputs>) {}

    /// To be called when it will not become part of a generation, unless it is.
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
        // Only that no two are the same matters: no partner needed.
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

    /// Whether it is not current, and will not be: not even when a probation fails.
    pub(crate) fn is_replaced(&self) -> bool {
        // Release and Acquire: whoever sees that it was shown sees the publication before that.
        match self.stage.load(Ordering::Acquire) {
            NEW => return false,
            DISCARDED => return true,
            _ => {}
        }
        let Some(publication) = self.home.publication.upgrade() else {
            // All handles are gone, and the manager with them.
            return true;
        };
        let (current, before) = publication.current_and_before();
        let is_in = |generation: &Generation| self.is_of(generation.slot(self.home.index));
        !is_in(&current) && !before.as_ref().is_some_and(is_in)
    }

    /// Whether the slot of its component in a generation is this one, or has it as a member.
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

    /// The slot of a handle's own component. Its type is `T`, because the handle was made by the
    /// build that fills it.
    ///
    /// # Panics
    ///
    /// If the component is closed.
    #[inline]
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
            // Nothing ends with it.
            return;
        }
        let value = self.value.take().expect("a value is dropped once");
        let remains = Remains::new(&self.home, Box::new(value), kept_by);
        self.home.reaper.reap(remains);
    }
}
