//! What happens to headers on their way through.

use std::net::IpAddr;

use http::header::{self, Entry};
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use rekindle::BoxError;

use crate::config;

/// What concerns one connection, and must not pass to the next.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
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

/// The protocol that a message asks, or agrees, to switch to.
pub(crate) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let values = headers.get_all(header::CONNECTION).iter();
    let mut names = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|names| names.split(','));
    let is_asked = names.any(|name| name.trim().eq_ignore_ascii_case("upgrade"));
    headers.get(header::UPGRADE).filter(|_| is_asked).cloned()
}

/// Puts the headers of an upgrade back, which go from hop to hop.
pub(crate) fn set_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, protocol);
}

/// Tells the upstream who asked, for what, and how.
pub(crate) fn set_forwarded(
    headers: &mut HeaderMap,
    client: IpAddr,
    is_secure: bool,
    host: HeaderValue,
) {
    append(
        headers,
        "x-forwarded-for",
        &client.to_canonical().to_string(),
    );
    let protocol = if is_secure { "https" } else { "http" };
    headers.insert("x-forwarded-proto", HeaderValue::from_static(protocol));
    headers.insert("x-forwarded-host", host.clone());
    headers.insert(header::HOST, host);
}

pub(crate) fn add_via(headers: &mut HeaderMap, version: Version) {
    let via = match version {
        Version::HTTP_2 => "2 gateway",
        Version::HTTP_10 => "1.0 gateway",
        _ => "1.1 gateway",
    };
    append(headers, "via", via);
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

/// The rules of a route, ready to be followed.
pub(crate) struct Rules {
    remove: Vec<HeaderName>,
    set: Vec<(HeaderName, HeaderValue)>,
}

impl Rules {
    /// The errors name the key, and do not repeat the value.
    pub(crate) fn new(key: &str, rules: &config::HeaderRules) -> Result<Self, BoxError> {
        let not_a_name = |key: String| format!("`{key}` is not the name of a header");
        let name =
            |text: &String, key: String| text.parse::<HeaderName>().map_err(|_| not_a_name(key));
        let mut remove = Vec::new();
        for (number, text) in rules.remove.iter().enumerate() {
            remove.push(name(text, format!("{key}.remove[{number}]"))?);
        }
        let mut set = Vec::new();
        for (text, value) in &rules.set {
            let key = format!("{key}.set.{text}");
            let value = value
                .parse()
                .map_err(|_| format!("`{key}` is not the value of a header"))?;
            set.push((name(text, key)?, value));
        }
        Ok(Self { remove, set })
    }

    pub(crate) fn follow(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name, value.clone());
        }
    }
}
