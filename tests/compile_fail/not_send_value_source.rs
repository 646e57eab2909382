//! A component is read from all threads.

//~ error[E0277]: `Rc<{integer}>` cannot be sent between threads safely
//~ to implement `Source`

use std::rc::Rc;

use rekindle::{Error, Manager};

pub async fn start(reload: &mut Manager) -> Result<(), Error> {
    let shared = reload.source("shared", async || Ok(Rc::new(5))).await?;
    assert_eq!(**shared.load(), 5);
    Ok(())
}

fn main() {}
