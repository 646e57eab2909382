//! A type of the app's that does not implement `Reloader`.

//~ `Audit` cannot be used as a reloader
//~ implement `Reloader`, or pass `async |triggers: Triggers| { Ok(()) }`

use rekindle::Manager;

struct Audit;

pub fn start(reload: &mut Manager) {
    reload.add(0, "audit", Audit);
}

fn main() {}
