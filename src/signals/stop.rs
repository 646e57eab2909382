//! Signals that end a run group, and making sure that SIGINT and SIGTERM are obeyed.
//!
//! # Invariants
//!
//! 1. The first SIGINT or SIGTERM asks: actors hear it, and everything that is registered as a
//!    straggler has its grace period to end.
//! 2. The second one, or the end of that grace period, ends the process: nothing here waits for a
//!    lock, a task or a writer of the app's for longer than [`SAYING`].
//! 3. A process in which nothing is running any more, or not yet, is left alone by the first.
//! 4. A signal is counted before an actor hears of it, so that whoever starts anew after it has
//!    ended a group does not have it counted afterwards.

use std::future::{Future, poll_fn};
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind};
use tokio::sync::watch;

use super::{listen, name, thread as signal_thread};
use crate::stragglers;

/// How much longer than the grace period it may take, so that the orderly end, which names its own
/// stragglers and lets `main` return, comes first wherever there is a thread left to bring it.
const SLACK: Duration = Duration::from_millis(500);

/// How often it looks, after the first signal, whether time is up. What has to end may still change
/// then, because a start-up goes on until its run group finds the signal.
const TICK: Duration = Duration::from_millis(50);

/// How long the last words may take: standard error may be a pipe that nobody empties.
const SAYING: Duration = Duration::from_secs(1);

static STATE: Mutex<State> = Mutex::new(State {
    actors: 0,
    heard: Vec::new(),
    first: None,
});

struct State {
    /// How many [`Stop`]s there are.
    actors: usize,
    /// The signals that have a task on the signal thread, and what that task tells the actors with.
    heard: Vec<(SignalKind, watch::Sender<()>)>,
    /// When the first SIGINT or SIGTERM came.
    first: Option<Instant>,
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What an actor has that ends its group on a signal.
pub(crate) struct Stop {
    arrivals: Vec<Pin<Box<dyn Future<Output = SignalKind> + Send>>>,
}

impl Stop {
    /// Listens to `kinds`, from now on, and enforces SIGINT and SIGTERM.
    ///
    /// An app may end one run group by a signal and then start another one: a call that finds no
    /// other actor, and nothing running, begins anew, and the next signal is a first one.
    pub(crate) fn new(kinds: &[SignalKind]) -> io::Result<Self> {
        let runtime = signal_thread::runtime()?;
        let idle = stragglers::running().is_empty();
        let mut state = state();
        let mut arrivals: Vec<Pin<Box<dyn Future<Output = _> + Send>>> = Vec::new();
        for &kind in kinds {
            let known = state.heard.iter().find(|(known, _)| *known == kind);
            let mut receiver = match known {
                Some((_, sender)) => sender.subscribe(),
                None => {
                    let (sender, receiver) = watch::channel(());
                    runtime.spawn(hear(kind, listen(kind)?, sender.clone()));
                    state.heard.push((kind, sender));
                    receiver
                }
            };
            arrivals.push(Box::pin(async move {
                receiver.changed().await.expect("the sender is in a static");
                kind
            }));
        }
        if state.actors == 0 && idle {
            state.first = None;
        }
        state.actors += 1;
        Ok(Self { arrivals })
    }

    /// Resolves when one of the signals has arrived. To be polled until then, and not again.
    pub(crate) async fn signal(&mut self) -> SignalKind {
        let any = |cx: &mut Context<'_>| {
            let mut polls = self
                .arrivals
                .iter_mut()
                .map(|arrival| arrival.as_mut().poll(cx));
            polls.find(Poll::is_ready).unwrap_or(Poll::Pending)
        };
        poll_fn(any).await
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        state().actors -= 1;
    }
}

async fn hear(kind: SignalKind, mut stream: Signal, actors: watch::Sender<()>) {
    let enforced = [SignalKind::interrupt(), SignalKind::terminate()].contains(&kind);
    while stream.recv().await.is_some() {
        if enforced {
            let now = Instant::now();
            let earlier = state().first.replace(now);
            match earlier {
                None => tokio::spawn(enforce(kind, now)),
                Some(_) => exit(kind, "a second signal, so the process ends at once"),
            };
        }
        actors.send_replace(());
    }
}

/// Ends the process when something is still running after its grace period.
async fn enforce(kind: SignalKind, first: Instant) {
    while state().first == Some(first) {
        if let Some(grace) = stragglers::overdue(first, SLACK) {
            exit(kind, &format!("the grace period of {grace:?} is over"));
        }
        tokio::time::sleep(TICK).await;
    }
}

/// Says why, and what is still running, and ends the process with the code that shells use.
fn exit(kind: SignalKind, why: &str) -> ! {
    let mut text = format!("{}: {why}", name(kind));
    let running = stragglers::running();
    if !running.is_empty() {
        text = format!("{text}; still running: {}", running.join(", "));
    }
    let (said, hear) = mpsc::channel();
    // A thread of its own, because the writer and the subscriber are not ours: both may hang.
    let saying = thread::Builder::new()
        .name("rekindle-exit".to_owned())
        .spawn(move || {
            // Nobody is left who could be told that this failed.
            let _ = writeln!(io::stderr(), "rekindle: {text}");
            tracing::error!("{text}");
            let _ = said.send(());
        });
    if saying.is_ok() {
        let _ = hear.recv_timeout(SAYING);
    }
    std::process::exit(128 + kind.as_raw_value());
}
