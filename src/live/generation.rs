//! An immutable, numbered set of all component values, and the draft of the next one.

use std::sync::Arc;

use super::publication::Publication;
use super::slot::AnySlot;

/// Slots per chunk. A new generation copies the chunks in which something changed, and the list of
/// chunks: with 10,000 components some 200 pointers instead of 10,000.
const CHUNK: usize = 64;

/// One consistent set of values. Cloning copies one pointer.
#[derive(Clone)]
pub(crate) struct Generation {
    /// The manager that the values belong to.
    pub(super) manager: u64,
    /// What users see: rises by one with each reload that changed something.
    pub(crate) number: u64,
    /// Rises with each publication, those of the start-up included.
    pub(crate) version: u64,
    chunks: Arc<[Arc<[AnySlot]>]>,
}

impl Generation {
    /// The first generation, without components.
    pub(super) fn first(manager: u64) -> Self {
        Self {
            manager,
            number: 1,
            version: 1,
            chunks: Arc::new([]),
        }
    }

    #[inline]
    pub(crate) fn slot(&self, index: usize) -> &AnySlot {
        &self.chunks[index / CHUNK][index % CHUNK]
    }

    /// The chunk in which that slot is.
    pub(super) fn chunk(&self, index: usize) -> &Arc<[AnySlot]> {
        &self.chunks[index / CHUNK]
    }

    pub(crate) fn len(&self) -> usize {
        match self.chunks.last() {
            Some(last) => (self.chunks.len() - 1) * CHUNK + last.len(),
            None => 0,
        }
    }

    /// The same generation with one more component.
    pub(super) fn with(&self, slot: AnySlot) -> Self {
        let (full, last) = match self.chunks.last() {
            Some(last) if last.len() < CHUNK => (self.chunks.len() - 1, &last[..]),
            _ => (self.chunks.len(), &[][..]),
        };
        let last: Arc<[AnySlot]> = last.iter().cloned().chain([slot]).collect();
        let chunks = self.chunks[..full].iter().cloned().chain([last]).collect();
        Self {
            manager: self.manager,
            number: self.number,
            version: self.version + 1,
            chunks,
        }
    }

    /// Puts another slot in this place.
    fn set(&mut self, index: usize, slot: AnySlot) {
        let chunks = Arc::make_mut(&mut self.chunks);
        Arc::make_mut(&mut chunks[index / CHUNK])[index % CHUNK] = slot;
    }

    /// The same generation with other slots in some places.
    pub(super) fn replacing(&self, fresh: impl IntoIterator<Item = (usize, AnySlot)>) -> Self {
        let mut next = self.clone();
        next.version += 1;
        for (index, slot) in fresh {
            next.set(index, slot);
        }
        next
    }
}

/// A generation in the making: what builds see while a reload is prepared.
///
/// Dropped without a commit, it tells those who hold values of it that they will not be current.
pub(crate) struct Draft {
    publication: Arc<Publication>,
    base: Generation,
    next: Generation,
    /// The components that are others than in `base`, in the order in which they became so.
    changed: Vec<usize>,
}

impl Draft {
    pub(crate) fn on(publication: &Arc<Publication>) -> Self {
        let base = publication.current();
        Self {
            publication: Arc::clone(publication),
            next: base.clone(),
            base,
            changed: Vec::new(),
        }
    }

    /// The slot as it will be.
    pub(crate) fn slot(&self, index: usize) -> &AnySlot {
        self.next.slot(index)
    }

    /// The slot as it is.
    pub(crate) fn committed(&self, index: usize) -> &AnySlot {
        self.base.slot(index)
    }

    /// The generation that it is to replace.
    pub(crate) fn base(&self) -> &Generation {
        &self.base
    }

    /// Puts a slot in its place, once.
    pub(crate) fn replace(&mut self, index: usize, slot: AnySlot) {
        self.next.set(index, slot);
        self.changed.push(index);
    }

    pub(crate) fn is_changed(&self, index: usize) -> bool {
        !Arc::ptr_eq(self.base.slot(index), self.next.slot(index))
    }

    /// The components that will change.
    pub(crate) fn changed(&self) -> &[usize] {
        &self.changed
    }

    /// Makes it current. The components that have changed, in the order in which they were added.
    pub(crate) fn commit(mut self) -> Vec<usize> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        let mut next = self.next.clone();
        next.number += 1;
        next.version += 1;
        self.publication.publish(next);
        // Not before: a value that is shown and not current counts as replaced.
        changed
            .iter()
            .for_each(|&index| self.slot(index).show(None));
        changed
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.changed.is_empty() {
            let changed = self.changed.iter();
            changed.for_each(|&index| self.slot(index).discard());
            self.publication.wake();
        }
    }
}
