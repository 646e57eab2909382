//! The manager's loop: triggers in, reloads out, until the stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::OnError;
use super::attend::Attended;
use super::queue::Wanted;
use super::shared::Shared;
use super::supervise::supervise;
use super::transaction::Core;
use crate::Error;
use crate::crew::Kind;
use crate::race::{Either, race};

/// How often the loop looks whether what it could not stop has ended after all.
const LOOK: Duration = Duration::from_millis(10);

/// Answers everyone when the manager goes away, however that happens.
pub(super) struct CloseOnDrop(pub(super) Arc<Shared>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
        self.0.end_reports();
    }
}

/// Makes reloads until the stop. Gives the failure that ended the run, where the policy is to stop at
/// the first one.
///
/// # Cancel safety
///
/// Dropping the future stops everything that can be stopped at once, and answers everyone.
pub(super) async fn serve(
    core: Arc<Core>,
    notifiers: Vec<Attended>,
    policy: OnError,
    closer: CloseOnDrop,
    mut failures: mpsc::UnboundedReceiver<Error>,
) -> Option<Error> {
    let shared = Arc::clone(&core.shared);
    let mut attending = JoinSet::new();
    for notifier in notifiers {
        let fatal = core.fatal.clone();
        attending.spawn(notifier.run(Arc::clone(&shared), policy, fatal));
    }
    let mut failure = None;
    loop {
        let failed = async { failures.recv().await.expect("the core holds a sender") };
        let events = race(failed, shared.queue.next());
        match race(shared.stop.cancelled(), events).await {
            Either::First(()) => break,
            Either::Second(Either::First(error)) => {
                failure = Some(error);
                break;
            }
            Either::Second(Either::Second((wanted, batch))) => {
                let report = Arc::new(supervise(&core, wanted, &batch).await);
                shared.publish(&report);
                batch.answer(&report);
                let failed = wanted == Wanted::Reload && !report.is_success();
                if policy == OnError::Stop && failed && !shared.stop.is_cancelled() {
                    failure = Some(Error::reload(report));
                    break;
                }
            }
        }
    }
    drop(closer);
    wind_down(&core, attending).await;
    failure
}

/// Stops the notifiers, and waits for steps that block their thread, within the grace period. What
/// does not end by then is in the ledger.
async fn wind_down(core: &Core, mut attending: JoinSet<()>) {
    let give_up = core.shared.give_up(core.ledger.grace());
    attending.abort_all();
    let all_gone = async { while attending.join_next().await.is_some() {} };
    let _ = timeout_at(give_up, all_gone).await;
    // What belongs to values has its time when the app has returned.
    let is_running = || {
        let mut running = core.ledger.running().into_iter();
        running.any(|entry| entry.kind.is_step() || entry.kind == Kind::Notifier)
    };
    while is_running() && Instant::now() < give_up {
        sleep(LOOK).await;
    }
}
