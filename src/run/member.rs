//! One actor of a group, in any of its forms.

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

/// Creates the task of the actor. Application code runs only inside that task.
pub(super) type Start = Box<dyn FnOnce(Present) -> Task + Send>;

pub(super) type Task = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

pub(super) type Interrupt = Box<dyn FnOnce(&Cause) + Send>;

/// Returns the start of an actor that runs the future `make` returns.
pub(super) fn start<R>(make: impl FnOnce() -> R + Send + 'static) -> Start
where
    R: IntoFuture<Output: ActorOutput, IntoFuture: Send>,
{
    Box::new(|present| {
        Box::pin(async move {
            // Declared first, so that it is dropped last, after the future.
            let _present = present;
            make()
                .into_future()
                .await
                .into_result()
                .map_err(Failure::Error)
        })
    })
}
