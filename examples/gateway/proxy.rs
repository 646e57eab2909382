//! One request, from a client to an upstream and back.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::uri::Authority;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::OnUpgrade;
use rekindle::Live;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::Refusal;
use crate::body::{Body, Progress, Turn};
use crate::config;
use crate::connection::Activity;
use crate::headers;
use crate::log;
use crate::route::{Router, Way};
use crate::tunnel::Tunnel;

/// What a request has to know of the connection that it came on.
pub(crate) struct Client {
    pub(crate) proxy: Proxy,
    pub(crate) address: IpAddr,
    pub(crate) is_secure: bool,
    /// The listener is being stopped.
    pub(crate) stop: CancellationToken,
    pub(crate) activity: Arc<Activity>,
    pub(crate) tunnels: TaskTracker,
}

#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) router: Live<Router>,
    /// How long a tunnel has to end when it is told to.
    pub(crate) drain: Duration,
}

/// The protocol that is agreed upon, and the client's end of the connection.
type Upgrade = (HeaderValue, OnUpgrade);

/// An answer. Its body holds the way on which it comes.
type Answer = Response<Body<((), Option<Way>)>>;

impl Client {
    /// Answers, in any case.
    ///
    /// The generation is looked at once, here, so all that happens to the request is of this one.
    /// Only the route and its upstream are held for as long as the answer takes: a long download
    /// keeps nothing else from being retired.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (generation, found) = {
            let router = self.proxy.router.load();
            let generation = router.debug_headers.then(|| router.generation());
            (generation, find(&router, &request))
        };
        let answered = match found {
            Ok((way, host)) => self.forward(way, host, request).await,
            Err(refusal) => Err(refusal),
        };
        let mut response = answered.unwrap_or_else(|refusal| {
            tracing::debug!(%refusal, "refused");
            Response::from(refusal).map(|body| body.holding(None))
        });
        if let Some(generation) = generation {
            let headers = response.headers_mut();
            headers.insert("x-gateway-generation", HeaderValue::from(generation));
        }
        response
    }

    async fn forward(
        &self,
        way: Way,
        host: Option<HeaderValue>,
        request: Request<Incoming>,
    ) -> Result<Answer, Refusal> {
        let route = &way.route;
        let (response, upgraded) = match self.exchange(&way, host, request).await {
            Ok(exchanged) => exchanged,
            Err(refusal) => {
                if refusal.is_ours() && way.upstream.complaint.is_due() {
                    let refusal = log::chain(&refusal);
                    tracing::warn!(route = %route.name, "a request was not answered: {refusal}");
                }
                return Err(refusal);
            }
        };
        if let Some((protocol, client)) = upgraded {
            return Ok(self.switch(way, protocol, client, response));
        }
        let limit = route.settings.max_response_bytes;
        let wait = route.settings.body_seconds.get();
        Ok(response.map(|body| Body::passing(body, limit, wait).holding(Some(way))))
    }

    /// Sends the request on. Gives the answer, and what the connection becomes if both agree on that.
    async fn exchange(
        &self,
        way: &Way,
        host: Option<HeaderValue>,
        mut request: Request<Incoming>,
    ) -> Result<(Response<Incoming>, Option<Upgrade>), Refusal> {
        let route = &way.route.settings;
        let is_alone = request.version() == Version::HTTP_11 && request.body().is_end_stream();
        let upgrade = headers::upgrade(request.headers())
            .filter(|protocol| is_alone && way.route.may_switch_to(protocol))
            .map(|protocol| (protocol, hyper::upgrade::on(&mut request)));
        let (mut parts, body) = request.into_parts();
        if body.size_hint().lower() > route.max_request_bytes {
            return Err(Refusal::RequestTooLarge);
        }
        if !headers::is_plain_transfer(&parts.headers) {
            return Err(Refusal::NoCoding);
        }
        headers::remove_hop_by_hop(&mut parts.headers);
        headers::set_forwarded(&mut parts.headers, self.address, self.is_secure, host);
        headers::add_via(&mut parts.headers, parts.version);
        headers::join_cookies(&mut parts.headers);
        if let Some((protocol, _)) = &upgrade {
            headers::set_upgrade(&mut parts.headers, protocol.clone());
        }
        headers::follow(&route.request_headers, &mut parts.headers);

        // Its time begins when it has the whole request. A client that lets it wait has times of
        // its own.
        let progress = Progress::of(Turn::Taker);
        let body = (!body.is_end_stream()).then(|| {
            Body::passing(body, route.max_request_bytes, route.body_seconds.get())
                .telling(&progress)
                .holding(Some(self.activity.begin()))
        });
        if body.is_none() && [Method::POST, Method::PUT, Method::PATCH].contains(&parts.method) {
            // HTTP/2 tells it by the end of the stream.
            parts.headers.insert(header::CONTENT_LENGTH, 0.into());
        }
        let sent = way.upstream.send(&way.health, parts, body);
        let mut response = tokio::select! {
            response = sent => response?,
            () = progress.untaken(route.timeout_seconds.get()) => return Err(Refusal::TooLate),
        };
        if response.body().size_hint().lower() > route.max_response_bytes {
            return Err(Refusal::ResponseTooLarge);
        }
        if !headers::is_plain_transfer(response.headers()) {
            return Err(Refusal::Malformed);
        }
        let agreed = headers::upgrade(response.headers());
        headers::remove_hop_by_hop(response.headers_mut());
        let version = response.version();
        headers::add_via(response.headers_mut(), version);
        // That of the upstream is no business of the client's.
        *response.version_mut() = Version::HTTP_11;
        headers::follow(&route.response_headers, response.headers_mut());
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok((response, None));
        }
        // To the protocol that was asked for, and to no other.
        let (Some((asked, client)), Some(agreed)) = (upgrade, agreed) else {
            return Err(Refusal::Malformed);
        };
        match agreed.as_bytes().eq_ignore_ascii_case(asked.as_bytes()) {
            true => Ok((response, Some((agreed, client)))),
            false => Err(Refusal::Malformed),
        }
    }

    /// Answers that the protocol is another one from here on, and passes what is said in it.
    fn switch(
        &self,
        way: Way,
        protocol: HeaderValue,
        client: OnUpgrade,
        mut response: Response<Incoming>,
    ) -> Answer {
        let tunnel = Tunnel {
            client,
            upstream: hyper::upgrade::on(&mut response),
            is_websocket: protocol.as_bytes().eq_ignore_ascii_case(b"websocket"),
            drain: self.proxy.drain,
        };
        headers::set_upgrade(response.headers_mut(), protocol);
        let stop = self.stop.clone();
        self.tunnels.spawn(async move {
            let told = async {
                stop.run_until_cancelled(way.replaced()).await;
            };
            tunnel.run(told).await;
        });
        response.map(|_| Body::empty().holding(None))
    }
}

