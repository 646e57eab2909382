//! The worker, which makes one reload after the other in one task.
//!
//! The app's code runs in this task, and may hang in it or block it. The supervisor watches from another
//! task, abandons a reload that takes too long, and replaces the worker.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

use super::core::Core;
use super::reload::{Ending, Next, Reload};
use super::transaction::Transaction;
use crate::crew::{Entry, LETTING_GO, TURN};
use crate::inside;
use crate::race::race;
use crate::woken;

/// Makes reloads until the queue is closed, a reload ends the run, or the future is dropped. If `next` is
/// a rollback, that comes first.
pub(super) async fn work(core: Arc<Core>, mut next: Next) {
    let mut turn_began = Instant::now();
    loop {
        next = match next {
            Next::Back(reload) => go_back(&core, &reload).await,
            Next::Reload => make_next(&core, &mut turn_began).await,
            Next::End => return,
        };
    }
}

async fn make_next(core: &Core, turn_began: &mut Instant) -> Next {
    let Some(asked) = core.shared.queue.next().await else {
        return Next::End;
    };
    let waited = asked.waited;
    let reload = Reload::new(core, asked);
    if waited {
        *turn_began = reload.began;
        // The tasks that the previous reload woke have had this thread meanwhile.
        woken::forget();
    }
    core.under_way.begin(&reload);
    if core.shared.stop.is_cancelled() {
        // The supervisor may have looked before this reload began.
        core.under_way.abandon(core);
        return Next::End;
    }
    let transaction = Transaction {
        core,
        reload: &reload,
    };
    let ending = inside::reload(core.shared.id, &reload.warnings, transaction.run()).await;
    let next = conclude(core, &reload, ending).await;
    if reload.began.duration_since(*turn_began) > TURN {
        // Reloads may follow each other for ever, such as those that a reloader triggers.
        yield_now().await;
        *turn_began = Instant::now();
    }
    next
}

async fn go_back(core: &Core, reload: &Arc<Reload>) -> Next {
    let transaction = Transaction { core, reload };
    let ending = inside::reload(core.shared.id, &reload.warnings, transaction.run_back()).await;
    conclude(core, reload, ending).await
}

async fn conclude(core: &Core, reload: &Reload, ending: Ending) -> Next {
    if !reload.gate.end() {
        // The supervisor has abandoned the reload, and this worker with it.
        return Next::End;
    }
    if !ending.is_clean() {
        // At a stop no reload follows, and the time for the report may be short.
        race(core.shared.stop.cancelled(), let_go(core, reload)).await;
    }
    reload.conclude(core, ending, reload.log.close([]))
}

/// Waits a moment for aborted steps of a failed reload to end, because the next reload must not meet
/// them. A step that is known to block its thread is not waited for: the ledger says that it still runs.
pub(super) async fn let_go(core: &Core, reload: &Reload) {
    let give_up = Instant::now() + LETTING_GO;
    let may_end = |it: &Running| !(it.0.is_polling() && is_late(it, SLACK));
    while running(core, reload).iter().any(may_end) && Instant::now() < give_up {
        sleep(Duration::from_millis(1)).await;
    }
}

/// A running step and its start, which is `None` while it waits for a core.
pub(super) type Running = (Arc<Entry>, Option<Instant>);

/// The time after its deadline from which on a step is taken to block its thread.
pub(super) const SLACK: Duration = Duration::from_millis(100);

/// Returns `true` if the step's time has been up for at least `by`.
pub(super) fn is_late((entry, since): &Running, by: Duration) -> bool {
    since.is_some_and(|since| since.elapsed() >= entry.timeout() + by)
}

/// Returns the running steps of this reload.
pub(super) fn running(core: &Core, reload: &Reload) -> Vec<Running> {
    let running = core.ledger.running().into_iter();
    let steps = running.filter(|entry| entry.kind.is_step());
    let steps = steps.map(|entry| (Arc::clone(&entry), entry.since()));
    let began = reload.began;
    let of_this_reload = |(entry, since): &Running| match since {
        Some(since) => *since >= began,
        None => entry.made_since(began),
    };
    steps.filter(of_this_reload).collect()
}
