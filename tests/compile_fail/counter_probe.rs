//! A counter in a closure would start anew with each call of the probe.

//~ ` cannot be used as a probe
//~ to keep state between calls, capture an `Arc<Mutex<_>>` or an atomic in an `Arc`, or implement `Probe` for a type of your own

use std::time::Duration;

use rekindle::Manager;

pub fn start() -> Manager {
    let mut failures = 0;
    Manager::new().probation(Duration::from_secs(30), async move || {
        failures += 1;
        match failures {
            1..3 => Ok(()),
            _ => Err("not well".into()),
        }
    })
}

fn main() {}
