//! Settings that only a restart changes.

use std::sync::Arc;

use super::graph::{Build, Fresh, given_up};
use super::inputs::Bound;
use crate::crew::BoxFuture;
use crate::live::{Draft, DraftCell, Home, Origin, Selection, Slot};

/// A component that keeps its first value.
pub(super) struct Pinned<T: Send + Sync + 'static, U: 'static> {
    pub(super) home: Arc<Home>,
    pub(super) selection: Selection<T, U>,
}

impl<T, U> Build for Pinned<T, U>
where
    T: Send + Sync + 'static,
    U: Clone + PartialEq + Send + Sync + 'static,
{
    fn is_due(&self, _: &DraftCell) -> bool {
        false
    }

    fn start(&self, draft: &DraftCell) -> BoxFuture<'static, Fresh> {
        let Some(held) = draft.read(|draft| self.selection.hold(draft)) else {
            return given_up();
        };
        let value = self.selection.of(&held);
        let slot = Slot::new(&self.home, value, Origin::Kept, None);
        Box::pin(async move { Ok(Fresh::Slot(slot)) })
    }

    fn is_pinned(&self) -> bool {
        true
    }

    fn is_pending(&self, draft: &DraftCell) -> bool {
        let take = |draft: &Draft| {
            let pinned = Slot::<U>::share(draft.slot(self.home.index));
            (self.selection.hold(draft), pinned)
        };
        let Some((held, pinned)) = draft.read(take) else {
            return false;
        };
        !self.selection.is(&held, pinned.value())
    }
}
