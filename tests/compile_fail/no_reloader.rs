//! A type of the app's that does not implement `Reloader`.

use rekindle::Manager;

struct Audit;

pub fn start(reload: &mut Manager) {
    reload.add(0, "audit", Audit);
}

fn main() {}
