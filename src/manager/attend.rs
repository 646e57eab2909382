//! Asks a notifier again and again, whatever becomes of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::OnError;
use super::queue::Wanted;
use super::shared::Shared;
use super::status::NotifierStatus;
use crate::crew::{Entry, Job};
use crate::notify::DynNotifier;
use crate::panic::Quiet;
use crate::{Error, StepError, Trigger};

/// The pause after the first failure. It doubles with each further one, up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);

/// A notifier that worked for this long before it failed is not failing in a row.
const STEADY: Duration = Duration::from_secs(60);

/// A notifier, and where its failures go.
pub(super) struct Attended {
    pub(super) notifier: Quiet<Box<dyn DynNotifier>>,
    pub(super) entry: Arc<Entry>,
    /// Its place in the status.
    pub(super) index: usize,
}

impl Attended {
    /// Never returns, unless the policy is to stop: then with the first failure.
    pub(super) async fn run(
        mut self,
        shared: Arc<Shared>,
        policy: OnError,
        fatal: mpsc::UnboundedSender<Error>,
    ) {
        let _ledger = self.entry.ledger();
        let mut pause = SHORTEST;
        loop {
            let asked = Instant::now();
            match self.ask().await {
                Ok(trigger) => {
                    pause = SHORTEST;
                    self.note(&shared, None);
                    shared.queue.push(Wanted::Reload, trigger);
                    // A notifier that is always ready must not keep others from running.
                    tokio::task::yield_now().await;
                }
                Err(error) if policy == OnError::Stop => {
                    self.note(&shared, Some(error.clone()));
                    // Without a receiver the run is over, and nobody needs to be told.
                    drop(fatal.send(Error::notifier(&self.entry.name, error)));
                    return;
                }
                Err(error) => {
                    if asked.elapsed() >= STEADY {
                        pause = SHORTEST;
                    }
                    tracing::error!(
                        target: "rekindle",
                        "notifier `{}` failed, asked again in {pause:?}: {}",
                        self.entry.name,
                        error.chain(),
                    );
                    self.note(&shared, Some(error));
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST);
                }
            }
        }
    }

    async fn ask(&mut self) -> Result<Trigger, StepError> {
        let notifier = &mut self.notifier;
        Job::start(&self.entry, || notifier.notify())?.await
    }

    fn note(&self, shared: &Shared, error: Option<StepError>) {
        let status: &mut NotifierStatus = &mut shared.history().notifiers[self.index];
        status.failures = if error.is_some() {
            status.failures + 1
        } else {
            0
        };
        status.error = error;
    }
}
