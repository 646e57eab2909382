//! What comes out of a channel has to be a trigger.

//~ Receiver<Key>` is not a notifier
//~ a `tokio::sync::mpsc::Receiver` of what is `Into<Trigger>`

use rekindle::Manager;
use tokio::sync::mpsc;

pub struct Key(pub &'static str);

pub fn start(reload: &mut Manager, keys: mpsc::Receiver<Key>) {
    reload.on(keys);
}

fn main() {}
