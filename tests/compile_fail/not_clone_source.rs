//! A source is read again in each reload, so what it captures has to be there again.

use rekindle::{Error, Manager};

struct Client;

impl Client {
    async fn get(self) -> String {
        "hello".to_owned()
    }
}

pub async fn start(reload: &mut Manager, client: Client) -> Result<(), Error> {
    let text = reload.source("text", async move || Ok(client.get().await)).await?;
    assert_eq!(*text.load(), "hello");
    Ok(())
}

fn main() {}
