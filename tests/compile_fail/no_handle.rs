//! A value is no input: only a handle can say when it changed.

//~ `String` cannot be the input of a component
//~ an input is a handle such as `source(..).await?` gives
//~ what no reload replaces is not an input: move it into the closure, `async move |..| ..`

use rekindle::{Error, Manager};

pub async fn start(reload: &mut Manager) -> Result<(), Error> {
    let text = "hello".to_owned();
    let loud = reload.derive("loud", &text, async |text| Ok(text.to_uppercase())).await?;
    assert_eq!(*loud.load(), "HELLO");
    Ok(())
}

fn main() {}
