//! Makes reloads, one after the other, in one task.
//!
//! The app's code runs in this task, and so may hang in it or block it. The supervisor watches from
//! another one; it gives up a reload that takes too long, and replaces the worker.

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

/// Works until the queue is closed, a reload ends the run, or this is dropped. If there is something
/// to go back from, it does that first.
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
        // What the reload before has woken has had this thread meanwhile.
        woken::forget();
    }
    core.under_way.begin(&reload);
    if core.shared.stop.is_cancelled() {
        // The supervisor may have looked before this one was there.
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
        // There may be a next one for ever: a reloader may trigger one, too.
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
        // It was given up, and so was this worker.
        return Next::End;
    }
    if !ending.is_clean() {
        // At a stop nothing follows, and the time for telling may be short.
        race(core.shared.stop.cancelled(), let_go(core, reload)).await;
    }
    reload.conclude(core, ending, reload.log.close([]))
}

/// What did not end well may have left steps behind that were told to end and have not yet, and
/// the next reload must not meet them. One that is known to block its thread is not waited for; the
/// ledger says that it still runs.
pub(super) async fn let_go(core: &Core, reload: &Reload) {
    let give_up = Instant::now() + LETTING_GO;
    let may_end = |it: &Running| !(it.0.is_polling() && is_late(it, SLACK));
    while running(core, reload).iter().any(may_end) && Instant::now() < give_up {
        sleep(Duration::from_millis(1)).await;
    }
}

/// A step that runs, and since when; `None` while it waits for a core.
pub(super) type Running = (Arc<Entry>, Option<Instant>);

/// How long after its deadline a step is taken to block its thread.
pub(super) const SLACK: Duration = Duration::from_millis(100);

/// Whether its time has been up for so long.
pub(super) fn is_late((entry, since): &Running, by: Duration) -> bool {
    since.is_some_and(|since| since.elapsed() >= entry.timeout() + by)
}

/// The steps of this reload that run.
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
