//! A build may run on any thread.

//~ error[E0277]: `Rc<usize>` cannot be sent between threads safely
//~ required by a bound in `Manager::derive`

use std::rc::Rc;

use rekindle::{Error, Manager};

pub async fn start(reload: &mut Manager, times: Rc<usize>) -> Result<(), Error> {
    let text = reload.source("text", async || Ok("hello".to_owned())).await?;
    let long = reload.derive("long", &text, async move |text| Ok(text.repeat(*times))).await?;
    assert_eq!(*long.load(), "hellohello");
    Ok(())
}

fn main() {}
