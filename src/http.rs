//! The admin endpoints: reload, check and status over HTTP, as a tower service.
//!
//! [`Admin`] is no server and no router. The app nests it under `/-`, on an address that only
//! operators reach:
//!
//! ```
//! # mod axum {
//! #     pub struct Router;
//! #     impl Router {
//! #         pub fn new() -> Self { Self }
//! #         pub fn nest_service<S>(self, _: &str, _: S) -> Self
//! #         where
//! #             S: tower_service::Service<http::Request<()>, Error = std::convert::Infallible>
//! #                 + Clone + Send + Sync + 'static,
//! #             S::Future: Send + 'static,
//! #         { self }
//! #     }
//! # }
//! use axum::Router;
//! use rekindle::{Manager, http};
//!
//! let reload = Manager::new();
//! let app = Router::new().nest_service("/-", http::Admin::new(reload.handle()));
//! ```
//!
//! With plain hyper there is no router that takes the prefix away, so `/-/reload` and `/reload` are
//! the same to it: send it every request whose path begins with `/-/`.
//!
//! | request | what it does |
//! |---|---|
//! | `POST /reload`, `PUT /reload` | [`Handle::reload`] with the trigger `http` |
//! | `POST /check` | [`Handle::check`]: a dry run |
//! | `GET /status`, `HEAD /status` | [`Handle::status`] |
//!
//! A reload is answered when it has ended: with a [probation](crate::Manager::probation) that is when
//! the probation has, so a client needs a timeout that is longer than all of it. A check that is asked
//! for during a reload waits for its end, and for that of a probation. The status never waits.
//!
//! # Answers
//!
//! The bodies are JSON: the report of a reload or a check, the status, or only an `error`.
//!
//! | status | meaning |
//! |---|---|
//! | 200 | the reload was applied, or nothing had changed, or the check found all valid; the status |
//! | 500 | rejected, partial or rolled back: the report says which step failed and why |
//! | 503 | the manager is stopping or has stopped; with the report, if the reload had begun |
//! | 409 | asked for from inside a reload, which cannot wait for another one |
//! | 400 | a request of HTTP/1.1 that has no `Host` or an invalid one, or any request that has two |
//! | 403, 401 | a browser's request from another site; no token, or a wrong one |
//! | 404, 405 | no such path; not with this method, `Allow` has those that there are |
//!
//! A report:
//!
//! ```json
//! {
//!   "triggers": ["http"], "triggers_total": 1, "generation": 7, "outcome": "rejected", "check": false,
//!   "started_unix_seconds": 1767225600.25, "took_seconds": 0.0013, "untouched": 3,
//!   "pending_restart": ["workers"], "overdue": [], "warnings": [],
//!   "steps": [
//!     {"name": "config", "action": "rebuilt", "took_seconds": 0.0004},
//!     {"name": "listeners", "action": "rebuilt", "took_seconds": 0.0001,
//!      "keys": {"added": 1, "changed": 0, "kept": 2, "removed": 0}},
//!     {"name": "pool", "action": "failed", "took_seconds": 0.0009,
//!      "error": {"message": "cannot connect", "causes": ["connection refused"]}}
//!   ],
//!   "error": "the reload was rejected: `pool` failed: cannot connect: connection refused"
//! }
//! ```
//!
//! ## The fields of a report
//!
//! | field | what it is |
//! |---|---|
//! | `triggers` | the names of the triggers, at most 16 different ones |
//! | `triggers_total` | how many triggers there were |
//! | `generation` | the number of the generation that was current when the reload ended |
//! | `outcome` | [`Outcome::as_str`](crate::Outcome::as_str) |
//! | `check` | `true` if it was a check |
//! | `committed` | only if the outcome is `interrupted`: `true` if the new generation is current |
//! | `started_unix_seconds`, `took_seconds` | the time at which the reload began, and its length |
//! | `steps[].name` | the name of a component, effect or reloader, or `probation` |
//! | `steps[].action` | [`Action::as_str`](crate::Action::as_str) |
//! | `steps[].took_seconds` | the time that the step took |
//! | `steps[].keys.added`, `steps[].keys.changed`, `steps[].keys.kept`, `steps[].keys.removed` | only of a collection that was rebuilt: how many keys |
//! | `steps[].error.message`, `steps[].error.causes` | only if it failed: the error, and what caused it, outermost first |
//! | `warnings` | the texts that the app's functions [warned](crate::warn) of |
//! | `untouched` | how many components the reload did not touch |
//! | `pending_restart` | the names of pinned settings that wait for a restart: [`Report::pending_restart`](crate::Report::pending_restart) |
//! | `overdue` | a list of old values that are held for too long ([`Report::overdue`](crate::Report::overdue)), with the fields of `draining` in the status |
//! | `error` | only if something failed, and only in the answer to the caller: all of it in one line |
//!
//! ## The fields of the status
//!
//! | field | what it is |
//! |---|---|
//! | `generation` | the number of the current generation |
//! | `components` | how many components there are |
//! | `stopping` | `true` if the end has begun: there are no more reloads |
//! | `on_probation` | `true` if the current generation is on [probation](crate::Manager::probation): it may yet be rolled back |
//! | `consecutive_failures` | how many reloads have failed since the last one that did not |
//! | `last_success_unix_seconds`, `last_failure_unix_seconds` | the end of the last reload of either kind; `null` if there was none |
//! | `pending_restart` | the names of pinned settings that wait for a restart |
//! | `tasks[].component` | the component that the [task](crate::Component::runs) belongs to |
//! | `tasks[].failures` | how often it has ended by itself |
//! | `tasks[].ended` | `true` if it has ended and is not started again |
//! | `tasks[].error.message`, `tasks[].error.causes` | only if its last end was an error |
//! | `notifiers[].name` | the name of the notifier |
//! | `notifiers[].failures` | how often in a row it has failed |
//! | `notifiers[].error.message`, `notifiers[].error.causes` | only if it has failed since its last trigger |
//! | `draining[].component`, `draining[].generation` | a replaced value that is still held, and the last generation that had it |
//! | `draining[].held_seconds`, `draining[].overdue` | for how long, and `true` if that is longer than [`Manager::drain`](crate::Manager::drain) allows |
//! | `draining[].guards`, `draining[].leases`, `draining[].dependants` | by how many of either, and by the old values of which components |
//! | `retiring[].component`, `retiring[].running_seconds` | a value that is no longer held and whose [retirement](crate::Component::retire) runs, and for how long |
//! | `reports` | the last reports, at most 16, newest first |
//!
//! # Who may ask
//!
//! A browser on an operator's machine reaches what the operator reaches, so a request that a page of
//! another site caused is refused: `Sec-Fetch-Site` has to be `same-origin` or `none`; where a browser
//! does not send that, the host of `Origin` has to be the one that was asked. A request with neither
//! passes: it comes from no browser (curl, Prometheus), or is a plain GET whose answer the page that
//! caused it cannot read. The rule is that of Go 1.25's
//! [`CrossOriginProtection`](https://pkg.go.dev/net/http#CrossOriginProtection), here for every method.
//! It cannot see through DNS rebinding, where a foreign name resolves to this address: a
//! [token](Admin::bearer_token) can.
//!
//! # What a caller cannot do
//!
//! Request bodies are dropped unread, so none is waited for or buffered. A caller that goes away
//! cancels nothing: the reload that it asked for goes on. Any number of callers during one reload
//! share the one that follows.
//!
//! # A caller that has closed its writing half
//!
//! `nc -N` sends its request and then shuts down its side of the connection. The answer depends on the
//! server, because a server sees the same end of the stream from a caller that is gone. hyper's HTTP/1
//! server ends the connection at once, together with the future of this service or before it is called,
//! unless it was built with
//! [`half_close(true)`](https://docs.rs/hyper/1/hyper/server/conn/http1/struct.Builder.html#method.half_close);
//! the `gateway` example sets it for its admin address. `axum::serve` builds hyper without it and has no
//! setting for it, so there such a caller gets no answer, and its reload may not even begin: use a client
//! that keeps its side open, as curl does.

