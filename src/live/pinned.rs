//! The guards and leases that still hold replaced values.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::generation::Generation;
use super::slot::{AnySlot, ErasedSlot};

/// The replaced generations that guards or snapshots still hold.
#[derive(Default)]
pub(crate) struct Pinned(Mutex<Vec<Weak<Generation>>>);

/// The number of holders of a value. It may be outdated at once, because holders come and go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holders {
    /// Guards and snapshots, each of which holds a whole generation.
    pub(crate) guards: usize,
    /// Leases, readers, and values that were built from this one.
    pub(crate) leases: usize,
}

impl Pinned {
    /// Drops a replaced generation, and remembers it weakly if it has other holders.
    pub(super) fn let_go(&self, stale: Option<Arc<Generation>>) {
        let Some(stale) = stale else { return };
        if Arc::strong_count(&stale) > 1 {
            let mut pinned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            pinned.retain(|generation| generation.strong_count() > 0);
            pinned.push(Arc::downgrade(&stale));
        }
        // Outside the lock: dropping the last reference sends values to the reaper.
        drop(stale);
    }

    /// The pinned generations. Drop the result without holding a lock: it may hold the last
    /// reference.
    pub(crate) fn generations(&self) -> Generations {
        let pinned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pinned = pinned.clone();
        Generations {
            held: pinned.iter().filter_map(Weak::upgrade).collect(),
            members: BTreeMap::new(),
        }
    }
}

/// Replaced generations that are still held, upgraded to strong references.
pub(crate) struct Generations {
    held: Vec<Arc<Generation>>,
    /// The members of each collection in these generations that was looked at, by address.
    members: BTreeMap<Address, BTreeSet<Address>>,
}

/// The address of a slot or chunk, which identifies it as long as it is held.
type Address = *const ();

impl Generations {
    pub(crate) fn holders(&mut self, index: usize, slot: &Weak<dyn ErasedSlot>) -> Holders {
        let slot_address = slot.as_ptr().cast();
        // The owners through which these generations hold the slot: a chunk of slots, or a
        // collection.
        let mut holders = BTreeSet::new();
        let mut guards = 0;
        for generation in self.held.iter().filter(|held| held.len() > index) {
            let other = generation.slot(index);
            let other_address = Arc::as_ptr(other).cast();
            if other_address == slot_address {
                holders.insert(Arc::as_ptr(generation.chunk(index)).cast());
            } else {
                let members = self.members.entry(other_address);
                let members = members.or_insert_with(|| addresses(&other.members()));
                if !members.contains(&slot_address) {
                    continue;
                }
                holders.insert(other_address);
            }
            // One of the references is in `self.held`.
            guards += Arc::strong_count(generation) - 1;
        }
        Holders {
            guards,
            leases: slot.strong_count().saturating_sub(holders.len()),
        }
    }
}

fn addresses(slots: &[AnySlot]) -> BTreeSet<Address> {
    let addresses = slots.iter().map(|slot| Arc::as_ptr(slot).cast());
    addresses.collect()
}
