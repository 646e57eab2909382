//! Routes, and the one that a request takes.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use rekindle::{BoxError, Keyed, Lease};

use crate::config::{self, Place};
use crate::headers::Rules;
use crate::upstream::Upstream;

/// A route, ready to be taken.
pub(crate) struct Route {
    pub(crate) upstream: String,
    pub(crate) timeout: Duration,
    pub(crate) body_timeout: Duration,
    pub(crate) max_request: u64,
    pub(crate) max_response: u64,
    pub(crate) request_headers: Rules,
    pub(crate) response_headers: Rules,
}

impl Route {
    pub(crate) fn new(config: config::Route) -> Result<Self, BoxError> {
        Ok(Self {
            timeout: config.timeout_seconds.get(),
            body_timeout: config.body_seconds.get(),
            max_request: config.max_request_bytes,
            max_response: config.max_response_bytes,
            request_headers: Rules::new("to.request_headers", &config.request_headers)?,
            response_headers: Rules::new("to.response_headers", &config.response_headers)?,
            upstream: config.upstream,
        })
    }
}

/// Which route a request takes, and to where: one generation of it.
pub(crate) struct Router {
    pub(crate) debug_headers: bool,
    hosts: BTreeMap<String, Places>,
    /// For all hosts.
    any: Places,
}

/// The longest prefix first.
type Places = Vec<(Place, Way)>;

/// A route and its upstream, held for the length of a request or of a WebSocket: those of one
/// generation, and nothing else of it.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) route: Lease<Route>,
    pub(crate) upstream: Lease<Upstream>,
}

impl Way {
    /// Resolves when the route or its upstream was removed, or is another one now.
    pub(crate) async fn replaced(&self) {
        tokio::select! {
            () = self.route.replaced() => {}
            () = self.upstream.replaced() => {}
        }
    }
}

impl Router {
    pub(crate) fn new(
        routes: &Keyed<Place, Route>,
        upstreams: &Keyed<String, Upstream>,
        debug_headers: bool,
    ) -> Result<Self, BoxError> {
        let mut hosts: BTreeMap<String, Places> = BTreeMap::new();
        let mut any = Places::new();
        for (place, route) in routes {
            let upstream = upstreams.get(&route.upstream);
            let way = Way {
                route: route.clone(),
                upstream: upstream.ok_or("a route has no upstream")?.clone(),
            };
            let places = match &place.host {
                Some(host) => hosts.entry(host.clone()).or_default(),
                None => &mut any,
            };
            places.push((place.clone(), way));
        }
        for places in hosts.values_mut().chain([&mut any]) {
            places.sort_by_key(|(place, _)| Reverse(place.path.len()));
        }
        Ok(Self {
            debug_headers,
            hosts,
            any,
        })
    }

    /// The route with the longest prefix; with the same prefix, the one that names the host.
    pub(crate) fn find(&self, host: &str, path: &str) -> Option<&Way> {
        let host = host.strip_suffix('.').unwrap_or(host);
        let places = match host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => self.hosts.get(&host.to_ascii_lowercase()),
            false => self.hosts.get(host),
        };
        // Of two that are as long, `max_by_key` takes the last.
        let found = longest(&self.any, path)
            .into_iter()
            .chain(places.and_then(|places| longest(places, path)));
        found
            .max_by_key(|(place, _)| place.path.len())
            .map(|(_, way)| way)
    }
}

fn longest<'a>(places: &'a Places, path: &str) -> Option<&'a (Place, Way)> {
    places.iter().find(|(place, _)| place.covers(path))
}
