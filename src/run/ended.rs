//! How a group ended well.

use std::sync::Arc;

use super::Signaled;

/// A group that ended well: the first actor returned `Ok` or was told to by a signal, or the group
/// was stopped from outside, and all others returned within the shutdown timeout, or may be aborted.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use rekindle::run;
///
/// let mut group = run::Group::new();
/// group.add("import", async |_| ());
/// let ended = group.run().await?;
/// assert_eq!(ended.first(), Some("import"));
/// let exit_code = ended.signal().map_or(0, |signal| 128 + signal.number());
/// assert_eq!(exit_code, 0);
/// # Ok(())
/// # }
/// ```
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
