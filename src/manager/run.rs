//! The scope of a run: the app, and around it the manager's loop and the reaper.

use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::Manager;
use super::core::Core;
use super::drain::{Draining, Drains};
use super::reap::Reaping;
use super::serve::serve;
use super::task::Task;
use super::tasks::Tasks;
use super::under_way::UnderWay;
use crate::crew::{Entry, Ledger, not_retired};
use crate::error::Chain;
use crate::live::ToRetire;
use crate::log::event;
use crate::panic::{Quiet, catch};
use crate::race::{Either, race};
use crate::shutdown::{self, Budget, Phase, Place};
use crate::{AppOutput, BoxError, Error, StepError, woken};

pub(super) async fn run<A, Fut>(manager: Manager, app: A) -> Result<(), BoxError>
where
    A: FnOnce(CancellationToken) -> Fut,
    Fut: Future<Output: AppOutput>,
{
    let Manager {
        shared,
        ledger,
        mut graph,
        names,
        reloaders,
        notifiers,
        reaper,
        arrivals,
        retires,
        probation,
        ..
    } = manager;
    let budget = Arc::clone(ledger.budget());
    let running_guard = budget.run();
    // The graph does not grow any more.
    graph.shrink();
    drop(names);
    let (policy, closer) = (manager.policy, manager.closer);
    let end_reaping = CancellationToken::new();
    reaper.runs();
    let to_retire = Arc::clone(reaper.to_retire());
    let drains = Arc::clone(&shared.drains);
    let reaping = Reaping {
        arrivals,
        to_retire: Arc::clone(&to_retire),
        drains: Arc::clone(&drains),
        ledger: Arc::clone(&ledger),
        _retires: retires,
    };
    let mut reaping = Task(tokio::spawn(reaping.run(end_reaping.clone())));
    let (fatal, failures) = mpsc::unbounded_channel();
    let core = Arc::new(Core {
        tasks: Tasks::new(&shared, &ledger, fatal.clone()),
        fatal,
        shared: Arc::clone(&shared),
        graph,
        hooks: reloaders.values().map(Vec::len).sum(),
        reloaders,
        ledger: Arc::clone(&ledger),
        policy,
        under_way: UnderWay::default(),
        due: Mutex::default(),
        probation,
        failed_probation: Mutex::default(),
    });
    let tasks = AbandonTasks(&core);
    // Tasks start before the first reload, which may replace them.
    if !shared.stop.is_cancelled() {
        core.tasks.start(&core.graph);
    }
    let serving = serve(Arc::clone(&core), notifiers, closer, failures);
    let serving = Task(tokio::spawn(serving));

    // The tasks that were spawned here go first, because the app may block this thread.
    woken::step_back().await;
    let (outcome, cut) = app_within(&budget, app, shared.stop.clone()).await;
    budget.begin();
    shared.close();
    let (failure, failures) = match serving.await {
        Ok((failure, failures)) => (failure, Some(failures)),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is shutting down.
        Err(_) => (None, None),
    };
    budget.set_phase(Phase::Tasks);
    let late = core.tasks.end(budget.deadline(Phase::Tasks)).await;
    let failures = failures.into_iter().flat_map(|mut failures| {
        failures.close();
        std::iter::from_fn(move || failures.try_recv().ok())
    });
    // The failures of tasks that ended while the app was ending.
    let failures: Vec<Error> = failures.collect();
    drop(tasks);
    close(&core);
    // Values without a holder end before this function returns. Values that the app's handles still
    // hold end in place when the handles are dropped.
    drop((core, shared));
    budget.set_phase(Phase::Retire);
    end_reaping.cancel();
    match timeout_at(budget.deadline(Phase::Retire), &mut reaping).await {
        // The reaper may have panicked long ago. Values that arrived later were dropped, not retired.
        Ok(Err(error)) if error.is_panic() => {
            let error = StepError::panicked(error.into_panic());
            event!(ERROR, "the task that ends old values {error}");
        }
        _ => {}
    }
    // Collected while the reaper still exists, and with it the running retirements.
    let mut leftovers = cut;
    leftovers.extend(late.iter().map(|(_, phrase)| phrase.clone()));
    leftovers.extend(left_over(&ledger, &late, &to_retire, &drains));
    drop((reaping, running_guard));
    conclude(failure, outcome, failures, leftovers, budget.window())
}

