//! The file, in the shape in which it is written.
//!
//! Unknown keys are refused, so that a misspelt one is an error with its line and column, and not a
//! default that nobody asked for.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use http::uri::PathAndQuery;
use serde::Deserialize;

use super::types::{self, Address, Name, Protocol, Seconds, Value};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default = "info", deserialize_with = "types::directives")]
    pub(super) log: String,
    #[serde(deserialize_with = "types::socket_address")]
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
    #[serde(deserialize_with = "types::socket_address")]
    pub(super) address: SocketAddr,
    /// More wait to be accepted until one of these has ended.
    #[serde(default = "many")]
    pub(super) max_connections: NonZeroUsize,
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
    /// Between two requests, or pings of HTTP/2.
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
    pub(crate) addresses: Vec<Address>,
    #[serde(default = "five")]
    pub(crate) connect_seconds: Seconds,
    /// How long a connection is kept for the next request. It has to be less than the upstream keeps
    /// it: a request that meets the end of its connection may have been heard, and is sent again
    /// only if it is without a body and asks for no change.
    #[serde(default = "four")]
    pub(crate) idle_seconds: Seconds,
    pub(crate) health: Option<Health>,
}

#[derive(Clone, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Health {
    /// An address that answers a GET of this with 2xx is well.
    #[serde(deserialize_with = "types::target")]
    pub(crate) path: PathAndQuery,
    #[serde(default = "five")]
    pub(crate) interval_seconds: Seconds,
    #[serde(default = "two_seconds")]
    pub(crate) timeout_seconds: Seconds,
    /// So many failures in a row make an address unwell, and one success well again.
    #[serde(default = "two")]
    pub(crate) failures: NonZeroU32,
}

/// Where a route is, and what it is. (`flatten` would give up both the refusal of unknown keys and
/// the position of what is wrong.)
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Routed {
    #[serde(default, deserialize_with = "types::host")]
    pub(super) host: Option<String>,
    #[serde(default = "root", deserialize_with = "types::prefix")]
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
    /// The protocols that a request may switch to. After that the gateway passes bytes, and knows
    /// nothing of what is asked with them.
    #[serde(default = "websocket")]
    pub(crate) upgrades: Vec<Protocol>,
    #[serde(default)]
    pub(crate) request_headers: HeaderRules,
    #[serde(default)]
    pub(crate) response_headers: HeaderRules,
}

/// First what is removed, then what is set.
#[derive(Clone, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HeaderRules {
    pub(crate) remove: Vec<Name>,
    pub(crate) set: HashMap<Name, Value>,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            header_seconds: Seconds::whole(10),
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

fn many() -> NonZeroUsize {
    NonZeroUsize::new(10_000).expect("a literal")
}

fn unlimited() -> u64 {
    u64::MAX
}

fn two() -> NonZeroU32 {
    NonZeroU32::new(2).expect("a literal")
}

fn websocket() -> Vec<Protocol> {
    vec![Protocol::default()]
}

fn two_seconds() -> Seconds {
    Seconds::whole(2)
}

fn four() -> Seconds {
    Seconds::whole(4)
}

fn five() -> Seconds {
    Seconds::whole(5)
}

fn thirty() -> Seconds {
    Seconds::whole(30)
}

fn sixty() -> Seconds {
    Seconds::whole(60)
}
