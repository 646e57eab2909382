//! Access control: the rule against cross-site requests, and the bearer token.

use std::fmt;
use std::sync::Arc;

use ::http::header::{AUTHORIZATION, HOST, HeaderValue, ORIGIN};
use ::http::uri::Authority;
use ::http::{Version, request};
use subtle::ConstantTimeEq;

use super::answer::Refusal;

/// Rejects a request that does not name exactly one host, even if its target contains a host.
///
/// RFC 9112, section 3.2, demands this. HTTP/1.0 has no hosts, and HTTP/2 has them in the target.
/// Of two headers, the cross-site rule could read one and a proxy the other.
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

/// Returns `true` for a host with an optional port, and for an empty one, which a target without a
/// host has, as on a Unix socket.
fn is_host(host: &HeaderValue) -> bool {
    let host = host.as_bytes();
    host.is_empty() || Authority::try_from(host).is_ok_and(|host| !host.as_str().contains('@'))
}

/// Rejects a request that a page of another site made a browser send.
///
/// This is the rule of Go's `net/http.CrossOriginProtection`, applied to every method, because the
/// status is private, too. Every value of a repeated header must pass.
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

/// The requested host. The target of the request takes precedence over the header, as RFC 9112
/// demands; in HTTP/2 only the target has it.
fn host(request: &request::Parts) -> Option<&str> {
    match request.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers.get(HOST)?.to_str().ok(),
    }
}

/// Returns `true` if `origin` is any scheme with this host.
///
/// The scheme is not compared, because behind a proxy that ends TLS the service does not know the
/// one that the browser used. `null`, which a sandboxed page sends, has no host and never matches.
fn is_origin_of(origin: &HeaderValue, host: &str) -> bool {
    let origin = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(_, origin)| origin.eq_ignore_ascii_case(host))
}

/// A token that is not empty and fits into a header.
#[derive(Clone)]
pub(super) struct Token(Arc<str>);

impl Token {
    /// Checks the token.
    ///
    /// # Panics
    ///
    /// If a request cannot carry this token.
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

/// Rejects a request without the right token.
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

/// The text after `Bearer` and at least one space.
fn presented(header: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = header.as_bytes().split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii())
}
