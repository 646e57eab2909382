//! A receiver that is cloned for each call has seen no more than when it was captured.

//~ ` cannot be used as a reloader
//~ to keep state between calls, capture an `Arc<Mutex<_>>` or an atomic in an `Arc`, or implement `Reloader` for a type of your own

use rekindle::Manager;
use tokio::sync::watch;

pub fn start(reload: &mut Manager, mut health: watch::Receiver<bool>) {
    reload.add(0, "health", async move |_| {
        health.changed().await?;
        Ok(())
    });
}

fn main() {}
