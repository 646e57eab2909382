//! What the gateway answers by itself.

use std::error::Error;
use std::fmt;

use http::{Response, StatusCode, header};

use crate::body::{Body, Cut};
use crate::upstream::Failure;

/// Why a request has no answer of an upstream's.
#[derive(Debug)]
pub(crate) enum Refusal {
    NoHost,
    DotSegments,
    NoTunnel,
    NoCoding,
    NoRoute,
    Loop,
    RequestTooLarge,
    RequestTooSlow,
    RequestBroken,
    ResponseTooLarge,
    Unreachable(Failure),
    NoAnswer(Failure),
    Malformed,
    TooLate,
}

impl Refusal {
    fn says(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NoHost => (
                StatusCode::BAD_REQUEST,
                "the request does not name one host",
            ),
            Self::DotSegments => (
                StatusCode::BAD_REQUEST,
                "the path has dot segments: resolve them",
            ),
            Self::NoTunnel => (StatusCode::NOT_IMPLEMENTED, "this is not a forward proxy"),
            Self::NoCoding => (
                StatusCode::NOT_IMPLEMENTED,
                "the only transfer coding that is understood is chunked",
            ),
            Self::Loop => (
                StatusCode::LOOP_DETECTED,
                "the request has come by here before",
            ),
            Self::NoRoute => (StatusCode::NOT_FOUND, "no route leads there"),
            Self::RequestTooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "the request is larger than is allowed here",
            ),
            Self::RequestTooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                "the body of the request made no progress",
            ),
            Self::RequestBroken => (StatusCode::BAD_REQUEST, "the request broke off"),
            Self::ResponseTooLarge => (
                StatusCode::BAD_GATEWAY,
                "the upstream's answer is larger than is allowed here",
            ),
            Self::Unreachable(_) => (StatusCode::BAD_GATEWAY, "the upstream cannot be reached"),
            Self::NoAnswer(_) => (
                StatusCode::BAD_GATEWAY,
                "the upstream gave no answer, or none that is HTTP",
            ),
            Self::Malformed => (
                StatusCode::BAD_GATEWAY,
                "the upstream's answer is none to what was asked",
            ),
            Self::TooLate => (
                StatusCode::GATEWAY_TIMEOUT,
                "the upstream did not answer in time",
            ),
        }
    }
}

impl Refusal {
    /// Whether it is about an upstream, so that somebody here has to know.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self.says().0.as_u16(), 502..=504)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        match Cut::of(&failure) {
            Some(Cut::TooLarge) => Self::RequestTooLarge,
            Some(Cut::TooSlow) => Self::RequestTooSlow,
            Some(Cut::Broken(_)) => Self::RequestBroken,
            None if failure.is_connect() => Self::Unreachable(failure),
            None => Self::NoAnswer(failure),
        }
    }
}

impl Error for Refusal {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unreachable(failure) | Self::NoAnswer(failure) => Some(failure),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.says().1)
    }
}

impl From<Refusal> for Response<Body> {
    fn from(refusal: Refusal) -> Self {
        let (status, text) = refusal.says();
        let mut response = Response::new(Body::text(format!("{text}\n")));
        *response.status_mut() = status;
        let plain = header::HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
        response
    }
}
