//! What comes out of a channel has to be a trigger.

use rekindle::Manager;
use tokio::sync::mpsc;

pub struct Key(pub &'static str);

pub fn start(reload: &mut Manager, keys: mpsc::Receiver<Key>) {
    reload.on(keys);
}

fn main() {}
