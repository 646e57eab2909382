//! Tasks that were woken on this thread, and must run before application code may block it.
//!
//! # The cause
//!
//! On a runtime with several threads, tokio puts the task that a thread woke or spawned last into a
//! slot of that thread (the LIFO slot), to run it next. No other thread takes it from there. A
//! thread that wakes a task, goes on, and then blocks in application code therefore holds that task
//! up, even if other threads wake it as well.
//!
//! # The rule
//!
//! 1. Code that wakes or spawns tasks in the middle of a poll calls [`note`].
//! 2. Code that is about to call the app in place awaits [`go_first`]. It yields the thread once if
//!    something was noted, and otherwise costs one load.
//!
//! One step back is enough: tokio polls the task in the slot before it takes another one from its queue,
//! so after a step back nothing that this crate woke is left in the slot. For the same reason a note of
//! an earlier poll is worth nothing.
//!
//! # Two ways to yield the thread
//!
//! [`step_back`] wakes its own task. tokio puts that at the end of the thread's queue, from which
//! other threads steal, and wakes one of them for it. If a task that runs first blocks the thread,
//! another thread goes on with this one.
//!
//! [`yield_now`](tokio::task::yield_now) defers its task until the thread has nothing else to do
//! and has polled timers and I/O. That is right at the end of a long turn. It is wrong before code
//! that may block, because no other thread can steal a deferred task.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::Poll;

thread_local! {
    static NOTED: Cell<bool> = const { Cell::new(false) };
}

/// Notes that a task was woken or spawned on this thread.
#[inline]
pub(crate) fn note() {
    NOTED.set(true);
}

/// Returns `true` if a task was woken or spawned on this thread since [`forget`] was last called.
#[inline]
pub(crate) fn is_noted() -> bool {
    NOTED.get()
}

/// Forgets the notes of earlier polls. Called when a poll begins.
#[inline]
pub(crate) fn forget() {
    NOTED.set(false);
}

/// Lets the tasks that were woken on this thread run first.
#[inline]
pub(crate) async fn go_first() {
    if is_noted() {
        step_back().await;
    }
}

/// Lets all tasks that are ready on this thread run first, or goes on when another thread steals
/// this one.
pub(crate) async fn step_back() {
    let mut back = false;
    poll_fn(|cx| {
        forget();
        if std::mem::replace(&mut back, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
