//! The draft of the next generation, which builds see while a reload is prepared.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::generation::Generation;
use super::publication::Publication;
use super::slot::AnySlot;

/// A generation in the making.
///
/// Dropping it without a commit discards its new values and wakes the holders of their leases.
pub(crate) struct Draft {
    publication: Arc<Publication>,
    base: Generation,
    next: Generation,
    /// The indices of the components that differ from `base`, in the order of the changes.
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

    /// The component's slot in the next generation.
    pub(crate) fn slot(&self, index: usize) -> &AnySlot {
        self.next.slot(index)
    }

    /// The component's slot in the current generation; `None` if the component is built for the
    /// first time.
    pub(crate) fn committed(&self, index: usize) -> Option<&AnySlot> {
        (index < self.base.len()).then(|| self.base.slot(index))
    }

    /// The generation that the draft replaces.
    pub(crate) fn base(&self) -> &Generation {
        &self.base
    }

    /// Replaces a component's slot. Called at most once for each component.
    pub(crate) fn replace(&mut self, index: usize, slot: AnySlot) {
        self.next.set(index, slot);
        self.changed.push(index);
    }

    pub(crate) fn is_changed(&self, index: usize) -> bool {
        !Arc::ptr_eq(self.base.slot(index), self.next.slot(index))
    }

    /// The components that the commit will change.
    pub(crate) fn changed(&self) -> &[usize] {
        &self.changed
    }

    /// Makes the draft current, for good or `on_trial`. Returns the changed components in the order
    /// in which they were added.
    pub(crate) fn commit(mut self, on_trial: bool) -> Vec<usize> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        let mut next = self.next.clone();
        next.number += 1;
        next.version += 1;
        let before = on_trial.then(|| self.base.clone());
        self.publication.publish(next, before);
        // Only after the publication, because a slot that is shown and not current counts as
        // replaced.
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

/// The place of a draft, shared by the reload that fills it and the supervisor, which takes the
/// draft out when it abandons the reload. A step that blocks its thread therefore holds only the
/// values it was called with. Once the draft is taken the gate is shut, so the result of a caller that
/// finds none counts for nothing.
///
/// Application code never runs under this lock: a step first takes the values it needs, and is
/// called after the lock is released.
#[derive(Default)]
pub(crate) struct DraftCell(Mutex<Option<Draft>>);

impl DraftCell {
    pub(crate) fn new(draft: Draft) -> Self {
        Self(Mutex::new(Some(draft)))
    }

    /// Puts a draft into the place, which must be empty.
    pub(crate) fn put(&self, draft: Draft) {
        let before = self.lock().replace(draft);
        drop(before);
    }

    /// Calls `look` with the draft. Returns `None` if the draft was taken.
    pub(crate) fn read<R>(&self, look: impl FnOnce(&Draft) -> R) -> Option<R> {
        self.lock().as_ref().map(look)
    }

    /// Replaces a component's slot in the draft; discards the slot if the draft was taken.
    pub(crate) fn replace(&self, index: usize, slot: AnySlot) {
        let mut draft = self.lock();
        match &mut *draft {
            Some(draft) => draft.replace(index, slot),
            None => {
                // Outside the lock, because this may be the last reference to the slot.
                drop(draft);
                slot.discard();
            }
        }
    }

    pub(crate) fn take(&self) -> Option<Draft> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Draft>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
