//! A reloader returns nothing, or whether it worked.

use rekindle::Manager;

pub fn start(reload: &mut Manager) {
    reload.add(0, "audit", async |_| 5);
}

fn main() {}
