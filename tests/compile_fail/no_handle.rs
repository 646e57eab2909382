//! A value is no input: only a handle can say when it changed.

use rekindle::{Error, Manager};

pub async fn start(reload: &mut Manager) -> Result<(), Error> {
    let text = "hello".to_owned();
    let loud = reload.derive("loud", &text, async |text| Ok(text.to_uppercase())).await?;
    assert_eq!(*loud.load(), "HELLO");
    Ok(())
}

fn main() {}
