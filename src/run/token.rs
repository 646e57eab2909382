//! An actor that waits for a token.

use std::future::Future;
use std::pin::Pin;

use tokio_util::sync::CancellationToken;

use super::Cancelled;

/// An actor of this module: a function of the token that interrupts it, like every actor.
///
/// It may also be called without a group.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use rekindle::run;
/// use tokio_util::sync::CancellationToken;
///
/// let token = CancellationToken::new();
/// let actor: run::Actor<run::Cancelled> = run::token(token.clone());
/// token.cancel();
/// let error = actor(CancellationToken::new()).await.unwrap_err();
/// assert_eq!(error.to_string(), "the token was cancelled");
/// # Ok(())
/// # }
/// ```
pub type Actor<E> = Box<
    dyn FnOnce(CancellationToken) -> Pin<Box<dyn Future<Output = Result<(), E>> + Send>> + Send,
>;

/// An actor that ends its group, with the error [`Cancelled`], when `token` is cancelled.
///
/// To end a group from outside *without* an error, use
/// [`Group::run_until`](super::Group::run_until).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use rekindle::run;
/// use tokio_util::sync::CancellationToken;
///
/// let token = CancellationToken::new();
/// let mut group = run::Group::new();
/// group.add("token", run::token(token.clone()));
/// group.add("worker", |stop| stop.cancelled_owned());
/// token.cancel();
/// assert!(group.run().await.unwrap_err().is_cancelled());
/// # }
/// ```
pub fn token(token: CancellationToken) -> Actor<Cancelled> {
    Box::new(move |stop| {
        Box::pin(async move {
            match stop.run_until_cancelled(token.cancelled()).await {
                Some(()) => Err(Cancelled),
                None => Ok(()),
            }
        })
    })
}
