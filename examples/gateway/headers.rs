//! What happens to headers on their way through.

use std::net::IpAddr;

use http::header::{self, Entry};
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use crate::config::HeaderRules;

/// What concerns one connection, and must not pass to the next; also what is expected of us, and is
/// done by then.
const HOP_BY_HOP: [HeaderName; 11] = [
    header::CONNECTION,
    header::EXPECT,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Removes what is for this connection only: the headers known for that, and those that `Connection`
/// names.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|names| names.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// The one protocol that a message asks, or agrees, to switch to.
pub(crate) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let values = headers.get_all(header::CONNECTION).iter();
    let mut names = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|names| names.split(','));
    let is_asked = names.any(|name| name.trim().eq_ignore_ascii_case("upgrade"));
    let mut protocols = headers.get_all(header::UPGRADE).iter();
    let protocol = protocols.next().filter(|_| is_asked)?;
    protocols.next().is_none().then(|| protocol.clone())
}

/// Puts the headers of an upgrade back, which go from hop to hop.
pub(crate) fn set_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, protocol);
}

/// Whether all that is done to the body for the transfer is to cut it into chunks, which is undone
/// on the way.
pub(crate) fn is_plain_transfer(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let is_chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    codings.next().is_none_or(is_chunked) && codings.next().is_none()
}

/// Tells the upstream who asked, for what, and how. What clients tell about that in other words might
/// be believed instead, and does not pass.
pub(crate) fn set_forwarded(
    headers: &mut HeaderMap,
    client: IpAddr,
    is_secure: bool,
    host: Option<HeaderValue>,
) {
    append(
        headers,
        "x-forwarded-for",
        &client.to_canonical().to_string(),
    );
    let protocol = if is_secure { "https" } else { "http" };
    headers.insert("x-forwarded-proto", HeaderValue::from_static(protocol));
    for untrue in ["forwarded", "x-real-ip", "x-forwarded-host", "host"] {
        headers.remove(untrue);
    }
    if let Some(host) = host {
        headers.insert("x-forwarded-host", host.clone());
        headers.insert(header::HOST, host);
    }
}

/// What gateways call themselves.
const NAME: &str = "gateway";

/// So many gateways may a request pass. One that passes more goes round in a circle.
const HOPS: usize = 8;

pub(crate) fn is_in_a_loop(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::VIA).iter();
    let hops = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|hops| hops.split(','));
    let names = hops.filter_map(|hop| hop.split_whitespace().nth(1));
    names.filter(|name| *name == NAME).count() >= HOPS
}

pub(crate) fn add_via(headers: &mut HeaderMap, version: Version) {
    let version = match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    };
    append(headers, "via", &format!("{version} {NAME}"));
}

/// HTTP/2 may split cookies into several headers; HTTP/1.1 has to have them in one.
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    if let Entry::Occupied(cookies) = headers.entry(header::COOKIE)
        && cookies.iter().count() > 1
    {
        let parts: Vec<_> = cookies.iter().map(HeaderValue::as_bytes).collect();
        let joined = HeaderValue::from_bytes(&parts.join(&b"; "[..]));
        headers.insert(header::COOKIE, joined.expect("parts of a header make one"));
    }
}

/// Adds to the list that a header is.
fn append(headers: &mut HeaderMap, name: &'static str, item: &str) {
    let mut list: Vec<u8> = Vec::new();
    for value in headers.get_all(name) {
        list.extend_from_slice(value.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(item.as_bytes());
    let list = HeaderValue::from_bytes(&list).expect("a list of headers makes one");
    headers.insert(name, list);
}

/// Does what the rules of a route say.
pub(crate) fn follow(rules: &HeaderRules, headers: &mut HeaderMap) {
    for name in &rules.remove {
        headers.remove(name.get());
    }
    for (name, value) in &rules.set {
        headers.insert(name.get(), value.get().clone());
    }
}