/// A phrase for each thing besides the late tasks that did not end: what runs, what is held and so cannot
/// be retired, and what was not retired for another reason.
fn left_over(
    ledger: &Ledger,
    late: &[(Arc<Entry>, String)],
    to_retire: &ToRetire,
    drains: &Drains,
) -> Vec<String> {
    let (running, drops) = (ledger.running(), ledger.drops());
    let mut left = to_retire.left();
    let mut held = drains.draining();
    held.retain(|held| left.contains_key(held.component()));
    let running_names = running.iter().map(|entry| &*entry.name);
    let running_names = running_names.chain(drops.iter().map(|drop| &*drop.name));
    for name in running_names.chain(held.iter().map(Draining::component)) {
        left.remove(name);
    }
    // A task that blocks its thread is in `late` and in `running`, and is named once.
    let is_late = |entry: &&Arc<Entry>| late.iter().any(|(task, _)| Arc::ptr_eq(task, entry));
    let running = running.iter().filter(|entry| !is_late(entry));
    let running = running.map(ToString::to_string);
    let drops = drops.iter().map(ToString::to_string);
    let held = held.iter().map(ToString::to_string);
    let left = left.keys().map(|name| not_retired(name));
    running.chain(drops).chain(held).chain(left).collect()
}

/// Drops the tasks when the run is dropped, because a reload that blocks its thread may hold the core.
struct AbandonTasks<'a>(&'a Core);

impl Drop for AbandonTasks<'_> {
    fn drop(&mut self) {
        self.0.tasks.abandon();
    }
}

/// Closes the components that are retired or run, and those built from them, so that no handle reaches
/// their values any more.
fn close(core: &Core) {
    // The worker may have been stopped between its commit and its wake.
    core.shared.publication.wake();
    let closing: Vec<_> = core.graph.draining().collect();
    if closing.is_empty() {
        return;
    }
    let last = core.shared.publication.current();
    let closed: Vec<usize> = closing.iter().map(|(index, _)| *index).collect();
    core.shared.publication.close(closing);
    core.replaced(&last, &closed);
}

/// Returns the first of these errors: the failure that ended the run, the app's error, a later failure,
/// and an error that names `leftovers`. Logs the others.
fn conclude(
    failure: Option<Error>,
    outcome: Result<(), BoxError>,
    failures: Vec<Error>,
    leftovers: Vec<String>,
    timeout: Duration,
) -> Result<(), BoxError> {
    let leftovers = (!leftovers.is_empty()).then(|| Error::still_running(leftovers, timeout));
    let errors = failure.map(BoxError::from).into_iter().chain(outcome.err());
    let late = failures.into_iter().chain(leftovers);
    let mut errors = errors.chain(late.map(BoxError::from));
    let told = errors.next();
    for error in errors {
        event!(ERROR, "at the end: {}", Chain(&*error));
    }
    told.map_or(Ok(()), Err)
}

/// Runs the app, and drops it at the end of its share of the budget. Returns its outcome, and phrases
/// for everything that still ran in it when it was dropped.
async fn app_within<A, Fut>(
    budget: &Arc<Budget>,
    app: A,
    stop: CancellationToken,
) -> (Result<(), BoxError>, Vec<String>)
where
    A: FnOnce(CancellationToken) -> Fut,
    Fut: Future<Output: AppOutput>,
{
    let place = Place::phase(budget, Phase::App);
    let app = shutdown::inside(place, guarded(app, stop.clone()));
    let time_is_up = async {
        stop.cancelled().await;
        budget.begin();
        sleep_until(budget.deadline(Phase::App)).await;
        let mut running = vec!["the app (dropped)".to_owned()];
        running.extend(shutdown::running_inside(budget, Phase::App as usize));
        running
    };
    match race(app, time_is_up).await {
        Either::First(outcome) => (outcome, Vec::new()),
        Either::Second(running) => (Ok(()), running),
    }
}

/// Runs the app, and returns a panic as an error.
async fn guarded<A, Fut>(app: A, stop: CancellationToken) -> Result<(), BoxError>
where
    A: FnOnce(CancellationToken) -> Fut,
    Fut: Future<Output: AppOutput>,
{
    let app = catch(|| app(stop)).map_err(Error::app_panicked)?;
    // Dropped quietly also where its time is up.
    let mut app = Quiet::new(&"the app".into(), Box::pin(app));
    let outcome = poll_fn(|cx| match catch(|| app.as_mut().poll(cx)) {
        Ok(poll) => poll.map(Ok),
        Err(panicked) => Poll::Ready(Err(panicked)),
    });
    let outcome = outcome.await.map_err(Error::app_panicked);
    drop(app);
    outcome?.into_result()
}
