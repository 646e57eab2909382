//! One call into the app's code: panics caught, and seen in the ledger while it runs.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::ledger::Entry;
use crate::panic::{catch, drop_quietly};
use crate::{BoxError, StepError};

/// A boxed future of the app's.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send + 'a>>;

/// A future of the app's with its entry in the ledger. The entry says that it runs from here until
/// the future is dropped, wherever and whenever that is.
pub(crate) struct Job<'a, T> {
    entry: Arc<Entry>,
    /// `None` once it has ended.
    future: Option<BoxFuture<'a, T>>,
}

impl<'a, T> Job<'a, T> {
    /// Calls `make`, which runs code of the app's too.
    ///
    /// # Errors
    ///
    /// If `make` panics, or an earlier job of this entry was given up and still runs.
    pub(crate) fn start(
        entry: &Arc<Entry>,
        make: impl FnOnce() -> BoxFuture<'a, T>,
    ) -> Result<Self, StepError> {
        if entry.is_running() {
            return Err(StepError::busy());
        }
        entry.start();
        // From here on the entry ends with the job, also if `make` panics.
        let mut job = Self {
            entry: Arc::clone(entry),
            future: None,
        };
        job.future = Some(job.watched(make)?);
        Ok(job)
    }

    pub(crate) fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// Runs `f` with the ledger saying that this thread is in code of the app's.
    fn watched<R>(&self, f: impl FnOnce() -> R) -> Result<R, StepError> {
        self.entry.set_polling(true);
        let result = catch(f);
        self.entry.set_polling(false);
        result
    }
}

impl<T> Future for Job<'_, T> {
    type Output = Result<T, StepError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut future = self
            .future
            .take()
            .expect("a job is not polled after its end");
        match self.watched(|| future.as_mut().poll(cx)) {
            Ok(Poll::Pending) => {
                self.future = Some(future);
                Poll::Pending
            }
            Ok(Poll::Ready(result)) => {
                drop_quietly(&self.entry.name, future);
                Poll::Ready(result.map_err(StepError::error))
            }
            Err(panicked) => {
                drop_quietly(&self.entry.name, future);
                Poll::Ready(Err(panicked))
            }
        }
    }
}

impl<T> Drop for Job<'_, T> {
    fn drop(&mut self) {
        if let Some(future) = self.future.take() {
            let _ = self.watched(|| drop_quietly(&self.entry.name, future));
        }
        self.entry.end();
    }
}
