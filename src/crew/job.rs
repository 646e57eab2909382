//! One call into the app's code, with panics caught, and visible in the ledger while it runs.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::clock::Moment;
use super::entry::Entry;
use crate::panic::{catch, drop_quietly};
use crate::{BoxError, StepError};

/// A boxed future of the app.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send + 'a>>;

/// The result of calling the app's code for a step.
pub(crate) enum Made<'a, T> {
    /// The step is over already.
    Ready(T),
    Future(BoxFuture<'a, T>),
}

/// A future of the app with its entry in the ledger. The entry counts as running until the future is
/// dropped, wherever and whenever that is.
pub(crate) struct Job<'a, T> {
    entry: Arc<Entry>,
    /// `None` once the future has ended.
    future: Option<BoxFuture<'a, T>>,
}

impl<'a, T> Job<'a, T> {
    /// Starts a job by calling `make`, which runs code of the app too.
    ///
    /// # Errors
    ///
    /// Fails if `make` panics, or if an earlier step of this entry has not ended.
    pub(crate) fn start(
        entry: &Arc<Entry>,
        make: impl FnOnce() -> BoxFuture<'a, T>,
    ) -> Result<Self, StepError> {
        entry.start_job(entry.clock().now())?;
        // From here on the entry ends with the job, also if `make` panics.
        let mut job = Self {
            entry: Arc::clone(entry),
            future: None,
        };
        job.future = Some(entry.polling(make)?);
        Ok(job)
    }

    /// Like [`start`](Self::start) at the moment `now`, with the first poll if `in_place`. Most steps
    /// are over then, without the cost of a task.
    pub(super) fn start_and_poll(
        entry: &Arc<Entry>,
        now: Moment,
        in_place: bool,
        make: impl FnOnce() -> Made<'a, T>,
    ) -> Result<FirstPoll<'a, T>, StepError> {
        entry.start_job(now)?;
        let mut future = None;
        let polling = entry.begin_polling();
        let polled = catch(|| match make() {
            Made::Ready(value) => Poll::Ready(Ok(value)),
            Made::Future(made) => {
                let made = future.insert(made);
                // A no-op waker is enough: a pending future is spawned and polled again by its own
                // task.
                let mut cx = Context::from_waker(Waker::noop());
                match in_place {
                    true => made
                        .as_mut()
                        .poll(&mut cx)
                        .map_err(|error| entry.failed(error)),
                    false => Poll::Pending,
                }
            }
        });
        if let Ok(Poll::Pending) = polled {
            drop(polling);
            let entry = Arc::clone(entry);
            return Ok(FirstPoll::Pending(Self { entry, future }));
        }
        if future.is_some() {
            drop_quietly(&entry.name, future);
        }
        drop(polling);
        entry.end();
        match polled? {
            Poll::Ready(result) => result.map(FirstPoll::Ready),
            Poll::Pending => unreachable!("a job that is pending has been returned"),
        }
    }

    pub(crate) fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }
}

/// The result of the first poll of a job.
pub(super) enum FirstPoll<'a, T> {
    Ready(T),
    Pending(Job<'a, T>),
}

impl<T> Future for Job<'_, T> {
    type Output = Result<T, StepError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut future = self
            .future
            .take()
            .expect("a job is not polled after its end");
        let entry = &self.entry;
        let poll = || {
            future
                .as_mut()
                .poll(cx)
                .map_err(|error| entry.failed(error))
        };
        let result = match entry.polling(poll) {
            Ok(Poll::Pending) => {
                self.future = Some(future);
                return Poll::Pending;
            }
            Ok(Poll::Ready(result)) => result,
            Err(panicked) => Err(panicked),
        };
        let _ = entry.polling(|| drop_quietly(&entry.name, future));
        Poll::Ready(result)
    }
}

impl<T> Drop for Job<'_, T> {
    fn drop(&mut self) {
        if let Some(future) = self.future.take() {
            let _ = self
                .entry
                .polling(|| drop_quietly(&self.entry.name, future));
        }
        self.entry.end();
    }
}
