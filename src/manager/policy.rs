//! What a failure means for the run.

/// What a failed reload or notifier means for the run.
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
    /// It is reported, and the app goes on: a refused reload leaves it as good as before, and a
    /// notifier is asked again with growing pauses (100 ms to 30 s).
    #[default]
    Keep,
    /// It ends the run with the error, as slok/reload does.
    Stop,
}
