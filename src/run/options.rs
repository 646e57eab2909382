//! Options of one actor.

use std::fmt;

use super::member::Member;

/// An actor that was added, for options: returned by [`Group::add`](super::Group::add) and the like.
pub struct ActorOptions<'g>(pub(super) &'g mut Member);

impl ActorOptions<'_> {
    /// Lets the actor be aborted without an error when it has not returned in its share of the
    /// [shutdown timeout](super#shutting-down).
    ///
    /// For a server: one client that does not hang up must not turn an orderly stop into a failure. The
    /// abort is logged as a warning. An actor that cannot be aborted, because it blocks its thread, is an
    /// error all the same.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// use std::time::Duration;
    /// use rekindle::run;
    ///
    /// let mut group = run::Group::new().shutdown_timeout(Duration::from_millis(10));
    /// group.add("once", async |_| ());
    /// group.add("server", async |_| std::future::pending::<()>().await).abortable();
    /// assert_eq!(group.run().await?.first(), Some("once"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn abortable(self) {
        self.0.abortable = true;
    }
}

impl fmt::Debug for ActorOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ActorOptions").field(&self.0.name).finish()
    }
}
