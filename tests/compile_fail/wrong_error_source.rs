//! A function that fails with an error type of its own: its error has to be boxed, by `?`.

//~ a component is built by a function that returns `Result<T, BoxError>`, not `Result<String, std::io::Error>`
//~ a function with an error type of its own is called in a closure: `async |input| Ok(function(input).await?)`

use std::io;

use rekindle::{Error, Manager};

async fn read() -> Result<String, io::Error> {
    Ok("hello".to_owned())
}

pub async fn start(reload: &mut Manager) -> Result<(), Error> {
    let text = reload.source("text", read).await?;
    assert_eq!(*text.load(), "hello");
    Ok(())
}

fn main() {}
