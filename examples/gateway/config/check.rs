//! What serde cannot check: that the parts of the file fit together.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use http::uri::{Authority, PathAndQuery};
use rekindle::BoxError;
use rekindle::file::Includes;

use super::written::{self, Route, Routed, Upstream};
use super::{Config, Listener, Pair, Place, Tls};

/// The errors name the key and say what to do. They do not repeat the value, which may be a secret
/// that was put into the wrong place.
pub(super) fn check(file: written::File, includes: &Includes) -> Result<Config, BoxError> {
    upstreams(&file.upstreams)?;
    Ok(Config {
        log: file.log,
        admin: file.admin,
        debug_headers: file.debug_headers,
        routes: routes(file.routes, &file.upstreams)?,
        upstreams: file.upstreams,
        listeners: listeners(file.listeners, includes)?,
    })
}

fn listeners(
    written: Vec<written::Listener>,
    includes: &Includes,
) -> Result<BTreeMap<SocketAddr, Listener>, BoxError> {
    // All files are asked for together, so that one more pass reads them.
    let pairs = written
        .iter()
        .flat_map(|listener| &listener.tls)
        .flat_map(|tls| &tls.certificates);
    includes.set(pairs.flat_map(|pair| [&pair.certificate, &pair.key]))?;

    let mut listeners = BTreeMap::new();
    for (number, listener) in written.into_iter().enumerate() {
        let key = |name: &str| format!("`listeners[{number}].{name}`");
        if listener.max_connections == 0 {
            return Err(format!("{} has to be at least 1", key("max_connections")).into());
        }
        let tls = match listener.tls {
            Some(tls) => Some(self::tls(&tls, includes, &key("tls.certificates"))?),
            None => None,
        };
        let checked = Listener {
            max_connections: listener.max_connections,
            waits: listener.waits,
            tls,
        };
        if listeners.insert(listener.address, checked).is_some() {
            let key = key("address");
            return Err(format!("{key} is that of a listener above: remove one of them").into());
        }
    }
    Ok(listeners)
}

fn tls(written: &written::Tls, includes: &Includes, key: &str) -> Result<Tls, BoxError> {
    let mut pairs = Vec::new();
    for (number, pair) in written.certificates.iter().enumerate() {
        let [certificate, key] = &includes.set([&pair.certificate, &pair.key])?[..] else {
            return Err(format!("{key}[{number}] has to name one file each: avoid `*?[`").into());
        };
        pairs.push(Pair {
            certificate: certificate.clone(),
            key: key.clone(),
        });
    }
    if pairs.is_empty() {
        return Err(format!("{key} is empty: name a certificate and its key").into());
    }
    Ok(Tls {
        http2: written.http2,
        min_version: written.min_version,
        pairs,
    })
}

fn upstreams(upstreams: &BTreeMap<String, Upstream>) -> Result<(), BoxError> {
    for (name, upstream) in upstreams {
        let key = |key: &str| format!("`upstreams.{name}.{key}`");
        if upstream.addresses.is_empty() {
            return Err(format!("{} is empty: name at least one", key("addresses")).into());
        }
        for (number, address) in upstream.addresses.iter().enumerate() {
            let parsed = address.parse::<Authority>();
            if !parsed.is_ok_and(|parsed| parsed.port_u16().is_some() && !address.contains('@')) {
                let key = key(&format!("addresses[{number}]"));
                return Err(format!("{key} has to be `host:port`").into());
            }
        }
        if let Some(health) = &upstream.health {
            if !is_path(&health.path) {
                return Err(format!("{} has to begin with `/`", key("health.path")).into());
            }
            if health.failures == 0 {
                return Err(format!("{} has to be at least 1", key("health.failures")).into());
            }
        }
    }
    Ok(())
}

fn routes(
    written: Vec<Routed>,
    upstreams: &BTreeMap<String, Upstream>,
) -> Result<BTreeMap<Place, Route>, BoxError> {
    let mut routes = BTreeMap::new();
    for (number, routed) in written.into_iter().enumerate() {
        let key = |name: &str| format!("`routes[{number}].{name}`");
        let host = routed.host.map(|host| host.to_ascii_lowercase());
        let is_host = |host: &String| {
            host.parse::<Authority>()
                .is_ok_and(|parsed| parsed.host() == host)
        };
        if !host.as_ref().is_none_or(is_host) {
            let key = key("host");
            return Err(format!("{key} has to be the name of a host, without a port").into());
        }
        if !is_path(&routed.path) || routed.path.contains('?') {
            return Err(format!("{} has to be a path and begin with `/`", key("path")).into());
        }
        if !upstreams.contains_key(&routed.to.upstream) {
            let key = key("to.upstream");
            return Err(
                format!("{key} is not among `upstreams`: add it there, or name another").into(),
            );
        }
        let place = Place {
            host,
            path: routed.path,
        };
        if routes.insert(place, routed.to).is_some() {
            let key = format!("`routes[{number}]`");
            return Err(
                format!("{key} has host and path of a route above: remove one of them").into(),
            );
        }
    }
    Ok(routes)
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.parse::<PathAndQuery>().is_ok()
}
