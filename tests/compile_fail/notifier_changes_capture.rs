//! What a notifier changes while it waits goes into a type of its own.

//~ ` is not a notifier
//~ pass an `mpsc::Receiver` itself

use rekindle::Manager;
use tokio::sync::mpsc;

pub fn start(reload: &mut Manager, mut changes: mpsc::Receiver<u32>) {
    reload.on(async move || {
        changes.recv().await;
        Ok("changed".into())
    });
}

fn main() {}
