//! A counter in a closure would start anew after each trigger.

//~ ` is not a notifier
//~ to keep state between calls, pass an `mpsc::Receiver` itself, capture an `Arc<Mutex<_>>` or an atomic in an `Arc`, or implement `Notifier` for a type of your own

use rekindle::Manager;

pub fn start(reload: &mut Manager) {
    let mut triggers = 0;
    reload.on(async move || {
        triggers += 1;
        Ok(format!("number {triggers}").into())
    });
}

fn main() {}
