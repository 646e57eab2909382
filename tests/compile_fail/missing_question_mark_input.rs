//! A component that may not have been made is no input.

//~ ` cannot be the input of a component
//~ is there an `.await?` missing where the component was made?

use rekindle::{Error, Manager};

pub async fn start(reload: &mut Manager) -> Result<(), Error> {
    let text = reload.source("text", async || Ok("hello".to_owned())).await;
    let loud = reload.derive("loud", &text, async |text| Ok(text.to_uppercase())).await?;
    assert_eq!(*loud.load(), "HELLO");
    Ok(())
}

fn main() {}
