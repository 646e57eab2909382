//! Calls into the app's code that must not take anything else down.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::StepError;

/// Calls `f`; a panic becomes an error.
///
/// What `f` was working on is thrown away after a panic, so no broken state is seen.
pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, StepError> {
    catch_unwind(AssertUnwindSafe(f)).map_err(StepError::panicked)
}

/// Drops something of the app's; a panic is logged.
pub(crate) fn drop_quietly<T>(name: &str, value: T) {
    if let Err(error) = catch(|| drop(value)) {
        tracing::error!(target: "rekindle", "dropping a value of `{name}` {error}");
    }
}