use std::convert::Infallible;
use std::fmt;
use std::future;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::http::{Request, Response};
use http_body_util::Full;
use tokio_util::bytes::Bytes;
use tower_service::Service;

use crate::Handle;

mod access;
mod answer;
mod endpoint;
mod json;

use access::Token;
use endpoint::Endpoint;

/// The admin endpoints of a manager, a tower service: see the [module](self).
///
/// Cheap to clone. Every clone, also one that outlives the manager, goes on to answer: when the
/// manager has stopped, reload and check with 503, the status as it was last.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use http::{Request, StatusCode};
/// use tower_service::Service;
///
/// let reload = rekindle::Manager::new();
/// let mut admin = rekindle::http::Admin::new(reload.handle());
/// let response = admin.call(Request::get("/-/status").header("host", "localhost").body(())?).await?;
/// assert_eq!(response.status(), StatusCode::OK);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Admin {
    handle: Handle,
    token: Option<Token>,
}

impl Admin {
    /// The endpoints of the manager that `handle` belongs to, without a token.
    ///
    /// ```
    /// let reload = rekindle::Manager::new();
    /// let admin = rekindle::http::Admin::new(reload.handle());
    /// ```
    pub fn new(handle: Handle) -> Self {
        Self {
            handle,
            token: None,
        }
    }

    /// Answers only requests that carry `Authorization: Bearer <token>`, the others with 401.
    ///
    /// The token is compared in constant time; only its length could be measured. It never shows in
    /// `Debug` or in an answer.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// use http::{Request, StatusCode};
    /// use tower_service::Service;
    ///
    /// # let token = String::from("s3cret\n");
    /// let reload = rekindle::Manager::new();
    /// let mut admin = rekindle::http::Admin::new(reload.handle()).bearer_token(token.trim());
    ///
    /// let status = Request::get("/-/status").header("host", "localhost");
    /// let refused = admin.call(status.body(())?).await?;
    /// assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    ///
    /// let status = Request::get("/-/status").header("host", "localhost");
    /// let status = status.header("authorization", "Bearer s3cret");
    /// let answered = admin.call(status.body(())?).await?;
    /// assert_eq!(answered.status(), StatusCode::OK);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If the token is empty, or has a character that no request can carry in a token: anything but
    /// visible ASCII, such as the line break at the end of a file that it was read from.
    #[must_use]
    #[track_caller]
    pub fn bearer_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(Token::new(token.into()));
        self
    }
}

impl<B> Service<Request<B>> for Admin
where
    B: Send + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (request, body) = request.into_parts();
        // Whoever sends it learns at once that nobody is going to read it.
        drop(body);
        let endpoint = access::one_host(&request)
            .and_then(|()| access::same_site(&request))
            .and_then(|()| access::authorized(&request, self.token.as_ref()))
            .and_then(|()| Endpoint::of(&request));
        match endpoint {
            Ok(endpoint) => {
                let handle = self.handle.clone();
                Box::pin(async move { Ok(endpoint.answer(&handle).await) })
            }
            Err(refusal) => Box::pin(future::ready(Ok(refusal.into()))),
        }
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("handle", &self.handle)
            .field("token", &self.token)
            .finish()
    }
}
