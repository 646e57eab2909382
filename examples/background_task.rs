//! A task in the background that is replaced when its settings change.
//!
//! It shows `runs`: the component is the setting of a poller, and what it does while it is current is
//! a task. The first one starts with the app. A reload that changes the setting starts another at the
//! commit, and tells the old one to stop; one that is refused has started nothing. A poll that fails
//! ends the task, and `on_exit` says what becomes of it: here it is started again, after a pause that
//! grows each time.
//!
//! ```text
//! cargo run --example background_task
//! sed -i 's/1000/200/' examples/background_task.toml     # the task is replaced
//! sed -i 's/"background/"underground/' examples/background_task.toml
//!                                                        # it fails, and is started again
//! ```
//!
//! Ctrl-C ends it. The one argument it takes is the file to read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rekindle::{BoxError, Lease, Manager, OnExit, file, run};
use rekindle_examples::{FlushOnDrop, say, stderr};
use serde::Deserialize;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    poller: Poller,
}

/// What the poller is to do. It stands for a consumer of a queue, a scraper, a cache that is kept warm.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Poller {
    /// In milliseconds.
    every: u64,
    /// The file whose length it tells; relative to the one that says so.
    polls: PathBuf,
}

impl Poller {
    fn prepare(mut self, beside: &Path) -> Result<Self, BoxError> {
        // What can be found wrong before the commit refuses the reload.
        if self.every == 0 {
            return Err("`every` must be at least 1".into());
        }
        self.polls = beside.with_file_name(self.polls);
        Ok(self)
    }

    /// The task. It ends between two polls, so none is broken off.
    async fn run(poller: Lease<Self>, stop: CancellationToken) -> Result<(), BoxError> {
        say!("polling every {} ms", poller.every);
        let mut ticks = interval(Duration::from_millis(poller.every));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let found = tokio::fs::metadata(&poller.polls).await?;
            say!("polled: {} bytes", found.len());
        }
        say!("no longer polling every {} ms", poller.every);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let _flush = FlushOnDrop;
    tracing_subscriber::fmt()
        .with_writer(stderr)
        .with_ansi(false)
        .init();
    let path = std::env::args_os()
        .nth(1)
        .map(PathBuf::from)
        .unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/background_task.toml").into());

    let mut group = run::Group::new();
    group.add("signals", run::signals()?);

    let mut reload = Manager::new();
    let config = file::toml::<Config>(&path).watch();
    let config = reload.source("config", config).await?;
    reload
        .derive(
            "poller",
            config.select(|config| &config.poller),
            async move |poller: Poller| poller.prepare(&path),
        )
        .runs(Poller::run)
        // The default. `OnExit::Leave` is for what is to be done once, `OnExit::Stop` for what the
        // app cannot do without.
        .on_exit(OnExit::Restart)
        .await?;
    reload.run(|stop| group.run_until(stop)).await
}
