//! The draft of the next generation: what builds see while a reload is prepared.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::generation::Generation;
use super::publication::Publication;
use super::slot::AnySlot;

/// A generation in the making.
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

    /// The slot as it is; `None` for a component that is built for the first time.
    pub(crate) fn committed(&self, index: usize) -> Option<&AnySlot> {
        (index < self.base.len()).then(|| self.base.slot(index))
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

    /// Makes it current, for good or `on_trial`. The components that have changed, in the order in which
    /// they were added.
    pub(crate) fn commit(mut self, on_trial: bool) -> Vec<usize> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        let mut next = self.next.clone();
        next.number += 1;
        next.version += 1;
        let before = on_trial.then(|| self.base.clone());
        self.publication.publish(next, before);
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

/// The place of a draft, shared by the reload that fills it and the supervisor, which takes it out when
/// the reload is given up. So a step that blocks its thread holds what it was handed, and no other
/// value.
///
/// Where there is no draft any more, the gate is shut, and the caller's result counts for nothing.
///
/// No code of the app's runs while it is locked: a step takes what it needs, and is called after that.
#[derive(Default)]
pub(crate) struct DraftCell(Mutex<Option<Draft>>);

impl DraftCell {
    pub(crate) fn new(draft: Draft) -> Self {
        Self(Mutex::new(Some(draft)))
    }

    /// Puts a draft in the place, which has to be empty.
    pub(crate) fn put(&self, draft: Draft) {
        let before = self.lock().replace(draft);
        drop(before);
    }

    /// Looks at the draft; `None` if there is none any more.
    pub(crate) fn read<R>(&self, look: impl FnOnce(&Draft) -> R) -> Option<R> {
        self.lock().as_ref().map(look)
    }

    /// Puts a slot in its place in the draft.
    pub(crate) fn replace(&self, index: usize, slot: AnySlot) {
        let mut draft = self.lock();
        match &mut *draft {
            Some(draft) => draft.replace(index, slot),
            None => {
                // Not under the lock: this may be the last that holds it.
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
