//! One actor of a group, whatever its form.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use super::cause::Failure;
use super::roll::Present;
use super::{ActorOutput, Cause};

pub(super) struct Member {
    pub(super) name: Arc<str>,
    pub(super) start: Start,
    pub(super) interrupt: Interrupt,
    /// Set by [`ActorOptions::abortable`](super::ActorOptions::abortable).
    pub(super) abortable: bool,
}

/// Makes the task of the actor. Code of the user's runs only inside that task.
pub(super) type Start = Box<dyn FnOnce(Present) -> Task + Send>;

pub(super) type Task = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

pub(super) type Interrupt = Box<dyn FnOnce(&Cause) + Send>;

/// Starts the future that `make` makes.
pub(super) fn start<R>(make: impl FnOnce() -> R + Send + 'static) -> Start
where
    R: IntoFuture<Output: ActorOutput, IntoFuture: Send>,
{
    Box::new(|present| {
        Box::pin(async move {
            // Declared first, so that it goes last: when the future has been dropped.
            let _present = present;
            make()
                .into_future()
                .await
                .into_result()
                .map_err(Failure::Error)
        })
    })
}
