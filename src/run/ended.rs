//! The successful end of a group.

use std::sync::Arc;

use super::Signaled;

/// The successful end of a group.
///
/// The first actor returned `Ok` or a signal, or the group was stopped from outside. All others
/// returned within the shutdown timeout, or were [`abortable`](super::ActorOptions::abortable) and
/// could be aborted.
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

    /// The signal, if one ended the group.
    pub fn signal(&self) -> Option<&Signaled> {
        self.signal.as_ref()
    }

    pub(super) fn into_signal(self) -> Option<Signaled> {
        self.signal
    }
}
