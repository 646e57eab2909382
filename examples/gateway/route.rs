//! Routes, and the one that a request takes.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderValue;
use rekindle::{BoxError, Keyed, Lease};

use crate::config::{self, Place};
use crate::upstream::{Health, Upstream};

/// A route, and the name that it has in the log.
pub(crate) struct Route {
    pub(crate) name: String,
    pub(crate) settings: config::Route,
}

impl Route {
    /// Whether requests may switch to this protocol, of which the gateway sees nothing any more.
    pub(crate) fn may_switch_to(&self, protocol: &HeaderValue) -> bool {
        let protocol = protocol.as_bytes();
        let mut allowed = self.settings.upgrades.iter();
        allowed.any(|allowed| allowed.get().as_bytes().eq_ignore_ascii_case(protocol))
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
    /// Of each address of the upstream.
    pub(crate) health: Arc<[Lease<Health>]>,
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
        healths: &Keyed<String, Health>,
        debug_headers: bool,
    ) -> Result<Self, BoxError> {
        let mut hosts: BTreeMap<String, Places> = BTreeMap::new();
        let mut any = Places::new();
        for (place, route) in routes {
            let upstream = upstreams.get(&route.settings.upstream);
            let upstream = upstream.ok_or("a route has no upstream")?;
            let members = upstream.members();
            let health = members.map(|member| healths.get(&member).cloned());
            let health: Option<_> = health.collect();
            let way = Way {
                route: route.clone(),
                upstream: upstream.clone(),
                health: health.ok_or("an address has no health")?,
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
