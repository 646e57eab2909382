//! A number of seconds is no notifier.

//~ `{integer}` is not a notifier
//~ implement `Notifier`, pass an `async || Ok("name".into())` closure, or a `tokio::sync::mpsc::Receiver` of what is `Into<Trigger>`

use rekindle::Manager;

pub fn start(reload: &mut Manager) {
    reload.on(60);
}

fn main() {}
