//! The task in which old values and errors end, outside of reloads: dropped one after the other,
//! retired side by side.
//!
//! What a value was built from is let go when its retirement has ended. So what is retired next in
//! a chain of components arrives here only then, whatever the builds kept.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinSet, yield_now};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::drain::Drains;
use crate::crew::{CENTURY, Clock, Job, Kind, Ledger, Moment, TURN};
use crate::live::{Arrival, Remains, Retire, ToRetire};
use crate::log::event;
use crate::race::{Either, race};
use crate::woken;

/// An old value that is being [retired](crate::Component::retire): what
/// [`Status::retiring`](crate::Status::retiring) lists.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// # let mut reload = rekindle::Manager::new().shutdown_timeout(std::time::Duration::from_millis(20));
/// let pool = reload.source("pool", async || Ok("a pool"));
/// pool.retire(async |_pool| std::future::pending::<()>().await).await?;
/// let handle = reload.handle();
/// let ended = reload
///     .run(async move |_stop| {
///         handle.reload("example").await?;
/// #       while handle.status().retiring().is_empty() {
/// #           tokio::task::yield_now().await;
/// #       }
///         let status = handle.status();
///         let retiring = &status.retiring()[0];
///         assert_eq!(retiring.component(), "pool");
///         assert!(retiring.running_for() < std::time::Duration::from_secs(30));
///         Ok(())
///     })
///     .await;
/// // Nor has the last one ended when the run does.
/// assert!(ended.is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Retiring {
    component: Arc<str>,
    running_for: Duration,
}

impl Retiring {
    pub(super) fn of(ledger: &Ledger) -> Vec<Self> {
        let running = ledger.running().into_iter();
        let retiring = running.filter(|entry| entry.kind == Kind::Retire);
        let retiring = retiring.map(|entry| Self {
            component: Arc::clone(&entry.name),
            running_for: entry
                .since()
                .map_or(Duration::ZERO, |since| since.elapsed()),
        });
        retiring.collect()
    }

    /// The name of the component; of a collection, with the key: `pools[web]`.
    pub fn component(&self) -> &str {
        &self.component
    }

    /// How long its function has been running.
    pub fn running_for(&self) -> Duration {
        self.running_for
    }
}

/// How much is taken from the queue at once.
const BATCH: usize = 64;

/// Ends old values and errors.
pub(super) struct Reaping {
    pub(super) arrivals: mpsc::UnboundedReceiver<Arrival>,
    pub(super) to_retire: Arc<ToRetire>,
    pub(super) drains: Arc<Drains>,
    pub(super) ledger: Arc<Ledger>,
    /// How the app ends values, which know it weakly.
    pub(super) _retires: Vec<Arc<Retire>>,
}

impl Reaping {
    /// Ends values until `end` is cancelled, and then until none is left that has to be retired.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the retirements that run.
    pub(super) async fn run(mut self, end: CancellationToken) {
        let drains = Arc::clone(&self.drains);
        let mut saying = pin!(drains.say_what_is_overdue());
        let mut retiring = JoinSet::new();
        let mut arrived = Vec::with_capacity(BATCH);
        let mut turn_began = self.ledger.clock().now();
        let mut ends = false;
        while !ends || !retiring.is_empty() || !self.to_retire.is_empty() {
            let ended = async {
                match ends {
                    false => end.cancelled().await,
                    true => pending().await,
                }
            };
            let retired = async {
                if retiring.join_next().await.is_none() {
                    pending::<()>().await;
                }
            };
            let arrive = self.arrivals.recv_many(&mut arrived, BATCH);
            let work = race(retired, arrive);
            if let Either::First(()) = race(ended, race(saying.as_mut(), work)).await {
                ends = true;
            }
            // Whatever this task has woken has run by now.
            woken::forget();
            for arrival in arrived.drain(..) {
                let now = breathe(self.ledger.clock(), &mut turn_began).await;
                match arrival {
                    Arrival::Value(remains) if remains.is_to_retire() => {
                        let deadline = self.drains.deadline();
                        retiring.spawn(retire(remains, Arc::clone(&self.ledger), deadline));
                        woken::note();
                    }
                    arrival => bury(arrival, now, &self.ledger),
                }
            }
            woken::go_first().await;
        }
        self.arrivals.close();
        while let Some(arrival) = self.arrivals.recv().await {
            let now = breathe(self.ledger.clock(), &mut turn_began).await;
            bury(arrival, now, &self.ledger);
        }
    }
}

/// Lets other tasks have their turn, if values have ended for long enough, or if tasks were woken on
/// this thread. Gives the time.
async fn breathe(clock: Clock, turn_began: &mut Moment) -> Moment {
    woken::go_first().await;
    let now = clock.now();
    if now.after(*turn_began) <= TURN {
        return now;
    }
    yield_now().await;
    *turn_began = clock.now();
    *turn_began
}

async fn retire(mut remains: Remains, ledger: Arc<Ledger>, deadline: Duration) {
    let entry = ledger.add(Kind::Retire, remains.name(), CENTURY);
    let retired = match Job::start(&entry, || remains.retire()) {
        Ok(mut job) => match race(&mut job, sleep(deadline)).await {
            Either::First(retired) => retired,
            Either::Second(()) => {
                event!(WARN, "still running: {entry}");
                job.await
            }
        },
        Err(error) => Err(error),
    };
    if let Err(error) = retired {
        let name = remains.name();
        event!(
            ERROR,
            "an old value of component `{name}` could not be retired: {}",
            error.chain(),
        );
    }
    bury(Arrival::Value(remains), ledger.clock().now(), &ledger);
}

fn bury(arrival: Arrival, now: Moment, ledger: &Ledger) {
    let name = Arc::clone(arrival.name());
    ledger.dropping(&name, now, || arrival.end());
}
