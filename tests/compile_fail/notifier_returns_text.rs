//! A notifier has to say whether it worked: `Ok("name".into())`.

use rekindle::Manager;

pub fn start(reload: &mut Manager) {
    reload.on(async || "tick");
}

fn main() {}
