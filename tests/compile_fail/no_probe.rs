//! A duration is no probe.

//~ `Duration` cannot be used as a probe
//~ implement `Probe`, or pass `async || { Ok(()) }`

use std::time::Duration;

use rekindle::Manager;

pub fn start() -> Manager {
    Manager::new().probation(Duration::from_secs(30), Duration::from_secs(1))
}

fn main() {}
