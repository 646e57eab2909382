//! A component that was not made yet is no input.

use rekindle::{Error, Manager};

pub async fn start(reload: &mut Manager) -> Result<(), Error> {
    let text = reload.source("text", async || Ok("hello".to_owned()));
    let loud = reload.derive("loud", &text, async |text| Ok(text.to_uppercase())).await?;
    assert_eq!(*loud.load(), "HELLO");
    Ok(())
}

fn main() {}
