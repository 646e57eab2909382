//! A reloader runs again in each reload, so what it captures has to be there again.

use rekindle::Manager;

struct Client;

impl Client {
    async fn tell(self) {}
}

pub fn start(reload: &mut Manager, client: Client) {
    reload.add(0, "audit", async move |_| client.tell().await);
}

fn main() {}
