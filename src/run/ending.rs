//! How a group runs, and how it ends.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::cause::Failure;
use super::error::{Late, still_running};
use super::member::Interrupt;
use super::roll::Roll;
use super::{Cause, Ended, Error, Group, Signaled};
use crate::error::Chain;
use crate::panic::drop_quietly;
use crate::{StepError, stragglers};

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
        let actor = stragglers::within(roll.group, (member.start)(present));
        let id = tasks.set.spawn(actor).id();
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
    roll.end();
    for (name, interrupt) in interrupts {
        call(&name, interrupt, &cause);
    }

    let late = tasks.end(&roll, grace).await;
    if !late.is_empty() {
        tracing::warn!("{}", still_running(&late, grace));
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
        let mut inside = Vec::new();
        if timeout(grace, self.rest(&mut inside)).await.is_ok() {
            return inside;
        }
        let late = roll.present();
        // Now, because a group or a manager that is aborted does not say any more what was late.
        let mut unsaid = stragglers::running_within(roll.group);
        let said: Vec<_> = inside.iter().map(ToString::to_string).collect();
        unsaid.retain(|phrase| !said.iter().any(|said| said.starts_with(phrase)));
        inside.extend(unsaid.into_iter().map(Late::Inside));
        self.set.abort_all();
        // Whether that was enough is seen in the roll, which knows the threads as well.
        let _ = timeout(ABORT, self.rest(&mut inside)).await;
        let stuck = roll.present();
        let named = |(index, name): (usize, Arc<str>)| Late::Actor {
            stuck: stuck.contains_key(&index),
            name,
        };
        late.into_iter().map(named).chain(inside).collect()
    }

    /// Waits for all that are left. The group's result has no place for what they return, except
    /// for what was late inside of them.
    async fn rest(&mut self, inside: &mut Vec<Late>) {
        while let Some((name, result)) = self.next().await {
            if let Err(failure) = &result {
                inside.extend(Late::inside(failure));
                log(&name, failure);
            }
            drop_quietly(&name, result);
        }
    }
}

fn failure(error: JoinError) -> Failure {
    match error.try_into_panic() {
        Ok(payload) => Failure::Panic(StepError::panicked(payload)),
        Err(error) => Failure::Aborted(error),
    }
}

fn log(name: &str, failure: &Failure) {
    let error = failure.error();
    if !error.is::<Signaled>() && !matches!(failure, Failure::Aborted(_)) {
        tracing::warn!("actor `{name}` failed while it ended: {}", Chain(error));
    }
}
