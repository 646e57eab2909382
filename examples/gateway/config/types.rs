//! The values of the file that are more than text and numbers.
//!
//! Each is checked where it is read, so an error has its line and column, and says what has to be
//! there. What was found instead may be a secret in the wrong place, and is not repeated.

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use http::uri::{Authority, PathAndQuery};
use http::{HeaderName, HeaderValue, header};
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::place::has_dot_segments;

/// A time in seconds; it may have a fraction.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Seconds(Duration);

/// The longest time there is, so that a sum of some times and a moment is always a moment.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Seconds {
    pub(crate) fn get(self) -> Duration {
        self.0
    }

    pub(super) const fn whole(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|time| (Duration::from_millis(1)..=YEAR).contains(time))
            .map(Self)
            .ok_or_else(|| {
                let expected = "a number of seconds from 0.001 to 31536000";
                D::Error::invalid_value(Unexpected::Float(seconds), &expected)
            })
    }
}

/// Reads a text, or says what it has to be.
fn text<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &expected))
}

pub(super) fn socket_address<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<SocketAddr, D::Error> {
    // A socket of IPv6 that leaves IPv4 alone cannot be bound to an address of IPv4.
    let expected = "an IP address and a port as in `127.0.0.1:8080` or `[::1]:8080` \
        and IPv4 not in the form of IPv6";
    text(deserializer, expected, |text| {
        let address: SocketAddr = text.parse().ok()?;
        (address.ip() == address.ip().to_canonical()).then_some(address)
    })
}

/// Directives for the log.
pub(super) fn directives<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let expected = "directives as in `info` or `info,gateway=debug`";
    text(deserializer, expected, |text| {
        // A misspelt level would be taken for a target, and silence all others.
        let is_clear = |directive: &str| {
            directive.contains(['=', '[']) || directive.trim().parse::<LevelFilter>().is_ok()
        };
        let is_valid = text.split(',').all(is_clear) && EnvFilter::try_new(text).is_ok();
        is_valid.then(|| text.to_owned())
    })
}

/// The host of a route: a name, or an address, in lower case.
pub(super) fn host<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let expected = "the name of a host without a port or a wildcard";
    text(deserializer, expected, |text| {
        is_host(text).then(|| Some(text.to_ascii_lowercase()))
    })
}

fn is_host(text: &str) -> bool {
    match text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
    {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            !text.is_empty() && !text.ends_with('.') && text.bytes().all(is_plain)
        }
    }
}

/// The prefix of a route, as it can be in a request.
pub(super) fn prefix<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let expected = "a path that begins with `/` and has no query and no dot segments";
    text(deserializer, expected, |text| {
        let path = path(text).filter(|path| path.query().is_none() && !has_dot_segments(text));
        path.map(|_| text.to_owned())
    })
}

/// What a health check asks for.
pub(super) fn target<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathAndQuery, D::Error> {
    text(deserializer, "a path that begins with `/`", path)
}

fn path(text: &str) -> Option<PathAndQuery> {
    let is_path = text.starts_with('/') && text.is_ascii() && !text.contains('#');
    text.parse().ok().filter(|_| is_path)
}

/// An address of an upstream: `host:port`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Address(Authority);

impl Address {
    pub(crate) fn get(&self) -> &Authority {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, "`host:port`", |text| {
            let (host, port) = text.rsplit_once(':')?;
            let is_valid = is_host(host) && port.parse::<u16>().is_ok_and(|port| port > 0);
            text.parse().ok().filter(|_| is_valid).map(Self)
        })
    }
}

/// What is about a connection, or about where a message ends, is the gateway's.
const NOT_FOR_RULES: [HeaderName; 10] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
];

/// The name of a header that rules may be about.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Name(HeaderName);

impl Name {
    pub(crate) fn get(&self) -> &HeaderName {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "the name of a header that is not about the connection or its framing";
        text(deserializer, expected, |text| {
            let name = text.parse().ok();
            name.filter(|name| !NOT_FOR_RULES.contains(name)).map(Self)
        })
    }
}

/// The value of a header.
#[derive(Clone, PartialEq)]
pub(crate) struct Value(HeaderValue);

impl Value {
    pub(crate) fn get(&self) -> &HeaderValue {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, "the value of a header", |text| {
            text.parse().ok().map(Self)
        })
    }
}

/// A protocol that a connection may be switched to.
#[derive(Clone, PartialEq)]
pub(crate) struct Protocol(String);

impl Protocol {
    pub(crate) fn get(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Protocol {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "the name of a protocol that is not a version of HTTP";
        text(deserializer, expected, |text| {
            // What is asked with these would pass by all routes, limits and rules.
            let name = text.to_ascii_lowercase();
            let is_http = ["h2", "http", "tls"]
                .iter()
                .any(|http| name.starts_with(http));
            // The name of a header is a token, and so is that of a protocol, with its version.
            let is_name = name
                .split('/')
                .all(|part| part.parse::<HeaderName>().is_ok());
            (is_name && !is_http).then_some(Self(name))
        })
    }
}

impl Default for Protocol {
    fn default() -> Self {
        Self("websocket".to_owned())
    }
}
