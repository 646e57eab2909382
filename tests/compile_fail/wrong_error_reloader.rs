//! A function that fails with an error type of its own: its error has to be boxed, by `?`.

//~ an effect returns `()` or `Result<(), BoxError>`, not `Result<(), std::io::Error>`
//~ a function with an error type of its own is called in a closure: `async |input| Ok(function(input).await?)`

use std::io;

use rekindle::{Manager, Triggers};

async fn audit(_: Triggers) -> Result<(), io::Error> {
    Ok(())
}

pub fn start(reload: &mut Manager) {
    reload.add(0, "audit", audit);
}

fn main() {}
