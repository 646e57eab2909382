//! What a notifier yields is a `Trigger`, and a text becomes one by `into`.

use rekindle::Manager;

pub fn start(reload: &mut Manager) {
    reload.on(async || Ok("tick"));
}

fn main() {}
