//! A build runs again in each reload, so what it captures has to be there again.

//~ error[E0277]: the trait bound `Client: Clone` is not satisfied
//~ required by a bound in `Manager::derive`

use rekindle::{Error, Manager};

struct Client;

struct Curler(Client, String);

pub async fn start(reload: &mut Manager, client: Client) -> Result<(), Error> {
    let url = reload.source("url", async || Ok("http://localhost".to_owned())).await?;
    let curler = reload
        .derive("curler", &url, async move |url| Ok(Curler(client, url.to_string())))
        .await?;
    assert_eq!(curler.load().1, "http://localhost");
    Ok(())
}

fn main() {}
