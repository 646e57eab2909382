//! How a group runs, and how it ends.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::cause::Failure;
use super::error::{Late, still_running};
use super::member::Interrupt;
use super::roll::Roll;
use super::{Cause, Ended, Error, Group, Signaled};
use crate::StepError;
use crate::error::Chain;
use crate::log::event;
use crate::panic::drop_quietly;
use crate::shutdown::{self, Phase, Place};

/// How long an aborted task may take to be dropped before it counts as one that blocks its thread.
const ABORT: Duration = Duration::from_millis(100);

pub(super) async fn run(group: Group, stop: CancellationToken) -> Result<Ended, Error> {
    let begun = stop.clone().drop_guard();
    let Group { members, timeout } = group;
    if members.is_empty() {
        return Ok(Ended {
            first: None,
            signal: None,
        });
    }

    let roll = Roll::new(timeout);
    let _running = roll.budget.run();
    let mut tasks = Tasks::default();
    let mut interrupts = Vec::with_capacity(members.len());
    for (index, member) in members.into_iter().enumerate() {
        let present = roll.enter(index, &member.name);
        let place = Place::actor(&roll.budget, index);
        let actor = shutdown::inside(place, (member.start)(present));
        tasks.actors.push(Actor {
            task: tasks.set.spawn(actor),
            name: Arc::clone(&member.name),
            abortable: member.abortable,
            ended: false,
            aborted: false,
        });
        interrupts.push((member.name, member.interrupt));
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
    event!(INFO, "the run group ends: {cause}");
    drop(begun);
    roll.budget.begin();
    for (name, interrupt) in interrupts {
        call(&name, interrupt, &cause);
    }

    let (late, share) = tasks.end(&roll).await;
    if !late.is_empty() {
        event!(WARN, "{}", still_running(&late, share));
    }
    let signal = cause.signal().cloned();
    if late.is_empty() && (cause.result.is_ok() || signal.is_some()) {
        Ok(Ended {
            first: cause.first,
            signal,
        })
    } else {
        Err(Error::new(cause, late, share))
    }
}

fn call(name: &str, interrupt: Interrupt, cause: &Cause) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| interrupt(cause))) {
        let error = StepError::panicked(payload);
        event!(ERROR, "the interrupt of actor `{name}` failed: {error}");
    }
}

/// Dropping it aborts what still runs.
#[derive(Default)]
struct Tasks {
    set: JoinSet<Result<(), Failure>>,
    actors: Vec<Actor>,
}

struct Actor {
    task: AbortHandle,
    name: Arc<str>,
    /// Returns no error when it is aborted.
    abortable: bool,
    ended: bool,
    aborted: bool,
}

impl Tasks {
    /// The next actor to return, and what. `None` when there is none left.
    async fn next(&mut self) -> Option<(Arc<str>, Result<(), Failure>)> {
        let (id, result) = match self.set.join_next_with_id().await? {
            Ok((id, result)) => (id, result),
            Err(error) => (error.id(), Err(failure(error))),
        };
        let mut actors = self.actors.iter_mut();
        let actor = actors.find(|actor| actor.task.id() == id);
        let actor = actor.expect("each task is that of an actor");
        actor.ended = true;
        Some((Arc::clone(&actor.name), result))
    }

    /// Waits for all to return, and aborts those that are late. Returns those that may not be, and the
    /// time that they had.
    ///
    /// Where a manager runs in an actor, it has tasks and values to end after the others, and so those
    /// have the app's share only.
    async fn end(&mut self, roll: &Roll) -> (Vec<Late>, Duration) {
        let budget = &roll.budget;
        let mut inside = Vec::new();
        let mut share = budget.window();
        if !self.end_by(budget.deadline(Phase::App), &mut inside).await {
            let managers = shutdown::managers_inside(budget);
            if !managers.is_empty() {
                share = budget.share(Phase::App);
                self.abort(roll, &managers, &mut inside);
            }
            if !self
                .end_by(budget.deadline(Phase::Retire), &mut inside)
                .await
            {
                share = budget.window();
                self.abort(roll, &[], &mut inside);
            }
        }
        (self.late(roll, share, inside).await, share)
    }

    /// Returns `true` if all that are not aborted have returned by then.
    async fn end_by(&mut self, deadline: Instant, inside: &mut Vec<Late>) -> bool {
        let all = async {
            while self
                .actors
                .iter()
                .any(|actor| !actor.ended && !actor.aborted)
            {
                self.one_more(inside).await;
            }
        };
        timeout_at(deadline, all).await.is_ok()
    }

    /// What was late, without the actors that may be aborted, which are logged.
    async fn late(&mut self, roll: &Roll, share: Duration, inside: Vec<Late>) -> Vec<Late> {
        if self.actors.iter().all(|actor| !actor.aborted) {
            return inside;
        }
        // Whether the abort was enough is seen in the roll, which knows the threads as well.
        let mut after = Vec::new();
        let all = async { while self.one_more(&mut after).await {} };
        let _ = timeout(ABORT, all).await;
        let stuck = roll.present();
        let mut late = Vec::new();
        for (index, actor) in self.actors.iter().enumerate().filter(|(_, it)| it.aborted) {
            let name = Arc::clone(&actor.name);
            let stuck = stuck.contains_key(&index);
            if actor.abortable && !stuck {
                event!(
                    WARN,
                    "actor `{name}` had not returned {share:?} after the stop: aborted"
                );
            } else {
                late.push(Late::Actor { stuck, name });
            }
        }
        late.extend(inside.into_iter().chain(after));
        late
    }

    /// Aborts the actors that are left, except for these.
    fn abort(&mut self, roll: &Roll, spared: &[usize], inside: &mut Vec<Late>) {
        for index in roll.present().into_keys() {
            let actor = &mut self.actors[index];
            if actor.aborted || spared.contains(&index) {
                continue;
            }
            if !actor.abortable {
                // Now, because what is aborted does not say any more what was late in it.
                let mut unsaid = shutdown::running_inside(&roll.budget, index);
                let said: Vec<_> = inside.iter().map(ToString::to_string).collect();
                unsaid.retain(|phrase| !said.iter().any(|said| said.starts_with(phrase)));
                inside.extend(unsaid.into_iter().map(Late::Inside));
            }
            actor.aborted = true;
            actor.task.abort();
        }
    }

    /// Waits for one more to return. The group's result has no place for what it returns, except for
    /// what was late inside of it. Returns `false` when there is none left.
    async fn one_more(&mut self, inside: &mut Vec<Late>) -> bool {
        let Some((name, result)) = self.next().await else {
            return false;
        };
        if let Err(failure) = &result {
            inside.extend(Late::inside(failure));
            log(&name, failure);
        }
        drop_quietly(&name, result);
        true
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
        event!(
            WARN,
            "actor `{name}` failed while it ended: {}",
            Chain(error)
        );
    }
}
