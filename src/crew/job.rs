//! One call into the app's code: panics caught, and seen in the ledger while it runs.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::entry::Entry;
use crate::panic::drop_quietly;
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
    /// If `make` panics, or an earlier step of this entry has not ended.
    pub(crate) fn start(
        entry: &Arc<Entry>,
        make: impl FnOnce() -> BoxFuture<'a, T>,
    ) -> Result<Self, StepError> {
        entry.start_job()?;
        // From here on the entry ends with the job, also if `make` panics.
        let mut job = Self {
            entry: Arc::clone(entry),
            future: None,
        };
        job.future = Some(entry.polling(make)?);
        Ok(job)
    }

    pub(crate) fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }
}

impl<T> Future for Job<'_, T> {
    type Output = Result<T, StepError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut future = self
            .future
            .take()
            .expect("a job is not polled after its end");
        let result = match self.entry.polling(|| future.as_mut().poll(cx)) {
            Ok(Poll::Pending) => {
                self.future = Some(future);
                return Poll::Pending;
            }
            Ok(Poll::Ready(result)) => result.map_err(StepError::error),
            Err(panicked) => Err(panicked),
        };
        let name = Arc::clone(&self.entry.name);
        let _ = self.entry.polling(|| drop_quietly(&name, future));
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
