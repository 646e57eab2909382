//! The task that ends old values and errors outside of reloads. It drops them one after the other, and
//! runs retirements concurrently.
//!
//! A value keeps its inputs until its retirement has ended. So in a chain of components the next value
//! to retire arrives here only then, whatever the builds kept.

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

/// An old value that is being [retired](crate::Component::retire), as
/// [`Status::retiring`](crate::Status::retiring) lists it.
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
/// // The retirement of the last value has not ended, either, when the run ends.
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

    /// The name of the component, with the key in a collection: `pools[web]`.
    pub fn component(&self) -> &str {
        &self.component
    }

    /// The time for which its function has been running.
    pub fn running_for(&self) -> Duration {
        self.running_for
    }
}

/// The most arrivals that are taken from the queue at once.
const BATCH: usize = 64;

/// The state of the task that ends old values and errors.
pub(super) struct Reaping {
    pub(super) arrivals: mpsc::UnboundedReceiver<Arrival>,
    pub(super) to_retire: Arc<ToRetire>,
    pub(super) drains: Arc<Drains>,
    pub(super) ledger: Arc<Ledger>,
    /// Keeps alive the app's retire functions, to which values have only weak references.
    pub(super) _retires: Vec<Arc<Retire>>,
}

impl Reaping {
    /// Ends values until `end` is cancelled, and then until none is left to retire.
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
            // The tasks that an earlier poll woke have run by now.
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

/// Yields to other tasks if this turn has been long, or if tasks were woken on this thread. Returns the
/// time.
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
