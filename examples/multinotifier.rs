//! Many reasons to reload: the `multinotifier` example of slok/reload.
//!
//! It shows what can trigger a reload: two clocks of different pace, signals, and two HTTP hooks.
//! All of them go into one manager, which makes one reload at a time; what arrives meanwhile is
//! answered by one more. Reloaders are told all the triggers that their reload answers.
//!
//! ```text
//! cargo run --example multinotifier
//! pkill -HUP multinotifier
//! pkill -USR1 multinotifier                          # a reloader fails: the app goes on
//! curl -X POST http://127.0.0.1:8080/-/reload        # gives the report
//! curl -X POST http://127.0.0.1:8080/hooks/deploy    # a hook of the app's own
//! ```
//!
//! Ctrl-C ends it. The one argument it takes is where to listen (default: 127.0.0.1:8080).

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use rekindle::notify::{self, SignalKind};
use rekindle::{BoxError, Handle, Manager, Triggers, http, run};
use rekindle_examples::{FlushOnDrop, say, stderr};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let _flush = FlushOnDrop;
    tracing_subscriber::fmt().with_writer(stderr).init();
    let signals = run::signals()?;
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(address).await?;

    let mut reload = Manager::new();
    reload.add(0, "reloader 1", async |triggers: Triggers| {
        say!("reloader 1: because of {triggers}");
    });
    reload.add(0, "reloader 2", async |triggers: Triggers| {
        if triggers.contains("sigusr1") {
            return Err("pretending that this cannot be reloaded".into());
        }
        say!("reloader 2: because of {triggers}");
        Ok(())
    });

    reload.on(notify::interval(Duration::from_secs(1)));
    reload.on(notify::interval(Duration::from_secs(3)).trigger("three seconds"));
    reload.on(notify::signal(SignalKind::hangup())?);
    reload.on(notify::signal(SignalKind::user_defined1())?);

    let app = Router::new()
        .route("/hooks/deploy", post(deploy))
        .with_state(reload.handle())
        .nest_service("/-", http::Admin::new(reload.handle()));

    let mut group = run::Group::new();
    group.add("signals", signals);
    tracing::info!("listening on http://{}", listener.local_addr()?);
    // A client that does not hang up must not turn the end into a failure.
    let server = group.add("http", |stop| {
        axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned())
    });
    server.abortable();
    reload.run(|stop| group.run_until(stop)).await
}

/// Answers when a reload that began after the request has ended.
async fn deploy(State(reload): State<Handle>) -> (StatusCode, String) {
    match reload.reload("deploy").await {
        Ok(report) => (StatusCode::OK, format!("{report}\n")),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}
