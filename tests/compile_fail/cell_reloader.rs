//! What changes in a `Cell` would be lost with the copy that is called.

//~ error[E0277]: `Cell<u32>` cannot be shared between threads safely
//~ AtomicU32` instead
//~ to implement `Reloader`

use std::cell::Cell;

use rekindle::Manager;

pub fn start(reload: &mut Manager) {
    let reloads = Cell::new(0_u32);
    reload.add(0, "counter", async move |_| reloads.set(reloads.get() + 1));
}

fn main() {}
