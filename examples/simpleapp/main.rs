//! The app of the article behind slok/reload: a *printer* and a *curler*, each built from its
//! section of a JSON file, and replaced while requests are answered.
//!
//! It shows how a whole service is put together with rekindle: a watched file, components derived
//! from it, three kinds of triggers, the admin endpoints, and an end that waits for what is under
//! way. Start it at the root of the repository:
//!
//! ```text
//! cargo run --example simpleapp
//! ```
//!
//! and in another terminal:
//!
//! ```text
//! curl http://127.0.0.1:8080/print               # prints the message over there, and returns it
//! curl http://127.0.0.1:8080/curl                # makes the configured request
//! sed -i s/Mighty/Flighty/ examples/simpleapp/config.json
//! curl http://127.0.0.1:8080/print               # the new message: the file is watched
//! pkill -HUP simpleapp                           # reloads, though nothing has changed
//! curl -X POST http://127.0.0.1:8080/-/reload    # reloads, and returns the report
//! curl -X POST http://127.0.0.1:8080/-/check     # what would a reload say?
//! curl http://127.0.0.1:8080/-/status
//! curl -X POST http://127.0.0.1:8080/-/stop      # as Ctrl-C and SIGTERM do
//! ```
//!
//! Write something invalid into the file, and see that nothing happens but a line in the log.

mod args;
mod config;
mod curler;
mod printer;
mod routes;

use std::error::Error;
use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use rekindle::notify::{self, SignalKind};
use rekindle::{BoxError, Manager, file, http, run};
use rekindle_examples::{FlushOnDrop, stderr};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::args::Args;
use crate::config::Config;
use crate::curler::Curler;
use crate::printer::Printer;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let _flush = FlushOnDrop;
    log_to_stderr();
    match serve(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            stderr().say(&format!("simpleapp: {}", chain(&*error)));
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: Args) -> Result<(), BoxError> {
    // Before anything that takes time, so that no signal finds the app unprepared.
    let signals = run::signals()?;
    let hangup = notify::signal(SignalKind::hangup())?;
    let stop = CancellationToken::new();
    let listener = TcpListener::bind(args.listen_address)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", args.listen_address))?;
    let address = listener.local_addr()?;
    let client = client()?;

    // Components: the file, and what is built from its sections.
    let mut reload = Manager::new();
    let file = file::json::<Config>(&args.configuration_path).watch();
    let config = reload.source("config", file).await?;
    let printer = reload
        .derive("printer", config.select(|c| &c.printer), async |c| {
            Ok(Printer::new(c))
        })
        .await?;
    let curler = reload
        .derive("curler", config.select(|c| &c.curler), async move |c| {
            Curler::new(&c, client)
        })
        .await?;
    reload.on(hangup);

    // The app: it ends when the first of these does, or when it is told to.
    let app = routes::router(printer, curler, stop.clone())
        .nest_service("/-", http::Admin::new(reload.handle()));
    let mut group = run::Group::new();
    group.add("signals", signals);
    group.add("stop", async move |end| {
        end.run_until_cancelled(stop.cancelled()).await;
    });
    // A client that does not hang up must not turn the end into a failure.
    let server = group.add("http", |stop| {
        axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned())
    });
    server.abortable();

    tracing::info!("listening on http://{address}");
    // Reloads while the app runs. The manager writes one line per reload to the log.
    reload.run(|stop| group.run_until(stop)).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Standard output is for `/print`, so the log goes to standard error, through a writer that loses lines
/// when nothing reads them. `RUST_LOG` says how much.
fn log_to_stderr() {
    let filter = std::env::var("RUST_LOG");
    // The crate `notify` warns whenever a directory that it watches is removed.
    let filter = filter.unwrap_or_else(|_| "info,notify=error".to_owned());
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::builder().parse_lossy(filter))
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(stderr)
        .init();
}

fn client() -> Result<reqwest::Client, BoxError> {
    // Fails only if a provider is installed already, and then that one is as good.
    _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder().build()?)
}

/// An error and its causes in one line.
fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
