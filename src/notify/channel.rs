//! Channels as notifiers.

use std::future::pending;

use tokio::sync::mpsc::{Receiver, UnboundedReceiver};

use crate::{BoxError, Notifier, Trigger};

/// Each message is a trigger. A closed channel never yields another one, because it has no sender
/// left.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use rekindle::Notifier;
///
/// let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
/// sender.send("etcd").await?;
/// assert_eq!(receiver.notify().await?.as_str(), "etcd");
/// # Ok(())
/// # }
/// ```
impl<T: Into<Trigger> + Send + 'static> Notifier for Receiver<T> {
    async fn notify(&mut self) -> Result<Trigger, BoxError> {
        match self.recv().await {
            Some(message) => Ok(message.into()),
            None => pending().await,
        }
    }

    fn name(&self) -> String {
        "channel".to_owned()
    }
}

/// Like [`Receiver`]: each message is a trigger, and a closed channel never yields another one.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use rekindle::Notifier;
///
/// let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
/// sender.send("etcd")?;
/// assert_eq!(receiver.notify().await?.as_str(), "etcd");
/// assert_eq!(receiver.name(), "channel");
/// # Ok(())
/// # }
/// ```
impl<T: Into<Trigger> + Send + 'static> Notifier for UnboundedReceiver<T> {
    async fn notify(&mut self) -> Result<Trigger, BoxError> {
        match self.recv().await {
            Some(message) => Ok(message.into()),
            None => pending().await,
        }
    }

    fn name(&self) -> String {
        "channel".to_owned()
    }
}
