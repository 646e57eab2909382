//! Signals that end a run group, and making sure that SIGINT and SIGTERM are obeyed.
//!
//! # Invariants
//!
//! 1. The first SIGINT or SIGTERM asks: actors hear it, and everything on the roster has the shutdown
//!    budget to end. What starts after an actor has taken the signal is the answer to it, and must end
//!    only when it is stopped in its turn.
//! 2. The second one, or the end of the whole budget, ends the process: nothing here waits for a
//!    lock, a task or a writer of the app's for longer than [`SAYING`].
//! 3. A process in which nothing is running any more, or not yet, is left alone by the first.
//! 4. A signal is counted before an actor hears of it, so that whoever starts anew after it has
//!    ended a group does not have it counted afterwards.

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

/// How much longer than the budget it may take, so that the orderly end, which names what hung and lets
/// `main` return, comes first wherever there is a thread left to bring it.
const SLACK: Duration = Duration::from_millis(500);

/// How often it looks, after the first signal, whether time is up: while there is something that
/// has to end.
const TICK: Duration = Duration::from_millis(50);

/// How long the last words may take: standard error may be a pipe that nobody empties.
const SAYING: Duration = Duration::from_secs(1);

/// The signals that this module obeys when nobody else does.
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

/// What an actor has that ends its group on a signal.
pub(crate) struct Stop(Arc<Actor>);

impl Stop {
    /// Listens to `kinds`, from now on, and enforces SIGINT and SIGTERM.
    ///
    /// An app may end one run group by a signal and then start another one: a call that finds no
    /// other actor, and nothing running, begins anew, and the next signal is a first one.
    pub(crate) fn new(kinds: Vec<SignalKind>) -> io::Result<Self> {
        // Before any is listened to, because that cannot be undone.
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
        // Told without the lock, because that wakes them, which may run code of the app's.
        for actor in arrived(kind) {
            actor.told.send_replace(Some(kind));
        }
    }
}

/// Counts a signal; returns those who have to be told.
fn arrived(kind: SignalKind) -> Vec<Arc<Actor>> {
    let state = state();
    let mut actors = state.actors.clone();
    actors.retain(|actor| actor.kinds.contains(&kind));
    if ENFORCED.contains(&kind) {
        for actor in &actors {
            actor.ordered.store(true, Ordering::Relaxed);
        }
        let came = Instant::now();
        // With nobody who could take it, it has been taken.
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

/// Ends the process when something is still running after its budget.
async fn enforce(kind: SignalKind, came: Instant) {
    loop {
        // From before the look on, so that none is missed.
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

/// Says why, and what is still running, and ends the process with the code that shells use.
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
    // A thread of its own, because the writer and the subscriber are not ours: both may hang.
    let saying = thread::Builder::new()
        .name("rekindle-exit".to_owned())
        .spawn(move || {
            // Nobody is left who could be told that this failed.
            let _ = writeln!(io::stderr(), "rekindle: {text}");
            event!(ERROR, "{text}");
            let _ = said.send(());
        });
    if saying.is_ok() {
        let _ = hear.recv_timeout(SAYING);
    }
    std::process::exit(128 + kind.as_raw_value());
}
