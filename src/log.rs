//! The one place that emits log events.
//!
//! An event runs the app's subscriber on the thread that emits it, in the middle of a reload or of the
//! end of a run. A subscriber can panic: `tracing_subscriber::fmt` reports a failed write with
//! `eprintln!`, which panics, too, when standard error is closed. A lost line must not end the reload
//! or the run.

use crate::panic::catch;

/// Emits an event for the target `rekindle`: `event!(ERROR, "a reload broke off: {error}")`. The level
/// is one of [`tracing::Level`]; what follows has the syntax of [`tracing::event!`].
///
/// The level of the subscriber is left to `tracing::event!`, which also serves the loggers of the crate
/// `log` where no subscriber is there.
macro_rules! event {
    ($level:ident, $($event:tt)+) => {
        $crate::log::emit(|| {
            ::tracing::event!(target: "rekindle", ::tracing::Level::$level, $($event)+);
        })
    };
}

pub(crate) use event;

/// Calls the subscriber. A panic is not logged, because logging is what failed. The panic hook has
/// printed it.
pub(crate) fn emit(event: impl FnOnce()) {
    drop(catch(event));
}
