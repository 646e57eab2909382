//! An upstream: some addresses that do the same, and the connections to them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rekindle::BoxError;

use crate::body::Body;
use crate::config;
use crate::connection::{PROBES, SILENCE, UNANSWERED};

mod health;

pub(crate) use health::watch;

/// The pool of connections is part of the value: it stays warm as long as the configuration of the
/// upstream stays the same, and goes when the last request has let go of it.
pub(crate) struct Upstream {
    client: Client<HttpConnector, Body>,
    addresses: Vec<Address>,
    turn: AtomicUsize,
    health: Option<config::Health>,
}

struct Address {
    authority: Authority,
    /// What the health check found. Read and written alone, so relaxed.
    is_well: AtomicBool,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    NobodyIsWell,
    Failed(hyper_util::client::legacy::Error),
}

impl Upstream {
    pub(crate) fn new(config: config::Upstream) -> Result<Self, BoxError> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(config.connect_seconds.get()));
        connector.set_nodelay(true);
        connector.set_keepalive(Some(SILENCE));
        connector.set_keepalive_interval(Some(PROBES));
        connector.set_keepalive_retries(Some(UNANSWERED));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(config.idle_seconds.get())
            .build(connector);
        let mut addresses = Vec::new();
        for address in &config.addresses {
            addresses.push(Address {
                authority: address.get().clone(),
                is_well: AtomicBool::new(true),
            });
        }
        Ok(Self {
            client,
            addresses,
            turn: AtomicUsize::new(0),
            health: config.health,
        })
    }

    /// Sends a request to the next address that is well.
    ///
    /// A request that can be sent again, because it has no body and asks for no change, is sent to
    /// the others too if the first does not answer: it may be away, or may have closed the
    /// connection just when it was to be used again.
    pub(crate) async fn send(
        &self,
        parts: Parts,
        body: Option<Body>,
    ) -> Result<Response<Incoming>, Failure> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let (before, from) = self.addresses.split_at(turn % self.addresses.len());
        let well = |address: &&Address| address.is_well.load(Ordering::Relaxed);
        let mut well = from.iter().chain(before).filter(well);
        let first = well.next().ok_or(Failure::NobodyIsWell)?;

        let is_repeatable = body.is_none() && parts.method.is_safe();
        let request = |address: &Address, body| request(&parts, &address.authority, body);
        let body = body.unwrap_or_else(Body::empty);
        let mut sent = self.client.request(request(first, body)).await;
        if is_repeatable {
            for other in well.chain([first]) {
                if sent.is_ok() {
                    break;
                }
                sent = self.client.request(request(other, Body::empty())).await;
            }
        }
        sent.map_err(Failure::Failed)
    }
}

fn request(parts: &Parts, authority: &Authority, body: Body) -> Request<Body> {
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
