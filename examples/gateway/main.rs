//! A reverse proxy of the kind that people restart for a new configuration, without the restart.
//!
//! It shows how far the parts of a service can be replaced while it runs: listeners, certificates,
//! routes, upstreams with their pools and health checks, the log level. All of them are in one file.
//! What a reload does not change it does not touch: sockets stay open, pools stay warm, downloads
//! and WebSockets go on. Start it at the root of the repository:
//!
//! ```text
//! cargo run --example gateway
//! ```
//!
//! and in other terminals:
//!
//! ```text
//! python3 -m http.server 9901                     # an upstream; it is noticed to be well
//! curl -i http://127.0.0.1:8080/
//! vi examples/gateway/gateway.toml                # each save that is valid is taken over
//! curl -X POST http://127.0.0.1:9900/-/check      # what would a reload say?
//! curl -X POST http://127.0.0.1:9900/-/reload
//! curl http://127.0.0.1:9900/-/status
//! ```
//!
//! # How it is put together
//!
//! ```text
//! gateway.toml, certificates ── config ─┬─ log filter                      effect
//!                                       ├─ listeners    one per address    how connections are served
//!                                       ├─ sockets      one per address    run: accept
//!                                       ├─ upstreams    one per name       run: health check
//!                                       ├─ routes       one per place      headers, limits, times
//!                                       └─ router       of the latter two: what a request asks
//! ```
//!
//! A request asks the router once, and is of that generation to its end. A connection is served as
//! the file says when it is accepted. A listener that is removed closes its socket at once, and its
//! connections end when they have been told so: with `connection: close`, GOAWAY, or a close frame.
//!
//! # What it leaves out
//!
//! Upstreams are spoken to in HTTP/1.1 without TLS. There is no HTTP/2 without TLS, and no WebSocket
//! within HTTP/2. A client that stops reading one stream of HTTP/2, and goes on with others, is not
//! noticed until its connection ends. To go from `0.0.0.0` to a single address of the same port takes
//! two steps, as both cannot be bound at once.

mod answer;
mod args;
mod body;
mod config;
mod connection;
mod headers;
mod listener;
mod proxy;
mod route;
mod tls;
mod tunnel;
mod upstream;

use std::error::Error;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use axum::Router as Admin;
use clap::Parser;
use rekindle::notify::{self, SignalKind};
use rekindle::{BoxError, Manager, http as admin, run};
use tokio::net::TcpListener;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::args::Args;
use crate::listener::{Accept, Listener, Socket};
use crate::proxy::Proxy;
use crate::route::{Route, Router};
use crate::upstream::Upstream;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let filter = log_to_stderr();
    match serve(args, filter).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            _ = writeln!(std::io::stderr(), "gateway: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: Args, filter: Filter) -> Result<(), BoxError> {
    // Before anything that takes time, so that no signal finds the app unprepared.
    let signals = run::signals()?;
    let hangup = notify::signal(SignalKind::hangup())?;
    let drain = args.drain_seconds;

    let mut reload = Manager::new().drain(drain).grace(drain);
    let file = config::file(&args.configuration_path)
        .quiet(args.quiet_seconds)
        .watch();
    let config = reload.source("config", file).await?;

    let log = reload.derive("log", config.select(|c| &c.log), async |log| {
        Ok(EnvFilter::try_new(log)?)
    });
    let log = log.await?;
    reload
        .apply("log filter", &log, async move |log| {
            Ok(filter.reload(EnvFilter::clone(&log))?)
        })
        .await?;

    let listeners = reload
        .each(
            "listeners",
            config.select(|c| &c.listeners),
            |listeners| listeners,
            async |_, listener| Listener::new(&listener),
        )
        .await?;
    let upstreams = reload
        .each(
            "upstreams",
            config.select(|c| &c.upstreams),
            |upstreams| upstreams,
            async |_, upstream| Upstream::new(upstream),
        )
        .runs(upstream::watch)
        .await?;
    let routes = reload
        .each(
            "routes",
            config.select(|c| &c.routes),
            |routes| routes,
            async |_, settings| Ok(Route { settings }),
        )
        .await?;
    let parts = (&routes, &upstreams, config.select(|c| &c.debug_headers));
    let router = reload.derive("router", parts, async |(routes, upstreams, debug)| {
        Router::new(&routes, &upstreams, debug)
    });
    let router = router.await?;

    // Last, because it is they who read all of the others.
    let accept = Accept {
        listeners,
        proxy: Proxy { router, drain },
    };
    let addresses = config.map(|c| c.listeners.keys().map(|address| (*address, ())).collect());
    reload
        .each(
            "sockets",
            addresses,
            |addresses| addresses,
            async |address, ()| Socket::bind(address).await,
        )
        .runs(async move |socket, stop| accept.run(socket, stop).await)
        .await?;
    reload.on(hangup);

    let address = reload.pin("admin", config.select(|c| &c.admin)).await?;
    let listener = TcpListener::bind(*address.load()).await?;
    let address = listener.local_addr()?;
    let admin = Admin::new().nest_service("/-", admin::Admin::new(reload.handle()));
    let mut group = run::Group::new();
    group.add("signals", signals);
    group.add("admin", |stop| {
        axum::serve(listener, admin).with_graceful_shutdown(stop.cancelled_owned())
    });
    tracing::info!("listening on http://{address}");
    reload.run(|stop| group.run_until(stop)).await?;
    tracing::info!("stopped");
    Ok(())
}

/// The end of the log through which its filter is replaced.
type Filter = reload::Handle<EnvFilter, Registry>;

fn log_to_stderr() -> Filter {
    let (filter, handle) = reload::Layer::new(EnvFilter::new("info"));
    let lines = fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .init();
    handle
}

/// An error and its causes in one line.
fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
