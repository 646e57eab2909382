//! Actors that block, each on a thread of its own.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::ActorOutput;
use super::cause::Failure;
use super::member::Start;
use crate::StepError;

/// Returns the start of an actor: a thread that runs `work`, and a task that waits for it.
pub(super) fn start<F, O>(name: &Arc<str>, stop: CancellationToken, work: F) -> Start
where
    F: FnOnce(CancellationToken) -> O + Send + 'static,
    O: ActorOutput,
{
    let name = name.to_string();
    Box::new(|present| {
        Box::pin(async move {
            // Aborting the task does not end the thread, so dropping the task cancels the token.
            let _told = stop.clone().drop_guard();
            let runtime = Handle::current();
            let (sender, receiver) = oneshot::channel();
            let body = move || {
                let _entered = runtime.enter();
                let caught = catch_unwind(AssertUnwindSafe(|| work(stop).into_result()));
                let result = match caught {
                    Ok(result) => result.map_err(Failure::Error),
                    Err(payload) => Err(Failure::Panic(StepError::panicked(payload))),
                };
                drop(present);
                // Sending fails if the group has abandoned this actor.
                let _ = sender.send(result);
            };
            let failed = |error: io::Error| {
                let text = format!("cannot start a thread: {error}");
                Failure::Error(io::Error::new(error.kind(), text).into())
            };
            thread::Builder::new()
                .name(name)
                .spawn(body)
                .map_err(failed)?;
            receiver
                .await
                .unwrap_or_else(|closed| Err(Failure::Error(closed.into())))
        })
    })
}
