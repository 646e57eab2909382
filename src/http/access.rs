//! Who may ask: the rule against cross-site requests, and the bearer token.

use std::fmt;
use std::sync::Arc;

use ::http::header::{AUTHORIZATION, HOST, HeaderValue, ORIGIN};
use ::http::uri::Authority;
use ::http::{Version, request};
use subtle::ConstantTimeEq;

use super::answer::Refusal;

/// Rejects a request that does not name one host, as RFC 9112, section 3.2, demands, also where the
/// target has a host of its own. HTTP/1.0 knows no hosts, and HTTP/2 has them in the target.
///
/// Two headers could be read as one by the cross-site rule and as the other by a proxy.
pub(super) fn one_host(request: &request::Parts) -> Result<(), Refusal> {
    let mut hosts = request.headers.get_all(HOST).iter();
    let is_one = match (hosts.next(), hosts.next()) {
        (Some(host), None) => is_host(host),
        (None, _) => request.version != Version::HTTP_11,
        (Some(_), Some(_)) => false,
    };
    match is_one {
        true => Ok(()),
        false => Err(Refusal::NotOneHost),
    }
}

/// A host and maybe a port. It is empty where the target has none, as on a Unix socket.
fn is_host(host: &HeaderValue) -> bool {
    let host = host.as_bytes();
    host.is_empty() || Authority::try_from(host).is_ok_and(|host| !host.as_str().contains('@'))
}

/// Refuses what a page of another site made a browser send.
///
/// The rule of Go's `net/http.CrossOriginProtection`, for every method: the status is nobody's
/// business either. Every value of a repeated header has to pass.
pub(super) fn same_site(request: &request::Parts) -> Result<(), Refusal> {
    let headers = &request.headers;
    let same = if headers.contains_key("sec-fetch-site") {
        let mut sites = headers.get_all("sec-fetch-site").iter();
        sites.all(|site| site == "same-origin" || site == "none")
    } else {
        let host = host(request);
        let mut origins = headers.get_all(ORIGIN).iter();
        origins.all(|origin| host.is_some_and(|host| is_origin_of(origin, host)))
    };
    if same {
        Ok(())
    } else {
        Err(Refusal::CrossSite)
    }
}

/// The host that was asked. The target of the request wins over the header, as RFC 9112 wants it; in
/// HTTP/2 it is the only place.
fn host(request: &request::Parts) -> Option<&str> {
    match request.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers.get(HOST)?.to_str().ok(),
    }
}

/// Whether `origin` is a scheme and this host. The scheme cannot be compared: behind a proxy that
/// ends TLS nobody knows the one that the browser used. `null`, which is what a sandboxed page sends,
/// has no host and so never matches.
fn is_origin_of(origin: &HeaderValue, host: &str) -> bool {
    let origin = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(_, origin)| origin.eq_ignore_ascii_case(host))
}

/// A token that is not empty and that a header can carry.
#[derive(Clone)]
pub(super) struct Token(Arc<str>);

impl Token {
    /// # Panics
    ///
    /// If no request could carry this token.
    #[track_caller]
    pub(super) fn new(token: String) -> Self {
        assert!(!token.is_empty(), "the bearer token is empty");
        assert!(
            token.bytes().all(|byte| byte.is_ascii_graphic()),
            "the bearer token has a character other than visible ASCII, such as a line break at its end"
        );
        Self(token.into())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Refuses a request without the right token.
pub(super) fn authorized(request: &request::Parts, token: Option<&Token>) -> Result<(), Refusal> {
    let Some(Token(token)) = token else {
        return Ok(());
    };
    match request.headers.get(AUTHORIZATION).and_then(presented) {
        Some(presented) if presented.ct_eq(token.as_bytes()).into() => Ok(()),
        Some(_) => Err(Refusal::WrongToken),
        None => Err(Refusal::NoToken),
    }
}

/// What comes after `Bearer` and at least one space.
fn presented(header: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = header.as_bytes().split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii())
}