/// The route of a request, and the host that it asks, if it names one.
fn find(
    router: &Router,
    request: &Request<Incoming>,
) -> Result<(Way, Option<HeaderValue>), Refusal> {
    if request.method() == Method::CONNECT {
        return Err(Refusal::NoTunnel);
    }
    if headers::is_in_a_loop(request.headers()) {
        return Err(Refusal::Loop);
    }
    let path = match (request.method(), request.uri().path()) {
        // About the server as a whole.
        (&Method::OPTIONS, "*") => "/",
        (_, path) if config::has_dot_segments(path) => return Err(Refusal::DotSegments),
        (_, path) => path,
    };
    let authority = authority(request)?;
    let host = authority.as_ref().map_or("", Authority::host);
    let way = router.find(host, path).ok_or(Refusal::NoRoute)?.clone();
    let host = authority.map(|authority| HeaderValue::from_str(authority.as_str()));
    Ok((way, host.transpose().map_err(|_| Refusal::NoHost)?))
}

/// The one host that a request asks, with its port. Only HTTP/1.0 has requests without one. In HTTP/1.1
/// the header has to be there although the URI has a host, and has to be one either way.
fn authority(request: &Request<Incoming>) -> Result<Option<Authority>, Refusal> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (host, another) = (hosts.next(), hosts.next());
    if another.is_some() {
        return Err(Refusal::NoHost);
    }
    let host = match host {
        Some(host) => Some(plain(host.as_bytes().try_into().ok())?),
        None => None,
    };
    // With HTTP/2, and if we are taken for a forward proxy, the URI has it, and outranks the header.
    match (request.uri().authority(), request.version()) {
        (_, Version::HTTP_11) if host.is_none() => Err(Refusal::NoHost),
        (Some(authority), _) => plain(Some(authority.clone())).map(Some),
        (None, Version::HTTP_10) => Ok(host),
        (None, _) => host.map(Some).ok_or(Refusal::NoHost),
    }
}

/// A host and maybe a port. An upstream may read anything else in another way than we do.
fn plain(authority: Option<Authority>) -> Result<Authority, Refusal> {
    let is_plain = |authority: &Authority| {
        let port = authority.as_str().strip_prefix(authority.host());
        port.is_some_and(|port| port.is_empty() || port == ":" || authority.port_u16().is_some())
    };
    authority.filter(is_plain).ok_or(Refusal::NoHost)
}
