//! The admin endpoints: reload, check and status over HTTP, as a tower service.
//!
//! [`Admin`] is neither a server nor a router. The app nests it under `/-`, on an address that only
//! operators can reach:
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
//! Plain hyper has no router that strips the prefix, so [`Admin`] treats `/-/reload` and `/reload`
//! alike: send it every request whose path begins with `/-/`.
//!
//! | request | effect |
//! |---|---|
//! | `POST /reload`, `PUT /reload` | [`Handle::reload`] with the trigger `http` |
//! | `POST /check` | [`Handle::check`]: a dry run |
//! | `GET /status`, `HEAD /status` | [`Handle::status`] |
//!
//! A reload is answered when it has ended. With a [probation](crate::Manager::probation) that is
//! after the probation, so a client needs a timeout longer than both. A check requested during a
//! reload waits for the end of that reload, and of its probation. The status never waits. A reload over HTTP
//! also tries values that failed their probation and have not been edited since.
//!
//! # Answers
//!
//! The bodies are JSON: the report of a reload or a check, the status, or only an `error`.
//!
//! | status | meaning |
//! |---|---|
//! | 200 | the reload was applied, nothing had changed, or the check found everything valid; the status |
//! | 500 | rejected, partial or rolled back: the report says which step failed and why |
//! | 503 | the manager is stopping or has stopped; with the report, if the reload had begun |
//! | 409 | requested from inside a reload, which cannot wait for another one |
//! | 400 | an HTTP/1.1 request with a missing or invalid `Host`, or any request with two |
//! | 403, 401 | a browser's request from another site; a missing or wrong token |
//! | 404, 405 | no such path; a method that the path does not allow, with the allowed ones in `Allow` |
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
//! | field | meaning |
//! |---|---|
//! | `triggers` | the names of the triggers, at most 16 different ones |
//! | `triggers_total` | the number of triggers |
//! | `generation` | the number of the generation that was current when the reload ended |
//! | `outcome` | [`Outcome::as_str`](crate::Outcome::as_str) |
//! | `check` | `true` if it was a check |
//! | `committed` | only if the outcome is `interrupted`: `true` if the new generation is current |
//! | `started_unix_seconds`, `took_seconds` | the time at which the reload began, and its length |
//! | `steps[].name` | the name of a component, effect or reloader, or `probation` |
//! | `steps[].action` | [`Action::as_str`](crate::Action::as_str) |
//! | `steps[].took_seconds` | the time that the step took |
//! | `steps[].keys.added`, `steps[].keys.changed`, `steps[].keys.kept`, `steps[].keys.removed` | only of a collection that was rebuilt: the number of keys |
//! | `steps[].error.message`, `steps[].error.causes` | only if it failed: the error and its causes, outermost first |
//! | `warnings` | the [warnings](crate::warn) of the app's functions |
//! | `untouched` | the number of components that the reload did not touch |
//! | `pending_restart` | the names of pinned settings that wait for a restart: [`Report::pending_restart`](crate::Report::pending_restart) |
//! | `overdue` | a list of old values that are held for too long ([`Report::overdue`](crate::Report::overdue)), with the fields of `draining` in the status |
//! | `error` | only if something failed, and only in the answer to the caller: all of it in one line |
//!
//! ## The fields of the status
//!
//! | field | meaning |
//! |---|---|
//! | `generation` | the number of the current generation |
//! | `components` | the number of components |
//! | `stopping` | `true` if the end has begun: there are no more reloads |
//! | `on_probation` | `true` if the current generation is on [probation](crate::Manager::probation) and may still be rolled back |
//! | `consecutive_failures` | the number of failed reloads since the last one that did not fail |
//! | `last_success_unix_seconds`, `last_failure_unix_seconds` | the end of the last reload of either kind; `null` if there was none |
//! | `pending_restart` | the names of pinned settings that wait for a restart |
//! | `tasks[].component` | the component that the [task](crate::Component::runs) belongs to |
//! | `tasks[].failures` | the number of times it has ended by itself |
//! | `tasks[].ended` | `true` if it has ended and is not started again |
//! | `tasks[].error.message`, `tasks[].error.causes` | only if its last end was an error |
//! | `notifiers[].name` | the name of the notifier |
//! | `notifiers[].failures` | the number of its failures in a row |
//! | `notifiers[].error.message`, `notifiers[].error.causes` | only if it has failed since its last trigger |
//! | `draining[].component`, `draining[].generation` | a replaced value that is still held, and the last generation that had it |
//! | `draining[].held_seconds`, `draining[].overdue` | the time it has been held, and `true` if that is longer than [`Manager::drain`](crate::Manager::drain) allows |
//! | `draining[].guards`, `draining[].leases`, `draining[].dependants` | its holders: the number of guards, the number of leases, and the components whose old values depend on it |
//! | `retiring[].component`, `retiring[].running_seconds` | a value without holders whose [retirement](crate::Component::retire) runs, and for how long it has run |
//! | `reports` | the last reports, at most 16, newest first |
//!
//! # Access
//!
//! A browser on an operator's machine reaches every address that the operator reaches, so a request
//! that a page of another site caused is rejected. `Sec-Fetch-Site` must be `same-origin` or
//! `none`; where a browser does not send it, the host of `Origin` must be the requested one. A
//! request with neither header passes: it does not come from a browser (curl, Prometheus), or it is
//! a plain GET whose answer the page that caused it cannot read. The rule is that of Go 1.25's
//! [`CrossOriginProtection`](https://pkg.go.dev/net/http#CrossOriginProtection), applied to every
//! method. It does not detect DNS rebinding, where a foreign name resolves to this address. A
//! [token](Admin::bearer_token) protects against that.
//!
//! # Bodies and disconnects
//!
//! Request bodies are dropped unread, so none is waited for or buffered. A client that disconnects
//! cancels nothing: the reload that it requested goes on. Any number of callers during one reload
//! share the next one.
//!
//! # A caller that has closed its writing half
//!
//! `nc -N` sends its request and then shuts down its side of the connection. The answer depends on
//! the server, because a server cannot tell this from a client that has disconnected. hyper's
//! HTTP/1 server ends the connection at once, together with the future of this service or before it
//! is called, unless it was built with
//! [`half_close(true)`](https://docs.rs/hyper/1/hyper/server/conn/http1/struct.Builder.html#method.half_close).
//! The `gateway` example sets that for its admin address. `axum::serve` builds hyper without it and
//! has no setting for it, so there such a caller gets no answer, and its reload may not even begin.
//! Use a client that keeps its side open, as curl does.

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

/// The admin endpoints of a manager, as a tower service. See the [module](self).
///
/// Cheap to clone. Every clone goes on answering, even after the manager was dropped: once the
/// manager has stopped, reload and check answer 503, and the status stays as it was last.
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

    /// Answers requests without `Authorization: Bearer <token>` with 401.
    ///
    /// The token is compared in constant time; only its length could be measured. `Debug` and
    /// answers never show it.
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
    /// If the token is empty, or has a character that a request cannot carry in a token: anything
    /// but visible ASCII, such as the line break at the end of a file that the token was read from.
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
        // Dropped now, so that the sender notices at once that its body will not be read.
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
