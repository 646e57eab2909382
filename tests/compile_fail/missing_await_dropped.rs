//! A component or an effect that nobody awaits is never made.

//~ a component is made by awaiting it: add `.await?`
//~ an effect runs for the first time when it is awaited: add `.await?`

#![deny(unused_must_use)]

use rekindle::{Error, Manager};

pub async fn start(reload: &mut Manager) -> Result<(), Error> {
    let level = reload.source("level", async || Ok("info".to_owned())).await?;
    reload.derive("loud", &level, async |level| Ok(level.to_uppercase()));
    reload.apply("log level", &level, async |_| ());
    Ok(())
}

fn main() {}
