//! Knows, in code of the app's, that it was called from inside a reload: waiting for another reload
//! there would never end.

use std::future::Future;

tokio::task_local! {
    /// The number of the manager whose reload this task works for.
    static MANAGER: u64;
}

/// Runs `f` as part of a reload of this manager.
pub(crate) fn scope<F: Future>(manager: u64, f: F) -> impl Future<Output = F::Output> {
    MANAGER.scope(manager, f)
}

/// For a task that works for the same reload as this one, if this one does.
pub(crate) async fn same<F: Future>(manager: Option<u64>, f: F) -> F::Output {
    match manager {
        Some(manager) => scope(manager, f).await,
        None => f.await,
    }
}

/// The manager whose reload this task works for.
pub(crate) fn manager() -> Option<u64> {
    MANAGER.try_get().ok()
}
