//! A value is no source.

//~ `&str` is not a source
//~ implement `Source`, use `file::json(path)`, or pass `async || Ok(value)`

use rekindle::{Error, Manager};

pub async fn start(reload: &mut Manager) -> Result<(), Error> {
    reload.source("text", "hello").await?;
    Ok(())
}

fn main() {}
