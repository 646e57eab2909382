//! Tasks that were woken on this thread, and run before code of the app's may block it.
//!
//! # Why
//!
//! On a runtime with several threads, tokio puts the task that a thread wakes or spawns last into a slot
//! of that thread (the LIFO slot), to run it next. No other thread takes it from there. So a thread
//! that wakes a task, goes on, and then blocks in code of the app's holds that task up, whatever else
//! wakes it meanwhile.
//!
//! # The rule
//!
//! 1. Code that wakes or spawns tasks in the middle of a poll calls [`note`].
//! 2. Code that is about to call the app in place awaits [`go_first`], which hands the thread back once
//!    if something was noted, and else costs one look.
//!
//! One step back is enough: tokio polls the task in the slot before it takes another one from its queue,
//! so after a step back nothing that this crate woke is left in the slot. For the same reason a note of
//! an earlier poll is worth nothing.
//!
//! # Two ways to hand the thread back
//!
//! [`step_back`] wakes its own task. tokio puts that at the end of the thread's queue, from which other
//! threads steal, and wakes one of them for it; so if a task that runs first blocks the thread,
//! another thread goes on with this one.
//!
//! [`yield_now`](tokio::task::yield_now) defers its task until the thread has nothing else to do and has
//! polled timers and I/O. That is right at the end of a long turn. It is wrong before something that
//! may block, because no other thread can steal a deferred task.

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

/// Returns `true` if a task was woken on this thread since the last step back.
#[inline]
pub(crate) fn is_noted() -> bool {
    NOTED.get()
}

/// Forgets the notes of earlier polls, at the begin of one.
#[inline]
pub(crate) fn forget() {
    NOTED.set(false);
}

/// Lets the tasks run first that were woken on this thread.
#[inline]
pub(crate) async fn go_first() {
    if is_noted() {
        step_back().await;
    }
}

/// Lets all tasks run first that are ready on this thread, or leaves them to it and goes on elsewhere.
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
