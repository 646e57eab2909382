//! The configuration: the file in the shape in which it is written, checked, with the certificates
//! that it names.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use rekindle::file::{self, Contents, File};

mod check;
mod place;
mod types;
mod written;

pub(crate) use place::{Place, has_dot_segments};
pub(crate) use written::{HeaderRules, Health, Route, Upstream, Version, Waits};

/// What the file says, as a whole that makes sense.
///
/// Each component is built from a part of it. `PartialEq` of the part decides whether there is
/// anything to do, for each key of a map by itself.
pub(crate) struct Config {
    pub(crate) log: String,
    pub(crate) admin: SocketAddr,
    pub(crate) debug_headers: bool,
    pub(crate) listeners: BTreeMap<SocketAddr, Listener>,
    pub(crate) upstreams: BTreeMap<String, Upstream>,
    pub(crate) routes: BTreeMap<Place, Route>,
}

/// A listener is its address; all else about it may change while the socket stays.
#[derive(Clone, PartialEq)]
pub(crate) struct Listener {
    pub(crate) max_connections: usize,
    pub(crate) waits: Waits,
    pub(crate) tls: Option<Tls>,
}

#[derive(Clone, PartialEq)]
pub(crate) struct Tls {
    pub(crate) http2: bool,
    pub(crate) min_version: Version,
    /// The first is for clients that name no host, or one that none of them is for.
    pub(crate) pairs: Vec<Pair>,
}

/// A certificate and its key, as they are in their files.
#[derive(Clone, PartialEq)]
pub(crate) struct Pair {
    pub(crate) certificate: Contents,
    pub(crate) key: Contents,
}

/// The file and the certificates that it names, read at one moment and watched together: a new file
/// that names a new certificate is one change, and so is a certificate that is rotated.
pub(crate) fn file(path: &Path) -> File<Config> {
    let path = path.to_owned();
    file::toml::<written::File>(&path)
        .include(move |written, includes| check::check(&path, written, includes))
}
