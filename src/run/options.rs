//! The options of one actor.

use std::fmt;

use super::member::Member;

/// The options of an actor that was added, as [`Group::add`](super::Group::add) and its siblings
/// return them.
pub struct ActorOptions<'g>(pub(super) &'g mut Member);

impl ActorOptions<'_> {
    /// Makes it no error if the actor does not return in its share of the [shutdown
    /// timeout](super#shutting-down) and is aborted.
    ///
    /// Use it for a server, where one client that does not hang up must not turn an orderly stop
    /// into a failure. The abort is logged as a warning. If the actor cannot be aborted, because it
    /// blocks its thread, that is still an error.
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
