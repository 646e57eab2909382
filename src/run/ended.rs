//! How a group ended well.

use std::sync::Arc;

use super::Signaled;

/// A group that ended well: the first actor returned `Ok` or was told to by a signal, or the group
/// was stopped from outside, and all others returned within the grace period.
#[derive(Clone, Debug)]
pub struct Ended {
    pub(super) first: Option<Arc<str>>,
    pub(super) signal: Option<Signaled>,
}

impl Ended {
    /// The actor that returned first. `None` if the group was empty or was stopped from outside.
    pub fn first(&self) -> Option<&str> {
        self.first.as_deref()
    }

    /// The signal, if it was one that ended the group.
    pub fn signal(&self) -> Option<&Signaled> {
        self.signal.as_ref()
    }

    pub(super) fn into_signal(self) -> Option<Signaled> {
        self.signal
    }
}
