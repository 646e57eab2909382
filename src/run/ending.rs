//! How a group runs, and how it ends.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::cause::Failure;
use super::error::{Late, list};
use super::member::Interrupt;
use super::roll::Roll;
use super::{Cause, Ended, Error, Group, Signaled};
use crate::StepError;
use crate::error::Chain;

/// How long an aborted task may take to be dropped before it counts as one that blocks its thread.
const ABORT: Duration = Duration::from_millis(100);

pub(super) async fn run(group: Group, stop: CancellationToken) -> Result<Ended, Error> {
    let begun = stop.clone().drop_guard();
    let Group { members, grace } = group;
    if members.is_empty() {
        return Ok(Ended {
            first: None,
            signal: None,
        });
    }

    let roll = Roll::new(grace);
    let mut tasks = Tasks::default();
    let mut interrupts = Vec::with_capacity(members.len());
    for (index, member) in members.into_iter().enumerate() {
        let present = roll.enter(index, &member.name);
        let id = tasks.set.spawn((member.start)(present)).id();
        interrupts.push((Arc::clone(&member.name), member.interrupt));
        tasks.names.push((id, member.name));
    }

    let cause = match stop.run_until_cancelled(tasks.next()).await.flatten() {
        Some((name, result)) => Cause {
            first: Some(name),
            result,
        },
        None => Cause {
            first: None,
            result: Ok(()),
        },
    };
    tracing::info!("the run group ends: {cause}");
    drop(begun);
    for (name, interrupt) in interrupts {
        call(&name, interrupt, &cause);
    }

    let late = tasks.end(&roll, grace).await;
    if !late.is_empty() {
        tracing::warn!("still running {grace:?} after the stop: {}", list(&late));
    }
    let signal = cause.signal().cloned();
    if late.is_empty() && (cause.result.is_ok() || signal.is_some()) {
        Ok(Ended {
            first: cause.first,
            signal,
        })
    } else {
        Err(Error::new(cause, late, grace))
    }
}

fn call(name: &str, interrupt: Interrupt, cause: &Cause) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| interrupt(cause))) {
        let error = StepError::panicked(payload);
        tracing::error!("the interrupt of actor `{name}` failed: {error}");
    }
}

/// Dropping it aborts what still runs.
#[derive(Default)]
struct Tasks {
    set: JoinSet<Result<(), Failure>>,
    names: Vec<(Id, Arc<str>)>,
}

impl Tasks {
    /// The next actor to return, and what. `None` when there is none left.
    async fn next(&mut self) -> Option<(Arc<str>, Result<(), Failure>)> {
        let (id, result) = match self.set.join_next_with_id().await? {
            Ok((id, result)) => (id, result),
            Err(error) => (error.id(), Err(failure(error))),
        };
        let known = self.names.iter().find(|(known, _)| *known == id);
        let (_, name) = known.expect("each task got its name when it was spawned");
        Some((Arc::clone(name), result))
    }

    /// Waits for all to return, and aborts those that do not within `grace`.
    async fn end(&mut self, roll: &Roll, grace: Duration) -> Vec<Late> {
        let others = async {
            while let Some((name, result)) = self.next().await {
                log(&name, &result);
            }
        };
        if timeout(grace, others).await.is_ok() {
            return Vec::new();
        }
        let late = roll.present();
        self.set.abort_all();
        let aborted = async { while self.set.join_next().await.is_some() {} };
        // Whether that was enough is seen in the roll, which knows the threads as well.
        let _ = timeout(ABORT, aborted).await;
        let stuck = roll.present();
        let named = |(index, name): (usize, Arc<str>)| Late {
            name: name.as_ref().to_owned(),
            stuck: stuck.contains_key(&index),
        };
        late.into_iter().map(named).collect()
    }
}

fn failure(error: JoinError) -> Failure {
    match error.try_into_panic() {
        Ok(payload) => Failure::Panic(StepError::panicked(payload)),
        // Only a runtime that is being shut down cancels a task before this module does.
        Err(error) => Failure::Error(error.into()),
    }
}

/// What an actor returned after the first one: the group's result has no place for it.
fn log(name: &str, result: &Result<(), Failure>) {
    match result {
        Err(failure) if !failure.error().is::<Signaled>() => {
            tracing::warn!(
                "actor `{name}` failed while it ended: {}",
                Chain(failure.error())
            );
        }
        _ => {}
    }
}
