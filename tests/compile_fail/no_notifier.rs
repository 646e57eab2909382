//! A number of seconds is no notifier.

use rekindle::Manager;

pub fn start(reload: &mut Manager) {
    reload.on(60);
}

fn main() {}
