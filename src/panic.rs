//! Calls into the app's code, with panics caught.

use std::future::{Future, poll_fn};
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use crate::escape::Escaped;
use crate::log::event;
use crate::{StepError, woken};

/// Calls `f` and turns a panic into an error.
///
/// Everything that `f` was working on is dropped after a panic, so no broken state is seen.
pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, StepError> {
    catch_unwind(AssertUnwindSafe(f)).map_err(StepError::panicked)
}

/// Drops a value of the app and logs a panic.
pub(crate) fn drop_quietly<T>(name: &str, value: T) {
    if let Err(error) = catch(|| drop(value)) {
        event!(ERROR, "dropping a value of `{}` {error}", Escaped(name));
    }
}

/// Calls a waker, which can be the app's, and logs a panic.
pub(crate) fn wake_quietly<R>(wake: impl FnOnce() -> R) {
    if let Err(error) = catch(wake) {
        event!(ERROR, "waking a task {error}");
    }
}

/// Waits for `future` with a waker that catches panics of the app's waker. Where several tasks wait for
/// the same event, a panic of one waker would keep the others from being woken.
pub(crate) async fn wait_quietly<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let waker = Waker::from(Arc::new(QuietWaker(cx.waker().clone())));
        future.as_mut().poll(&mut Context::from_waker(&waker))
    })
    .await
}

struct QuietWaker(Waker);

impl Wake for QuietWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        wake_quietly(|| self.0.wake_by_ref());
        woken::note();
    }
}

/// Owns a value of the app, and catches and logs the panic of its drop. Each value has a `Quiet` of its
/// own, because a second panic while the first one unwinds would abort the process.
pub(crate) struct Quiet<T> {
    name: Arc<str>,
    /// `Some` until the drop.
    value: Option<T>,
}

impl<T> Quiet<T> {
    pub(crate) fn new(name: &Arc<str>, value: T) -> Self {
        Self {
            name: Arc::clone(name),
            value: Some(value),
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn into_inner(mut self) -> T {
        self.value.take().expect("it is there until the drop")
    }
}

impl<T> Deref for Quiet<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("it is there until the drop")
    }
}

impl<T> DerefMut for Quiet<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("it is there until the drop")
    }
}

impl<T> Drop for Quiet<T> {
    fn drop(&mut self) {
        drop_quietly(&self.name, self.value.take());
    }
}
