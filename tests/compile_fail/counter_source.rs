//! A counter in a closure would start anew with each read.

//~ ` is not a source
//~ to keep state between calls, capture an `Arc<Mutex<_>>` or an atomic in an `Arc`, or implement `Source` for a type of your own

use rekindle::{Error, Manager};

pub async fn start(reload: &mut Manager) -> Result<(), Error> {
    let mut reads = 0;
    let number = reload
        .source("number", async move || {
            reads += 1;
            Ok(reads)
        })
        .await?;
    assert_eq!(*number.load(), 1);
    Ok(())
}

fn main() {}
