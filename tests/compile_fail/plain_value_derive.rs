//! A build has to say whether it worked: `Ok(value)`.

//~ a component is built by a function that returns `Result<T, BoxError>`, not `Printer`
//~ end it with `Ok(value)`; pass errors on with `?`, which boxes them

use rekindle::{Error, Manager};

struct Printer(String);

pub async fn start(reload: &mut Manager) -> Result<(), Error> {
    let text = reload.source("text", async || Ok("hello".to_owned())).await?;
    let printer = reload.derive("printer", &text, async |text| Printer(text.to_string())).await?;
    assert_eq!(printer.load().0, "hello");
    Ok(())
}

fn main() {}
