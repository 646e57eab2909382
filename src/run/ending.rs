//! The run of a group, and its end.

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

/// The time in which an aborted task must be dropped. A task that takes longer counts as blocking
/// its thread.
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

/// The tasks of the actors. Dropping it aborts those that still run.
#[derive(Default)]
struct Tasks {
    set: JoinSet<Result<(), Failure>>,
    actors: Vec<Actor>,
}

struct Actor {
    task: AbortHandle,
    name: Arc<str>,
    /// Aborting it is no error.
    abortable: bool,
    ended: bool,
    aborted: bool,
}

impl Tasks {
    /// Waits for the next actor to return. Returns its name and result, or `None` if none is left.
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

    /// Waits for all actors to return, and aborts those that are late. Returns the late ones that
    /// are not abortable, and the time that they had.
    ///
    /// If managers run in some actors, the other actors have only the app's share, because a
    /// manager ends its tasks and values after the app.
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

    /// The late actors that are not abortable, and the late work inside of actors. Abortable ones are
    /// logged.
    async fn late(&mut self, roll: &Roll, share: Duration, inside: Vec<Late>) -> Vec<Late> {
        if self.actors.iter().all(|actor| !actor.aborted) {
            return inside;
        }
        // The roll shows if the abort was enough, because it includes the threads.
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

    /// Aborts the actors that are left, except the `spared` ones.
    fn abort(&mut self, roll: &Roll, spared: &[usize], inside: &mut Vec<Late>) {
        for index in roll.present().into_keys() {
            let actor = &mut self.actors[index];
            if actor.aborted || spared.contains(&index) {
                continue;
            }
            if !actor.abortable {
                // Before the abort, because an aborted actor cannot report its own late work.
                let mut unsaid = shutdown::running_inside(&roll.budget, index);
                let said: Vec<_> = inside.iter().map(ToString::to_string).collect();
                unsaid.retain(|phrase| !said.iter().any(|said| said.starts_with(phrase)));
                inside.extend(unsaid.into_iter().map(Late::Inside));
            }
            actor.aborted = true;
            actor.task.abort();
        }
    }

    /// Waits for one more actor to return. Its result is only logged; the late work that its error names
    /// is added to `inside`. Returns `false` if none is left.
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
