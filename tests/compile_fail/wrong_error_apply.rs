//! A function that fails with an error type of its own: its error has to be boxed, by `?`.

//~ an effect returns `()` or `Result<(), BoxError>`, not `Result<(), std::io::Error>`
//~ a function with an error type of its own is called in a closure: `async |input| Ok(function(input).await?)`

use std::io;

use rekindle::{Error, Lease, Manager};

async fn push(_: Lease<String>) -> Result<(), io::Error> {
    Ok(())
}

pub async fn start(reload: &mut Manager) -> Result<(), Error> {
    let level = reload.source("level", async || Ok("info".to_owned())).await?;
    reload.apply("log level", &level, push).await
}

fn main() {}
