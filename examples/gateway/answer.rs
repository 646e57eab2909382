//! What the gateway answers by itself.

use http::{Response, StatusCode, header};

use crate::body::{Body, Cut};
use crate::upstream::Failure;

/// Why a request has no answer of an upstream's.
#[derive(Debug)]
pub(crate) enum Refusal {
    NoHost,
    DotSegments,
    NoTunnel,
    NoRoute,
    RequestTooLarge,
    RequestTooSlow,
    RequestBroken,
    ResponseTooLarge,
    NobodyIsWell,
    Unreachable,
    Malformed,
    TooLate,
}

impl Refusal {
    fn says(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NoHost => (StatusCode::BAD_REQUEST, "the request names no host\n"),
            Self::DotSegments => (
                StatusCode::BAD_REQUEST,
                "the path has dot segments: resolve them\n",
            ),
            Self::NoTunnel => (StatusCode::NOT_IMPLEMENTED, "this is not a forward proxy\n"),
            Self::NoRoute => (StatusCode::NOT_FOUND, "no route leads there\n"),
            Self::RequestTooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "the request is larger than is allowed here\n",
            ),
            Self::RequestTooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                "the body of the request made no progress\n",
            ),
            Self::RequestBroken => (StatusCode::BAD_REQUEST, "the request broke off\n"),
            Self::ResponseTooLarge => (
                StatusCode::BAD_GATEWAY,
                "the upstream's answer is larger than is allowed here\n",
            ),
            Self::NobodyIsWell => (
                StatusCode::SERVICE_UNAVAILABLE,
                "no address of the upstream is well\n",
            ),
            Self::Unreachable => (StatusCode::BAD_GATEWAY, "the upstream does not answer\n"),
            Self::Malformed => (
                StatusCode::BAD_GATEWAY,
                "the upstream's answer is none to what was asked\n",
            ),
            Self::TooLate => (
                StatusCode::GATEWAY_TIMEOUT,
                "the upstream did not answer in time\n",
            ),
        }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        let error = match failure {
            Failure::NobodyIsWell => return Self::NobodyIsWell,
            Failure::Failed(error) => error,
        };
        match Cut::of(&error) {
            Some(Cut::TooLarge) => Self::RequestTooLarge,
            Some(Cut::TooSlow) => Self::RequestTooSlow,
            Some(Cut::Broken(_)) => Self::RequestBroken,
            None => {
                tracing::debug!(error = &error as &dyn std::error::Error, "no answer");
                Self::Unreachable
            }
        }
    }
}

impl From<Refusal> for Response<Body> {
    fn from(refusal: Refusal) -> Self {
        let (status, text) = refusal.says();
        let mut response = Response::new(Body::text(text));
        *response.status_mut() = status;
        let plain = header::HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
        response
    }
}
