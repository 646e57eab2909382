//! What changes in a `Cell` would be lost with the copy that is called.

//~ error[E0277]: `Cell<u32>` cannot be shared between threads safely
//~ AtomicU32` instead
//~ to implement `Notifier`

use std::cell::Cell;

use rekindle::Manager;

pub fn start(reload: &mut Manager) {
    let triggers = Cell::new(0_u32);
    reload.on(async move || {
        triggers.set(triggers.get() + 1);
        Ok("again".into())
    });
}

fn main() {}
