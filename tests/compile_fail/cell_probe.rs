//! What changes in a `Cell` would be lost with the copy that is called.

//~ error[E0277]: `Cell<u32>` cannot be shared between threads safely
//~ AtomicU32` instead
//~ to implement `Probe`

use std::cell::Cell;
use std::time::Duration;

use rekindle::Manager;

pub fn start() -> Manager {
    let calls = Cell::new(0_u32);
    Manager::new().probation(Duration::from_secs(30), async move || calls.set(calls.get() + 1))
}

fn main() {}
