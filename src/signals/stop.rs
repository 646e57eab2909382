//! Signals that end a run group, and the enforcement of SIGINT and SIGTERM.
//!
//! # Invariants
//!
//! 1. The first SIGINT or SIGTERM is a request: actors receive it, and everything on the roster has
//!    the shutdown budget to end. A run that starts after the actors have taken the signal is part
//!    of the answer to it, and must end only when it is stopped itself.
//! 2. The second one, or the end of the whole budget, ends the process: nothing here waits for a
//!    lock, a task or a writer of the app for longer than [`SAYING`].
//! 3. The first signal does not end a process in which nothing runs yet, or any more.
//! 4. A signal is counted before an actor receives it. So an app that starts anew after the signal
//!    has ended a group does not have that signal counted after the new start.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook_registry::FORBIDDEN;
use tokio::signal::unix::{Signal, SignalKind};
use tokio::sync::watch;

use super::{listen, name};
use crate::log::event;
use crate::shutdown::{self, Order, Overdue, Phase};

/// The grace after the end of the budget. The orderly end, which names what hung and lets `main`
/// return, should come first if a thread is left for it.
const SLACK: Duration = Duration::from_millis(500);

/// The interval at which the deadline is checked after the first signal, while something must end.
const TICK: Duration = Duration::from_millis(50);

/// The time limit for the last message: standard error may be a pipe without a reader.
const SAYING: Duration = Duration::from_secs(1);

/// The signals that this module enforces.
const ENFORCED: [SignalKind; 2] = [SignalKind::interrupt(), SignalKind::terminate()];

static STATE: Mutex<State> = Mutex::new(State {
    heard: Vec::new(),
    actors: Vec::new(),
});

struct State {
    /// The signals that have a task on the signal thread.
    heard: Vec<SignalKind>,
    /// One for each [`Stop`].
    actors: Vec<Arc<Actor>>,
}

struct Actor {
    kinds: Vec<SignalKind>,
    told: watch::Sender<Option<SignalKind>>,
    /// Set with the order, which `told` follows: the order is for this actor.
    ordered: AtomicBool,
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The receiver of an actor that ends its group on a signal.
pub(crate) struct Stop(Arc<Actor>);

impl Stop {
    /// Listens to `kinds` from now on, and enforces SIGINT and SIGTERM.
    ///
    /// An app may end one run group by a signal and then start another one. So a call that finds no
    /// other actor, and nothing running, forgets an earlier signal, and the next one counts as the
    /// first.
    pub(crate) fn new(kinds: Vec<SignalKind>) -> io::Result<Self> {
        // Before listening to any of them, because that cannot be undone.
        let forbidden = |kind: &&SignalKind| FORBIDDEN.contains(&kind.as_raw_value());
        if let Some(&kind) = kinds.iter().find(forbidden) {
            let text = format!("{} cannot be listened to", name(kind));
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let runtime = super::runtime()?;
        let idle = shutdown::is_idle();
        let mut state = state();
        for &kind in &kinds {
            if !state.heard.contains(&kind) {
                runtime.spawn(hear(kind, listen(kind)?));
                state.heard.push(kind);
            }
        }
        if state.actors.is_empty() && idle {
            shutdown::set_order(None);
        }
        let told = watch::Sender::new(None);
        let ordered = AtomicBool::new(false);
        let actor = Arc::new(Actor {
            kinds,
            told,
            ordered,
        });
        state.actors.push(Arc::clone(&actor));
        Ok(Self(actor))
    }

    /// Resolves when one of the signals has arrived.
    pub(crate) async fn signal(&self) -> SignalKind {
        let mut told = self.0.told.subscribe();
        let kind = told.wait_for(Option::is_some).await;
        let kind = *kind.expect("the sender lives as long as this borrow of it");
        kind.expect("it was waited for")
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        let mut state = state();
        state.actors.retain(|actor| !Arc::ptr_eq(actor, &self.0));
        // Relaxed: it is read and written under the lock.
        let waits = |actor: &Arc<Actor>| actor.ordered.load(Ordering::Relaxed);
        let taken = !state.actors.iter().any(waits);
        if let (Some(mut order), true) = (shutdown::order(), taken) {
            order.taken.get_or_insert_with(Instant::now);
            shutdown::set_order(Some(order));
        }
    }
}

async fn hear(kind: SignalKind, mut stream: Signal) {
    while stream.recv().await.is_some() {
        // Sent outside the lock, because the actors' wakers may be application code.
        for actor in arrived(kind) {
            actor.told.send_replace(Some(kind));
        }
    }
}

/// Counts a signal. Returns the actors that must receive it.
fn arrived(kind: SignalKind) -> Vec<Arc<Actor>> {
    let state = state();
    let mut actors = state.actors.clone();
    actors.retain(|actor| actor.kinds.contains(&kind));
    if ENFORCED.contains(&kind) {
        for actor in &actors {
            actor.ordered.store(true, Ordering::Relaxed);
        }
        let came = Instant::now();
        // Without an actor to take it, the signal counts as taken.
        let taken = actors.is_empty().then_some(came);
        let order = Order { came, taken };
        let first = shutdown::order().is_none();
        shutdown::set_order(Some(order));
        if !first {
            drop(state);
            exit(kind, "a second signal");
        }
        tokio::spawn(enforce(kind, came));
    }
    actors
}

/// Ends the process if something is still running after its budget.
async fn enforce(kind: SignalKind, came: Instant) {
    loop {
        // Created before the check, so that no change is missed.
        let news = shutdown::news();
        if shutdown::order().is_none_or(|order| order.came != came) {
            return;
        }
        match shutdown::overdue(SLACK) {
            Overdue::Nothing => news.await,
            Overdue::NotYet => tokio::time::sleep(TICK).await,
            Overdue::All(timeout) => exit(
                kind,
                &format!("the shutdown timeout of {timeout:?} is over"),
            ),
        }
    }
}

/// Reports the reason and what is still running, and ends the process with the exit code that
/// shells use.
fn exit(kind: SignalKind, why: &str) -> ! {
    let mut text = format!("{}: {why}", name(kind));
    if let Some(phase) = shutdown::phase() {
        let phase = match phase {
            Phase::App => ", while the app was ending",
            Phase::Tasks => ", while tasks were ending",
            Phase::Retire => ", while the last values were being retired",
            Phase::Over => "",
        };
        text.push_str(phase);
    }
    let lists = [
        ("still running", shutdown::running()),
        ("not done", shutdown::owed()),
    ];
    for (what, phrases) in lists.iter().filter(|(_, phrases)| !phrases.is_empty()) {
        text = format!("{text}; {what}: {}", phrases.join(", "));
    }
    let (said, hear) = mpsc::channel();
    // On a thread of its own, because standard error and the log subscriber may block.
    let saying = thread::Builder::new()
        .name("rekindle-exit".to_owned())
        .spawn(move || {
            // Errors are ignored, because no channel is left to report them.
            let _ = writeln!(io::stderr(), "rekindle: {text}");
            event!(ERROR, "{text}");
            let _ = said.send(());
        });
    if saying.is_ok() {
        let _ = hear.recv_timeout(SAYING);
    }
    std::process::exit(128 + kind.as_raw_value());
}
