//! The task in which old values end: outside of reloads, one after the other.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::crew::Ledger;
use crate::live::Remains;
use crate::race::{Either, race};

/// Ends values until `end` is cancelled, and then those that have arrived by then.
pub(super) async fn reap(
    mut arrivals: mpsc::UnboundedReceiver<Remains>,
    end: CancellationToken,
    ledger: Arc<Ledger>,
) {
    while let Either::Second(Some(remains)) = race(end.cancelled(), arrivals.recv()).await {
        bury(remains, &ledger);
    }
    arrivals.close();
    while let Some(remains) = arrivals.recv().await {
        bury(remains, &ledger);
    }
}

fn bury(remains: Remains, ledger: &Arc<Ledger>) {
    let name = Arc::clone(remains.name());
    ledger.dropping(&name, || drop(remains));
}
