//! What cannot be checked value by value: that the parts of the file fit together.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::Path;

use rekindle::BoxError;
use rekindle::file::{Contents, Includes};
use rekindle_examples::addresses::overlap;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_spanned::Spanned;

use super::written::{self, Route, Routed, Upstream};
use super::{Config, Listener, Pair, Place, Tls};

/// Where the tables of the file begin. They are looked for when there is something to say about one of
/// them, so that the rest of the configuration need not know of it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Places {
    listeners: Vec<Spanned<IgnoredAny>>,
    upstreams: BTreeMap<String, Spanned<IgnoredAny>>,
    routes: Vec<Spanned<IgnoredAny>>,
}

/// The errors name the line and the key, and say what to do. They do not repeat the value, which may
/// be a secret that was put into the wrong place, unless it has been parsed as an address.
pub(super) fn check(
    path: &Path,
    file: written::File,
    includes: &Includes,
) -> Result<Config, BoxError> {
    // The file itself, to count its lines: it has been read already.
    let texts = includes.set(path.file_name())?;
    let text = Text {
        path,
        contents: texts.first(),
    };
    text.upstreams(&file.upstreams)?;
    Ok(Config {
        log: file.log,
        admin: file.admin,
        debug_headers: file.debug_headers,
        routes: text.routes(file.routes, &file.upstreams)?,
        upstreams: file.upstreams,
        listeners: text.listeners(&file.listeners, file.admin, includes)?,
    })
}

/// The file as it is written, which errors are about.
struct Text<'a> {
    path: &'a Path,
    contents: Option<&'a Contents>,
}

impl Text<'_> {
    /// Something is wrong in the table at this place.
    fn error<F>(&self, place: F, problem: impl Display) -> BoxError
    where
        F: FnOnce(&Places) -> Option<&Spanned<IgnoredAny>>,
    {
        let path = self.path.display();
        let line = self.contents.and_then(|contents| {
            let places = contents.toml().ok()?;
            let before = contents.bytes().get(..place(&places)?.span().start)?;
            Some(1 + before.iter().filter(|&&byte| byte == b'\n').count())
        });
        match line {
            Some(line) => format!("{path}:{line}: {problem}").into(),
            None => format!("{path}: {problem}").into(),
        }
    }

    fn listeners(
        &self,
        written: &[written::Listener],
        admin: SocketAddr,
        includes: &Includes,
    ) -> Result<BTreeMap<SocketAddr, Listener>, BoxError> {
        if written.is_empty() {
            let path = self.path.display();
            return Err(format!("{path}: there are no `listeners`: name at least one").into());
        }
        // All files are asked for together, so that one more pass reads them.
        let pairs = written
            .iter()
            .flat_map(|listener| &listener.tls)
            .flat_map(|tls| &tls.certificates);
        includes.set(pairs.flat_map(|pair| [&pair.certificate, &pair.key]))?;

        // What is bound before each of them.
        let mut bound = vec![("`admin`".to_owned(), admin)];
        let mut listeners = BTreeMap::new();
        for (number, listener) in written.iter().enumerate() {
            let error = |key: &str, problem: &str| {
                let problem = format!("`listeners[{number}].{key}` {problem}");
                self.error(|places| places.listeners.get(number), problem)
            };
            let tls = match &listener.tls {
                Some(tls) => {
                    let pairs = pairs_of(tls, includes)?;
                    let key = "tls.certificates";
                    let pairs = pairs
                        .ok_or_else(|| error(key, "have to name one file each: avoid `*?[`"))?;
                    if pairs.is_empty() {
                        return Err(error(key, "is empty: name a certificate and its key"));
                    }
                    Some(Tls {
                        http2: tls.http2,
                        min_version: tls.min_version,
                        pairs,
                    })
                }
                None => None,
            };
            let checked = Listener {
                max_connections: listener.max_connections.get(),
                waits: listener.waits.clone(),
                tls,
            };
            if listeners.insert(listener.address, checked).is_some() {
                let problem = "is that of a listener above: remove one of them";
                return Err(error("address", problem));
            }
            let address = listener.address;
            if let Some((key, other)) = bound.iter().find(|(_, other)| overlap(&address, other)) {
                let problem =
                    format!("{address} overlaps with {other} of {key}: remove one of them");
                return Err(error("address", &problem));
            }
            bound.push((format!("`listeners[{number}]`"), address));
        }
        Ok(listeners)
    }

    fn upstreams(&self, upstreams: &BTreeMap<String, Upstream>) -> Result<(), BoxError> {
        for (name, upstream) in upstreams {
            let error = |problem: &str| {
                let problem = format!("`upstreams.{name}.addresses` {problem}");
                self.error(|places| places.upstreams.get(name), problem)
            };
            if upstream.addresses.is_empty() {
                return Err(error("is empty: name at least one"));
            }
            let mut known = HashSet::new();
            if !upstream
                .addresses
                .iter()
                .all(|address| known.insert(address))
            {
                return Err(error("has one of them twice: remove one"));
            }
        }
        Ok(())
    }

    fn routes(
        &self,
        written: Vec<Routed>,
        upstreams: &BTreeMap<String, Upstream>,
    ) -> Result<BTreeMap<Place, Route>, BoxError> {
        let mut routes = BTreeMap::new();
        for (number, routed) in written.into_iter().enumerate() {
            let error = |key: &str, problem: &str| {
                let problem = format!("`routes[{number}]{key}` {problem}");
                self.error(|places| places.routes.get(number), problem)
            };
            if !upstreams.contains_key(&routed.to.upstream) {
                let problem = "is not among `upstreams`: add it there, or name another";
                return Err(error(".to.upstream", problem));
            }
            let place = Place {
                host: routed.host,
                path: routed.path,
            };
            if routes.insert(place, routed.to).is_some() {
                let problem = "has host and path of a route above: remove one of them";
                return Err(error("", problem));
            }
        }
        Ok(routes)
    }
}

/// The certificates with their keys, if each is a file and not a pattern.
fn pairs_of(tls: &written::Tls, includes: &Includes) -> Result<Option<Vec<Pair>>, BoxError> {
    let mut pairs = Vec::new();
    for pair in &tls.certificates {
        let [certificate, key] = &includes.set([&pair.certificate, &pair.key])?[..] else {
            return Ok(None);
        };
        pairs.push(Pair {
            certificate: certificate.clone(),
            key: key.clone(),
        });
    }
    Ok(Some(pairs))
}
