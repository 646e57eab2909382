//! The consequence of a failure for the run.

/// The consequence of a failed reload or notifier for the run.
///
/// ```
/// use rekindle::OnError;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// assert_eq!(OnError::default(), OnError::Keep);
///
/// # let mut reload = rekindle::Manager::new();
/// reload.add(0, "cache", async |_| Err("the cache is gone".into()));
/// let handle = reload.handle();
/// reload
///     .run(async move |_stop| {
///         // The reload fails, and the app goes on.
///         assert!(handle.reload("example").await.is_err());
///         Ok(())
///     })
///     .await
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnError {
    /// The failure is reported, and the app goes on. A rejected reload leaves it as good as before, and a
    /// notifier is called again with growing pauses (100 ms to 30 s).
    #[default]
    Keep,
    /// The failure ends the run with its error, as slok/reload does.
    Stop,
}
