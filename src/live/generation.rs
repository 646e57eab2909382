//! An immutable, numbered set of all component values.

use std::sync::Arc;

use super::slot::AnySlot;

/// Slots per chunk. A new generation copies only the list of chunks and the chunks with a change:
/// some 200 pointers instead of 10,000 for 10,000 components.
const CHUNK: usize = 64;

/// One consistent set of values. Cloning copies one pointer.
#[derive(Clone)]
pub(crate) struct Generation {
    /// The manager that owns the values.
    pub(super) manager: u64,
    /// The public number, which rises by one with each reload that changed something.
    pub(crate) number: u64,
    /// Rises by one with each publication, including those of the start-up.
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

    /// The chunk that holds the slot at `index`.
    pub(super) fn chunk(&self, index: usize) -> &Arc<[AnySlot]> {
        &self.chunks[index / CHUNK]
    }

    pub(crate) fn len(&self) -> usize {
        match self.chunks.last() {
            Some(last) => (self.chunks.len() - 1) * CHUNK + last.len(),
            None => 0,
        }
    }

    /// Returns the same generation with one more component.
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

    /// Replaces the slot at `index`.
    pub(super) fn set(&mut self, index: usize, slot: AnySlot) {
        let chunks = Arc::make_mut(&mut self.chunks);
        Arc::make_mut(&mut chunks[index / CHUNK])[index % CHUNK] = slot;
    }

    /// Returns the same generation with other slots at some indices.
    pub(super) fn replacing(&self, fresh: impl IntoIterator<Item = (usize, AnySlot)>) -> Self {
        let mut next = self.clone();
        next.version += 1;
        for (index, slot) in fresh {
            next.set(index, slot);
        }
        next
    }
}
