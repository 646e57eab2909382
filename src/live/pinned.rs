//! Who still holds what was replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::generation::Generation;
use super::slot::{AnySlot, ErasedSlot};

/// The generations that were replaced while guards or snapshots held them, as long as they do.
#[derive(Default)]
pub(crate) struct Pinned(Mutex<Vec<Weak<Generation>>>);

/// By how many a value is held. Counted while they come and go, so a moment later it may be others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holders {
    /// Guards and snapshots, which hold whole generations.
    pub(crate) guards: usize,
    /// Leases, readers, and values that were built from it.
    pub(crate) leases: usize,
}

impl Pinned {
    /// Lets go of a generation that was replaced, and remembers it if somebody else holds it.
    pub(super) fn let_go(&self, stale: Option<Arc<Generation>>) {
        let Some(stale) = stale else { return };
        if Arc::strong_count(&stale) > 1 {
            let mut pinned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            pinned.retain(|generation| generation.strong_count() > 0);
            pinned.push(Arc::downgrade(&stale));
        }
        // Not under the lock: the last one to let go sends values to the reaper.
        drop(stale);
    }

    /// Those that are held now. To be dropped under no lock: it may be the last that holds them.
    pub(crate) fn generations(&self) -> Generations {
        let pinned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pinned = pinned.clone();
        Generations {
            held: pinned.iter().filter_map(Weak::upgrade).collect(),
            members: BTreeMap::new(),
        }
    }
}

/// Generations that were replaced and are held.
pub(crate) struct Generations {
    held: Vec<Arc<Generation>>,
    /// The members of the collections in them that were looked at.
    members: BTreeMap<Address, BTreeSet<Address>>,
}

/// Where something is: enough to know it again as long as it is held.
type Address = *const ();

impl Generations {
    pub(crate) fn holders(&mut self, index: usize, slot: &Weak<dyn ErasedSlot>) -> Holders {
        let slot_address = slot.as_ptr().cast();
        // What holds the slot for all of these generations: a chunk of slots, or a collection.
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
            // One of them is ours.
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
