//! The app's HTTP interface: handlers load a component and use it, and know nothing of reloads.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use rekindle::Live;
use rekindle_examples::stdout;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::curler::Curler;
use crate::printer::Printer;

pub(crate) fn router(
    printer: Live<Printer>,
    curler: Live<Curler>,
    stop: CancellationToken,
) -> Router {
    Router::new()
        .route("/print", get(print).with_state(printer))
        .route("/curl", get(curl).with_state(curler))
        .route("/-/stop", post(end).with_state(stop))
}

/// Prints the message to standard output. Where nothing reads that, the request waits, blocks no thread of
/// the runtime, and holds a copy of the message, so that the printer can be replaced and dropped.
async fn print(State(printer): State<Live<Printer>>) -> Response {
    let message = printer.load().message().to_owned();
    match stdout().print(&message).await {
        Ok(()) => format!("{message}\n").into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// The guard is held until the upstream has answered: a reload meanwhile is neither delayed by this
/// request nor seen by it.
async fn curl(State(curler): State<Live<Curler>>) -> Response {
    match curler.load().curl().await {
        Ok(answer) => Json(answer).into_response(),
        Err(error) => {
            let body = json!({ "error": crate::chain(&error) });
            (StatusCode::BAD_GATEWAY, Json(body)).into_response()
        }
    }
}

/// Ends the app. A browser names the page a request comes from; this app has no pages, so whoever
/// is named is a stranger, who must not end it through somebody's browser.
async fn end(State(stop): State<CancellationToken>, headers: HeaderMap) -> Response {
    if headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site") {
        return (StatusCode::FORBIDDEN, "not from a browser\n").into_response();
    }
    stop.cancel();
    "stopping\n".into_response()
}
