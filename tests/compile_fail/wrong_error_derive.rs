//! A function that fails with an error type of its own: its error has to be boxed, by `?`.

//~ a component is built by a function that returns `Result<T, BoxError>`, not `Result<Printer, std::io::Error>`
//~ a function with an error type of its own is called in a closure: `async |input| Ok(function(input).await?)`

use std::io;

use rekindle::{Error, Lease, Manager};

struct Printer(String);

async fn build(text: Lease<String>) -> Result<Printer, io::Error> {
    Ok(Printer(text.to_string()))
}

pub async fn start(reload: &mut Manager) -> Result<(), Error> {
    let text = reload.source("text", async || Ok("hello".to_owned())).await?;
    let printer = reload.derive("printer", &text, build).await?;
    assert_eq!(printer.load().0, "hello");
    Ok(())
}

fn main() {}
