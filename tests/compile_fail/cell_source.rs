//! What changes in a `Cell` would be lost with the copy that is called.

//~ error[E0277]: `Cell<u32>` cannot be shared between threads safely
//~ AtomicU32` instead
//~ to implement `Source`

use std::cell::Cell;

use rekindle::{Error, Manager};

pub async fn start(reload: &mut Manager) -> Result<(), Error> {
    let reads = Cell::new(0_u32);
    reload
        .source("reads", async move || {
            reads.set(reads.get() + 1);
            Ok(reads.get())
        })
        .await?;
    Ok(())
}

fn main() {}
