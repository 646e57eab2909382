//! The endpoints, and their calls of the manager.

use ::http::{Method, StatusCode, request};
use http_body_util::Full;

use super::answer::{self, Answer, Refusal};
use super::json;
use crate::Handle;

/// The endpoint that a request names.
#[derive(Clone, Copy)]
pub(super) enum Endpoint {
    Reload,
    Check,
    Status,
    /// The headers of the status, without its body.
    StatusHead,
}

impl Endpoint {
    /// The endpoint that this request names, or the reason to reject it.
    pub(super) fn of(request: &request::Parts) -> Result<Self, Refusal> {
        let path = request.uri.path();
        let path = path.strip_prefix("/-").unwrap_or(path);
        match (path, &request.method) {
            ("/reload", &Method::POST | &Method::PUT) => Ok(Self::Reload),
            ("/reload", _) => Err(Refusal::NotAllowed("POST, PUT")),
            ("/check", &Method::POST) => Ok(Self::Check),
            ("/check", _) => Err(Refusal::NotAllowed("POST")),
            ("/status", &Method::GET) => Ok(Self::Status),
            ("/status", &Method::HEAD) => Ok(Self::StatusHead),
            ("/status", _) => Err(Refusal::NotAllowed("GET, HEAD")),
            _ => Err(Refusal::NotFound),
        }
    }

    /// Calls the manager.
    pub(super) async fn answer(self, handle: &Handle) -> Answer {
        match self {
            Self::Reload => answer::reload(handle.reload("http").await),
            Self::Check => answer::reload(handle.check().await),
            Self::Status => status(handle),
            Self::StatusHead => status(handle).map(|_| Full::default()),
        }
    }
}

fn status(handle: &Handle) -> Answer {
    answer::json(StatusCode::OK, &json::status(&handle.status()))
}
