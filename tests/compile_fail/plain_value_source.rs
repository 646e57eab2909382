//! A source has to say whether it could be read: `Ok(value)`.

//~ a component is built by a function that returns `Result<T, BoxError>`, not `String`
//~ end it with `Ok(value)`; pass errors on with `?`, which boxes them

use rekindle::{Error, Manager};

pub async fn start(reload: &mut Manager) -> Result<(), Error> {
    let text = reload.source("text", async || "hello".to_owned()).await?;
    assert_eq!(*text.load(), "hello");
    Ok(())
}

fn main() {}
