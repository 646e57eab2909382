//! Settings that only a restart changes.

use std::sync::Arc;

use super::graph::{Build, Fresh};
use crate::crew::BoxFuture;
use crate::live::{AnySlot, Draft, Home, Origin, Selection, Slot};

/// A component that keeps the value that it had at the start.
pub(super) struct Pinned<T: Send + Sync + 'static, U: 'static> {
    pub(super) home: Arc<Home>,
    pub(super) selection: Selection<T, U>,
}

impl<T, U> Build for Pinned<T, U>
where
    T: Send + Sync + 'static,
    U: Clone + PartialEq + Send + Sync + 'static,
{
    fn is_due(&self, _: &Draft, _: &AnySlot) -> bool {
        false
    }

    fn start(&self, draft: &Draft, _: Option<&AnySlot>) -> BoxFuture<'static, Fresh> {
        let value = self.selection.of(draft);
        let slot = Slot::new(&self.home, value, Origin::Kept, None);
        Box::pin(async move { Ok(Fresh::Slot(slot)) })
    }

    fn is_pinned(&self) -> bool {
        true
    }

    fn is_pending(&self, draft: &Draft) -> bool {
        let value = Slot::<U>::of(draft.slot(self.home.index)).value();
        !self.selection.is(draft, value)
    }
}
