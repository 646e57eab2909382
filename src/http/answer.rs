//! Answers: a status code and a line of JSON.

use std::sync::Arc;

use ::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE,
};
use ::http::{Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio_util::bytes::Bytes;

use super::json;
use crate::error::Chain;
use crate::{Error, Report};

pub(super) type Answer = Response<Full<Bytes>>;

/// The answer to a reload or a check.
pub(super) fn reload(result: Result<Arc<Report>, Error>) -> Answer {
    let error = match result {
        Ok(report) => return json(StatusCode::OK, &json::report(&report).into()),
        Err(error) => error,
    };
    let status = if error.is_stopped() {
        StatusCode::SERVICE_UNAVAILABLE
    } else if error.is_reentrant() {
        StatusCode::CONFLICT
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    };
    let mut body = error
        .report()
        .map(|report| json::report(report))
        .unwrap_or_default();
    body.insert("error".into(), Chain(&error).to_string().into());
    json(status, &body.into())
}

/// The reason for which a request is rejected before it reaches the manager.
#[derive(Clone, Copy)]
pub(super) enum Refusal {
    NotOneHost,
    CrossSite,
    NoToken,
    WrongToken,
    NotFound,
    /// The path exists, with these methods.
    NotAllowed(&'static str),
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let (status, header, why) = match refusal {
            Refusal::NotOneHost => (
                StatusCode::BAD_REQUEST,
                None,
                "the request does not name one host: see the header `host`",
            ),
            Refusal::CrossSite => (
                StatusCode::FORBIDDEN,
                None,
                "a page of another site caused this request",
            ),
            Refusal::NoToken => (
                StatusCode::UNAUTHORIZED,
                Some((WWW_AUTHENTICATE, "Bearer")),
                "a bearer token is needed",
            ),
            Refusal::WrongToken => (
                StatusCode::UNAUTHORIZED,
                Some((WWW_AUTHENTICATE, "Bearer")),
                "the bearer token is wrong",
            ),
            Refusal::NotFound => (
                StatusCode::NOT_FOUND,
                None,
                "there are POST reload, POST check and GET status",
            ),
            Refusal::NotAllowed(allow) => (
                StatusCode::METHOD_NOT_ALLOWED,
                Some((ALLOW, allow)),
                "see the header `allow` for the methods",
            ),
        };
        let mut answer = json(status, &json!({ "error": why }));
        if let Some((name, value)) = header {
            answer
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        answer
    }
}

/// An answer in JSON. The body ends with a line break, for reading it in a terminal.
pub(super) fn json(status: StatusCode, body: &Value) -> Answer {
    let body = format!("{body}\n");
    let length = body.len();
    let mut answer = Response::new(Full::from(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, length.into());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
