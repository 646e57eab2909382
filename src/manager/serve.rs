//! The manager's loop, which answers triggers with reloads until the stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::attend::Attended;
use super::core::Core;
use super::shared::Shared;
use super::supervise::Supervisor;
use crate::Error;
use crate::crew::Kind;
use crate::race::{Either, race};
use crate::shutdown::Phase;

/// The interval at which the loop checks if steps that it could not stop have ended after all.
const LOOK: Duration = Duration::from_millis(10);

/// Answers all callers and ends the reports when it is dropped: at the stop, or with the manager or its
/// run.
pub(super) struct CloseOnDrop(pub(super) Arc<Shared>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
        self.0.end_reports();
    }
}

/// Serves reloads until the stop. Returns the failure that ended the run, if there was one, and the
/// receiver of later failures.
///
/// # Cancel safety
///
/// Dropping the future stops everything that can be stopped at once, and answers all callers.
pub(super) async fn serve(
    core: Arc<Core>,
    notifiers: Vec<Attended>,
    closer: CloseOnDrop,
    mut failures: mpsc::UnboundedReceiver<Error>,
) -> (Option<Error>, mpsc::UnboundedReceiver<Error>) {
    let shared = &core.shared;
    let mut attending = JoinSet::new();
    for notifier in notifiers {
        let fatal = core.fatal.clone();
        attending.spawn(notifier.run(Arc::clone(shared), core.policy, fatal));
    }
    let mut supervisor = Supervisor::new(&core);
    let failure = loop {
        let failed = async { failures.recv().await.expect("the core holds a sender") };
        let events = race(failed, supervisor.is_due());
        match race(shared.stop.cancelled(), events).await {
            Either::First(()) => break None,
            Either::Second(Either::First(failure)) => break Some(failure),
            Either::Second(Either::Second(due)) => supervisor.see_to(due).await,
        }
    };
    core.ledger.budget().begin();
    // Waiting callers are answered first.
    shared.close();
    supervisor.stop().await;
    drop(closer);
    wind_down(&core, attending).await;
    (failure, failures)
}

/// Stops the notifiers, and waits for steps that block their thread, within the app's share of the
/// shutdown budget. The ledger names those that have not ended by then.
async fn wind_down(core: &Core, mut attending: JoinSet<()>) {
    let deadline = core.ledger.budget().deadline_inside(Phase::App);
    attending.abort_all();
    let all_gone = async { while attending.join_next().await.is_some() {} };
    let _ = timeout_at(deadline, all_gone).await;
    // Tasks and retirements, which belong to values, have their time after the app has returned.
    let is_running = || {
        let mut running = core.ledger.running().into_iter();
        running.any(|entry| entry.kind.is_step() || entry.kind == Kind::Notifier)
    };
    while is_running() && Instant::now() < deadline {
        sleep(LOOK).await;
    }
}
