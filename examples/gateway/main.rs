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
//!                                       ├─ sockets      one per address    effect: listen; run: accept
//!                                       ├─ health       one per address    what the checks found
//!                                       ├─ upstreams    one per name       run: health check
//!                                       ├─ routes       one per place      headers, limits, times
//!                                       └─ router       of the latter three: what a request asks
//! ```
//!
//! A request asks the router once, and is of that generation to its end. A connection is served as
//! the file says when it is accepted. A listener that is removed closes its socket at once. Its
//! connections are told to end, with `connection: close`, GOAWAY, or a close frame, and what they have
//! asked by then is answered. One of HTTP/1 that asks nothing more cannot be told, and is closed after
//! its idle time, or half of the time to drain if that is less.
//!
//! # What it leaves out
//!
//! * Upstreams are spoken to in HTTP/1.1 without TLS. There is no HTTP/2 without TLS, no WebSocket
//!   within HTTP/2, and no gRPC: trailers and answers of 1xx do not pass.
//! * A prefix is compared with a path as it is written, but for dot segments, which are refused. What an
//!   upstream makes of `//` and `%61` is its own, so routes do not keep anybody out.
//! * HTTP/1 knows no way to end an idle connection that cannot cross a request. So it may be with a
//!   POST and the connection to an upstream, which the gateway answers with 502.
//! * A client that takes its answer very slowly is seen to take any of it when the kernel has room for a
//!   third of what it buffers, some megabytes.
//! * When a listener goes, the kernel resets who completes the handshake of TCP in the moment between the
//!   last one that is accepted and the end; those who wait by then are served, more than
//!   `max_connections` if need be.
//! * To go from `0.0.0.0` to a single address of the same port, or back, takes two saves, as both cannot be
//!   open at once: one that does it in a single save is rejected.

mod admin;
mod answer;
mod args;
mod body;
mod config;
mod connection;
mod headers;
mod listener;
mod log;
mod proxy;
mod route;
mod tls;
mod tunnel;
mod upstream;

use std::process::ExitCode;

use clap::Parser;
use rekindle::notify::{self, SignalKind};
use rekindle::{BoxError, Manager, run};
use rekindle_examples::{FlushOnDrop, stderr};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::args::Args;
use crate::listener::{Accept, Listener, Open, Socket};
use crate::log::Filter;
use crate::proxy::Proxy;
use crate::route::{Route, Router};
use crate::upstream::{Health, Upstream};

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let _flush = FlushOnDrop;
    let filter = log::to_stderr();
    raise_file_limit();
    match serve(args, filter).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            stderr().say(&format!("gateway: {}", log::chain(&*error)));
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: Args, filter: Filter) -> Result<(), BoxError> {
    // Before anything that takes time, so that no signal finds the app unprepared.
    let signals = run::signals()?;
    let hangup = notify::signal(SignalKind::hangup())?;
    let drain = args.drain_seconds;

    // Connections end in tasks, which have 80 % of the shutdown timeout.
    let mut reload = Manager::new()
        .drain(drain)
        .shutdown_timeout(drain.saturating_mul(5) / 4);
    let file = config::file(&args.configuration_path)
        .quiet(args.quiet_seconds)
        .watch();
    let config = reload.source("config", file).await?;
    let address = reload.pin("admin", config.select(|c| &c.admin)).await?;
    let admin = admin::bind(*address.load())?;

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
    let healths = reload
        .each(
            "health",
            config.select(|c| &c.upstreams),
            |upstreams| upstream::members(&upstreams),
            async |_, ()| Ok(Health::default()),
        )
        .await?;
    let known = healths.clone();
    let upstreams = reload
        .each(
            "upstreams",
            config.select(|c| &c.upstreams),
            |upstreams| upstreams,
            async |name, upstream| Ok(Upstream::new(name, upstream)),
        )
        .runs(async |upstream, stop| upstream::watch(upstream, known, stop).await)
        .await?;
    let routes = reload
        .each(
            "routes",
            config.select(|c| &c.routes),
            |routes| routes,
            async |place, settings| {
                let name = place.to_string();
                Ok(Route { name, settings })
            },
        )
        .await?;
    let debug = config.select(|c| &c.debug_headers);
    let parts = (&routes, &upstreams, &healths, debug);
    let router = reload.derive(
        "router",
        parts,
        async |(routes, upstreams, healths, debug)| {
            Router::new(&routes, &upstreams, &healths, debug)
        },
    );
    let router = router.await?;

    // Last, because it is they who read all of the others.
    let ending = CancellationToken::new();
    let open = Open {
        listeners: listeners.clone(),
        admin: admin.local_addr()?,
    };
    let accept = Accept {
        listeners,
        proxy: Proxy { router, drain },
        ending: ending.clone(),
    };
    let addresses = config.map(|c| c.listeners.keys().map(|address| (*address, ())).collect());
    let sockets = reload
        .each(
            "sockets",
            addresses,
            |addresses| addresses,
            async move |address, ()| Socket::bind(address, &open),
        )
        .runs(async move |socket, stop| accept.run(socket, stop).await)
        .await?;
    // Who is told that a reload was applied can connect to what it added.
    reload
        .apply("listening", &sockets, async |sockets| {
            sockets.iter().try_for_each(|(_, socket)| socket.listen())?;
            Ok(())
        })
        .await?;
    reload.on(hangup);

    tracing::info!("listening on http://{}", admin.local_addr()?);
    let handle = reload.handle();
    let mut group = run::Group::new();
    group.add("signals", signals);
    let admin = group.add("admin", |stop| admin::serve(admin, handle, stop));
    admin.abortable();
    group.add("listeners", async move |stop: CancellationToken| {
        stop.cancelled().await;
        ending.cancel();
    });
    reload.run(|stop| group.run_until(stop)).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Each connection takes an open file, and one more to its upstream; many shells allow a thousand.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, allowed = limit.current, "cannot raise the number of open files");
    }
}
