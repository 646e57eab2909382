//! A function that fails with an error type of its own: its error has to be boxed, by `?`.

use std::io;

use rekindle::{Manager, Triggers};

async fn audit(_: Triggers) -> Result<(), io::Error> {
    Ok(())
}

pub fn start(reload: &mut Manager) {
    reload.add(0, "audit", audit);
}

fn main() {}
