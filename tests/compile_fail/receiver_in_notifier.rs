//! A receiver that is cloned for each call has seen no more than when it was captured.

//~ ` is not a notifier
//~ to keep state between calls, pass an `mpsc::Receiver` itself, capture an `Arc<Mutex<_>>` or an atomic in an `Arc`, or implement `Notifier` for a type of your own

use rekindle::Manager;
use tokio::sync::watch;

pub fn start(reload: &mut Manager, mut changes: watch::Receiver<u32>) {
    reload.on(async move || {
        changes.changed().await?;
        Ok("changed".into())
    });
}

fn main() {}
