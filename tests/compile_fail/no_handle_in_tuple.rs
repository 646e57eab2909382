//! A value among handles: it belongs into the closure.

//~ `usize` cannot be the input of a component
//~ what no reload replaces is not an input: move it into the closure, `async move |..| ..`

use rekindle::{Error, Manager};

pub async fn start(reload: &mut Manager, times: usize) -> Result<(), Error> {
    let text = reload.source("text", async || Ok("hello".to_owned())).await?;
    let long = reload
        .derive("long", (&text, times), async |(text, times)| Ok(text.repeat(times)))
        .await?;
    assert_eq!(*long.load(), "hellohello");
    Ok(())
}

fn main() {}
