//! The task in which old values end, outside of reloads: dropped one after the other, retired side
//! by side.
//!
//! What a value was built from is let go when its retirement has ended. So what is retired next in
//! a chain of components arrives here only then, whatever the builds kept.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::drain::Drains;
use crate::crew::{CENTURY, Job, Kind, Ledger};
use crate::live::{Remains, ToRetire};
use crate::race::{Either, race};

/// Ends old values.
pub(super) struct Reaping {
    pub(super) arrivals: mpsc::UnboundedReceiver<Remains>,
    pub(super) to_retire: Arc<ToRetire>,
    pub(super) drains: Arc<Drains>,
    pub(super) ledger: Arc<Ledger>,
}

impl Reaping {
    /// Ends values until `end` is cancelled, and then until none is left that has to be retired.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the retirements that run.
    pub(super) async fn run(mut self, end: CancellationToken) {
        let mut retiring = JoinSet::new();
        let mut ends = false;
        let mut saying = pin!(self.drains.say_what_is_overdue());
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
            let work = race(retired, self.arrivals.recv());
            match race(ended, race(saying.as_mut(), work)).await {
                Either::First(()) => ends = true,
                Either::Second(Either::Second(Either::Second(Some(remains)))) => {
                    if remains.is_to_retire() {
                        retiring.spawn(retire(remains, Arc::clone(&self.ledger)));
                    } else {
                        bury(remains, &self.ledger);
                    }
                }
                // Nothing is left that could end.
                Either::Second(Either::Second(Either::Second(None))) => break,
                Either::Second(_) => {}
            }
        }
        self.arrivals.close();
        while let Some(remains) = self.arrivals.recv().await {
            bury(remains, &self.ledger);
        }
    }
}

async fn retire(mut remains: Remains, ledger: Arc<Ledger>) {
    let entry = ledger.add(Kind::Retire, remains.name(), CENTURY);
    let retired = match Job::start(&entry, || remains.retire()) {
        Ok(job) => job.await,
        Err(error) => Err(error),
    };
    if let Err(error) = retired {
        let name = remains.name();
        tracing::error!(
            target: "rekindle",
            "an old value of component `{name}` could not be retired: {}",
            error.chain(),
        );
    }
    bury(remains, &ledger);
}

fn bury(remains: Remains, ledger: &Arc<Ledger>) {
    let name = Arc::clone(remains.name());
    ledger.dropping(&name, || drop(remains));
}
