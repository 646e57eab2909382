//! What a notifier changes while it waits goes into a type of its own.

//~ error[E0525]: expected a closure that implements the `AsyncFn` trait, but this closure only implements `AsyncFnMut`
//~ to implement `Notifier`

use rekindle::Manager;
use tokio::sync::mpsc;

pub fn start(reload: &mut Manager, mut changes: mpsc::Receiver<u32>) {
    reload.on(async move || {
        changes.recv().await;
        Ok("changed".into())
    });
}

fn main() {}
