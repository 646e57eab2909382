//! An upstream: some addresses that do the same, and the connections to them.

use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rekindle::Lease;

use crate::body::{Body, Shared};
use crate::config;
use crate::connection::{PROBES, SILENCE, UNANSWERED, UnderWay};
use crate::log::Seldom;

mod health;

use health::member;
pub(crate) use health::{Health, members, watch};

/// The pool of connections is part of the value: it stays warm as long as the configuration of the
/// upstream stays the same, and goes when the last request has let go of it.
pub(crate) struct Upstream {
    name: String,
    client: legacy::Client<HttpConnector, Shared<Held>>,
    addresses: Vec<Authority>,
    turn: AtomicUsize,
    health: Option<config::Health>,
    /// Of what its requests come to.
    pub(crate) complaint: Seldom,
}

/// What the body of a request holds: none is under way for a check.
type Held = ((), Option<UnderWay>);

/// Why there is no answer, and from whom.
#[derive(Debug)]
pub(crate) struct Failure {
    address: Authority,
    error: legacy::Error,
}

impl Upstream {
    pub(crate) fn new(name: String, config: config::Upstream) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(config.connect_seconds.get()));
        connector.set_nodelay(true);
        connector.set_keepalive(Some(SILENCE));
        connector.set_keepalive_interval(Some(PROBES));
        connector.set_keepalive_retries(Some(UNANSWERED));
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(config.idle_seconds.get())
            .build(connector);
        let addresses = config.addresses.iter();
        Self {
            name,
            client,
            addresses: addresses.map(|address| address.get().clone()).collect(),
            turn: AtomicUsize::new(0),
            health: config.health,
            complaint: Seldom::new(),
        }
    }

    /// The names under which the health of its addresses is known.
    pub(crate) fn members(&self) -> impl Iterator<Item = String> {
        let addresses = self.addresses.iter();
        addresses.map(|address| member(&self.name, address))
    }

    /// Sends a request to the next address that is well. If none is, it is tried nevertheless: it
    /// may be the check that is wrong, and there is nothing to lose.
    ///
    /// A request of which nothing was sent, because there is no connection to be had, is sent to the
    /// others in turn. One that has no body and asks for no change is sent once more if there is no
    /// answer: the connection may have been closed just when it was to be used again.
    pub(crate) async fn send(
        &self,
        health: &[Lease<Health>],
        parts: Parts,
        body: Option<Body<Held>>,
    ) -> Result<Response<Incoming>, Failure> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.addresses.len();
        let is_well = |index: &usize| self.health.is_none() || health[*index].is_well();
        let count = self.addresses.len();
        let nobody_is_well = !(0..count).any(|index| is_well(&index));
        let mut others = (turn..count)
            .chain(0..turn)
            .filter(|index| nobody_is_well || is_well(index))
            .map(|index| &self.addresses[index]);
        let first = others.next().expect("one of all is left");

        let mut may_repeat = body.is_none() && parts.method.is_safe();
        let body = Shared::new(body.unwrap_or_else(|| Body::empty().holding(None)));
        let mut address = first;
        loop {
            let request = request(&parts, address, body.clone());
            let error = match self.client.request(request).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let other = others.next();
            let next = if error.is_connect() {
                other
            } else if std::mem::take(&mut may_repeat) {
                other.or(Some(first))
            } else {
                None
            };
            address = next.ok_or_else(|| Failure {
                address: address.clone(),
                error,
            })?;
        }
    }
}

impl Failure {
    /// Whether nothing was sent.
    pub(crate) fn is_connect(&self) -> bool {
        self.error.is_connect()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {}", self.address)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

fn request(parts: &Parts, authority: &Authority, body: Shared<Held>) -> Request<Shared<Held>> {
    let path = parts.uri.path_and_query().cloned();
    let mut parts = parts.clone();
    parts.version = Version::HTTP_11;
    parts.uri = uri(
        authority,
        path.unwrap_or_else(|| PathAndQuery::from_static("/")),
    );
    Request::from_parts(parts, body)
}

fn uri(authority: &Authority, path: PathAndQuery) -> Uri {
    Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(authority.clone())
        .path_and_query(path)
        .build()
        .expect("a URI has these three parts")
}
