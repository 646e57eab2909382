//! A log level that is changed while the app runs.
//!
//! It shows `Manager::apply`, for what is not ours to rebuild: the subscriber of `tracing` exists
//! once per process, so a new filter is pushed into it after the commit. The filter is a component
//! of its own, because parsing it may fail, and what can fail belongs before the commit: a filter
//! that is none refuses the reload.
//!
//! ```text
//! cargo run --example log_level
//! sed -i 's/"info"/"debug"/' examples/log_level.toml
//! ```
//!
//! Ctrl-C ends it. The one argument it takes is the file to read.

use std::path::PathBuf;
use std::time::Duration;

use rekindle::{BoxError, Manager, file, run};
use rekindle_examples::{FlushOnDrop, stderr};
use serde::Deserialize;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt, reload};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    filter: String,
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let _flush = FlushOnDrop;
    let path = std::env::args_os()
        .nth(1)
        .map(PathBuf::from)
        .unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/log_level.toml").into());
    let (filter_layer, subscriber) = reload::Layer::new(EnvFilter::new("info"));
    tracing_subscriber::registry()
        .with(filter_layer)
        .with(fmt::layer().with_writer(stderr).with_ansi(false))
        .init();

    let mut group = run::Group::new();
    group.add("signals", run::signals()?);
    group.add("work", async |stop| {
        stop.run_until_cancelled(work()).await;
    });

    let mut manager = Manager::new();
    let config = manager
        .source("config", file::toml::<Config>(path).watch())
        .await?;
    let filter = manager
        .derive("filter", config.select(|c| &c.filter), async |filter| {
            // The error of the parser would repeat what is in the file.
            EnvFilter::try_new(filter).map_err(|_| "`filter` is not a list of directives".into())
        })
        .await?;
    manager
        .apply("log filter", filter, async move |filter| {
            Ok(subscriber.reload(EnvFilter::clone(&filter))?)
        })
        .await?;
    manager.run(|stop| group.run_until(stop)).await
}

async fn work() {
    loop {
        tracing::info!("to be seen at info");
        tracing::debug!("to be seen at debug");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
