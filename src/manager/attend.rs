//! Calls a notifier again and again, also after it has failed.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::OnError;
use super::backoff::Backoff;
use super::queue::Wanted;
use super::shared::Shared;
use super::status::NotifierStatus;
use crate::crew::{Entry, Job};
use crate::log::event;
use crate::notify::DynNotifier;
use crate::panic::Quiet;
use crate::{Error, StepError, Trigger, woken};

/// A notifier, with its entry in the ledger and its place in the status.
pub(super) struct Attended {
    pub(super) notifier: Quiet<Box<dyn DynNotifier>>,
    pub(super) entry: Arc<Entry>,
    /// The index of its status.
    pub(super) index: usize,
}

impl Attended {
    /// Calls the notifier for ever. With [`OnError::Stop`] it returns after the first failure.
    pub(super) async fn run(
        mut self,
        shared: Arc<Shared>,
        policy: OnError,
        fatal: mpsc::UnboundedSender<Error>,
    ) {
        let mut backoff = Backoff::new();
        loop {
            let asked = Instant::now();
            match self.ask().await {
                Ok(trigger) => {
                    backoff.reset();
                    self.note(&shared, None);
                    shared.queue.push(Wanted::Reload, trigger);
                    // The woken worker runs before the notifier may block this thread. Other tasks run
                    // even if the notifier is always ready.
                    woken::step_back().await;
                }
                Err(error) if policy == OnError::Stop => {
                    self.note(&shared, Some(error.clone()));
                    // A send error means that the run is over.
                    let error = Error::notifier(&self.entry.name, error);
                    drop(fatal.send(error));
                    return;
                }
                Err(error) => {
                    let pause = backoff.next(asked.elapsed());
                    event!(
                        ERROR,
                        "notifier `{}` failed, asked again in {pause:?}: {}",
                        self.entry.name,
                        error.chain(),
                    );
                    self.note(&shared, Some(error));
                    sleep(pause).await;
                }
            }
        }
    }

    async fn ask(&mut self) -> Result<Trigger, StepError> {
        let notifier = &mut self.notifier;
        Job::start(&self.entry, || notifier.notify())?.await
    }

    fn note(&self, shared: &Shared, error: Option<StepError>) {
        let mut history = shared.history();
        let status: &mut NotifierStatus = &mut history.notifiers[self.index];
        status.failures = match error {
            Some(_) => status.failures + 1,
            None => 0,
        };
        let before = std::mem::replace(&mut status.error, error);
        drop(history);
        // Dropped after the lock is released, because the error is the app's.
        drop(before);
    }
}
