//! A component is read from all threads.

//~ error[E0277]: `Rc<usize>` cannot be sent between threads safely
//~ to implement `Built`

use std::rc::Rc;

use rekindle::{Error, Manager};

pub async fn start(reload: &mut Manager) -> Result<(), Error> {
    let text = reload.source("text", async || Ok("hello".to_owned())).await?;
    let shared = reload.derive("shared", &text, async |text| Ok(Rc::new(text.len()))).await?;
    assert_eq!(**shared.load(), 5);
    Ok(())
}

fn main() {}
