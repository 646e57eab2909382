//! What a source gives away is not there for the next read.

//~ ` is not a source
//~ it must not change what it captured, nor move it out: clone it there

use rekindle::{Error, Manager};

pub async fn start(reload: &mut Manager, text: String) -> Result<(), Error> {
    let text = reload.source("text", async move || Ok(text)).await?;
    assert_eq!(*text.load(), "hello");
    Ok(())
}

fn main() {}
