//! The file, in the shape in which it is written.
//!
//! Unknown keys are refused, so that a misspelt one is an error with its line and column, and not a
//! default that nobody asked for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default = "info")]
    pub(super) log: String,
    pub(super) admin: SocketAddr,
    /// Tells clients which generation answered them.
    #[serde(default)]
    pub(super) debug_headers: bool,
    #[serde(default)]
    pub(super) listeners: Vec<Listener>,
    #[serde(default)]
    pub(super) upstreams: BTreeMap<String, Upstream>,
    #[serde(default)]
    pub(super) routes: Vec<Routed>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    /// More wait to be accepted until one of these has ended.
    #[serde(default = "many")]
    pub(super) max_connections: usize,
    #[serde(default)]
    pub(super) waits: Waits,
    pub(super) tls: Option<Tls>,
}

/// How long a client may take.
#[derive(Clone, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Waits {
    /// From being accepted, by way of the handshake of TLS, to the head of the first request.
    pub(crate) header_seconds: Seconds,
    /// Between two requests.
    pub(crate) idle_seconds: Seconds,
    /// For taking any of what is sent to it.
    pub(crate) write_seconds: Seconds,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    #[serde(default = "yes")]
    pub(super) http2: bool,
    #[serde(default)]
    pub(super) min_version: Version,
    pub(super) certificates: Vec<Pair>,
}

/// A version of TLS.
#[derive(Clone, Copy, Default, Deserialize, PartialEq)]
pub(crate) enum Version {
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pair {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

#[derive(Clone, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Upstream {
    /// `host:port` each; requests take turns.
    pub(crate) addresses: Vec<String>,
    #[serde(default = "five")]
    pub(crate) connect_seconds: Seconds,
    /// How long a connection is kept for the next request.
    #[serde(default = "sixty")]
    pub(crate) idle_seconds: Seconds,
    pub(crate) health: Option<Health>,
}

#[derive(Clone, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Health {
    /// An address that answers a GET of this with 2xx is well.
    pub(crate) path: String,
    #[serde(default = "five")]
    pub(crate) interval_seconds: Seconds,
    #[serde(default = "two_seconds")]
    pub(crate) timeout_seconds: Seconds,
    /// So many failures in a row make an address unwell, and one success well again.
    #[serde(default = "two")]
    pub(crate) failures: u32,
}

/// Where a route is, and what it is. (`flatten` would give up both the refusal of unknown keys and
/// the position of what is wrong.)
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Routed {
    pub(super) host: Option<String>,
    #[serde(default = "root")]
    pub(super) path: String,
    pub(super) to: Route,
}

#[derive(Clone, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Route {
    pub(crate) upstream: String,
    /// For the head of the answer, from the last progress of the request.
    #[serde(default = "thirty")]
    pub(crate) timeout_seconds: Seconds,
    /// Between two pieces of a body, of the request or of the answer.
    #[serde(default = "thirty")]
    pub(crate) body_seconds: Seconds,
    #[serde(default = "unlimited")]
    pub(crate) max_request_bytes: u64,
    #[serde(default = "unlimited")]
    pub(crate) max_response_bytes: u64,
    #[serde(default)]
    pub(crate) request_headers: HeaderRules,
    #[serde(default)]
    pub(crate) response_headers: HeaderRules,
}

#[derive(Clone, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HeaderRules {
    pub(crate) remove: Vec<String>,
    pub(crate) set: BTreeMap<String, String>,
}

/// A time in seconds, more than none; it may have a fraction.
#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(try_from = "f64")]
pub(crate) struct Seconds(Duration);

impl Seconds {
    pub(crate) fn get(self) -> Duration {
        self.0
    }
}

impl TryFrom<f64> for Seconds {
    type Error = &'static str;

    fn try_from(seconds: f64) -> Result<Self, Self::Error> {
        match Duration::try_from_secs_f64(seconds) {
            Ok(time) if !time.is_zero() => Ok(Self(time)),
            _ => Err("expected a number of seconds, more than 0"),
        }
    }
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            header_seconds: Seconds(Duration::from_secs(10)),
            idle_seconds: sixty(),
            write_seconds: thirty(),
        }
    }
}

fn info() -> String {
    "info".to_owned()
}

fn root() -> String {
    "/".to_owned()
}

fn yes() -> bool {
    true
}

fn many() -> usize {
    10_000
}

fn unlimited() -> u64 {
    u64::MAX
}

fn two() -> u32 {
    2
}

fn two_seconds() -> Seconds {
    Seconds(Duration::from_secs(2))
}

fn five() -> Seconds {
    Seconds(Duration::from_secs(5))
}

fn thirty() -> Seconds {
    Seconds(Duration::from_secs(30))
}

fn sixty() -> Seconds {
    Seconds(Duration::from_secs(60))
}
