//! The server, in a process of its own.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use rekindle::{BoxError, Handle, Lease, Live, Manager};
use rekindle_benches::runtime;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval};

/// The variable that makes a process the server: how many reloads it makes per second.
pub(crate) const PACE: &str = "REKINDLE_SERVING_PACE";

/// Serves on a free port, which it prints, until its standard input ends.
pub(crate) fn serve(pace: u32) -> Result<(), BoxError> {
    runtime(2).block_on(async {
        let mut manager = Manager::new();
        let count = AtomicU64::new(0);
        let count = std::sync::Arc::new(count);
        let read = async move || Ok(count.fetch_add(1, Ordering::Relaxed));
        let number = manager.source("number", read).await?;
        let text = manager.derive("text", &number, async |n: Lease<u64>| {
            Ok(format!("{:016}", *n))
        });
        let text = text.await?;
        let same = manager.derive("same", &number, async |n: Lease<u64>| Ok(*n));
        let same = same.await?;

        let listener = TcpListener::bind("127.0.0.1:0").await?;
        writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
        let answer = move || answer(number.clone(), text.clone(), same.clone());
        let app = Router::new().route("/", get(answer));
        let handle = manager.handle();
        manager
            .run(async move |_stop| {
                let reloading = tokio::spawn(reload(handle, pace));
                let ends = async { _ = tokio::io::stdin().read(&mut [0]).await };
                axum::serve(listener, app)
                    .with_graceful_shutdown(ends)
                    .await?;
                reloading.abort();
                Ok(())
            })
            .await
    })
}

/// Reads the three, and says what they are if they belong together.
async fn answer(number: Live<u64>, text: Live<String>, same: Live<u64>) -> String {
    let now = number.snapshot();
    let (number, text, same) = (now.get(&number), now.get(&text), now.get(&same));
    match number == same && text.parse() == Ok(*number) {
        true => text.clone(),
        false => "mixed generations".to_owned(),
    }
}

async fn reload(handle: Handle, pace: u32) -> Result<(), BoxError> {
    if pace == 0 {
        return Ok(());
    }
    let (at_once, every) = match pace {
        1_000.. => (pace / 1_000, Duration::from_millis(1)),
        _ => (1, Duration::from_secs(1) / pace),
    };
    let mut ticks = interval(every);
    // Those that are late are made up for.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        ticks.tick().await;
        for _ in 0..at_once {
            handle.reload("pace").await?;
        }
    }
}
