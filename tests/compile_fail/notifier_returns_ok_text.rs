//! What a notifier yields is a `Trigger`, and a text becomes one by `into`.

//~ error[E0271]: 
//~ found enum `Result<&str, _>`
//~ to implement `Notifier`

use rekindle::Manager;

pub fn start(reload: &mut Manager) {
    reload.on(async || Ok("tick"));
}

fn main() {}
