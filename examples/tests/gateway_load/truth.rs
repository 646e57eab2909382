//! What the gateway is told, and so what it may answer.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::RwLock;

use crate::gateway_support::*;

/// What is written into the file.
pub(crate) struct Setup {
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
    /// Without and with TLS: they come and go.
    pub(crate) second: [SocketAddr; 2],
    upstreams: [String; 2],
    state: State,
}

#[derive(Default)]
struct State {
    edition: u64,
    other_upstream: bool,
    only_tls13: bool,
    second: bool,
    another_route: bool,
    log: bool,
}

/// A change of this kind is one of the certificate.
const ROTATION: u32 = 2;
const KINDS: u32 = 7;

impl Setup {
    pub(crate) fn new(upstreams: &[Upstream; 2]) -> Self {
        Self {
            plain: free_address(),
            tls: free_address(),
            second: [free_address(), free_address()],
            upstreams: upstreams.each_ref().map(|it| upstream("app", &[it])),
            state: State::default(),
        }
    }

    pub(crate) fn config(&self) -> String {
        let State { edition, .. } = self.state;
        let log = if self.state.log {
            "info,gateway=debug"
        } else {
            "info"
        };
        let version = if self.state.only_tls13 { "1.3" } else { "1.2" };
        let tls =
            |address| tls_listener(address, &["one"]) + &format!("tls.min_version = '{version}'\n");
        let mut parts = vec![listener(self.plain), tls(self.tls)];
        if self.state.second {
            parts.push(listener(self.second[0]));
            parts.push(tls(self.second[1]));
        }
        parts.push(self.upstreams[usize::from(self.state.other_upstream)].clone());
        // That of the WebSockets stays, as they are to live.
        parts.push(self.upstreams[0].replace(".app]", ".stays]"));
        let edition = format!("response_headers.set.x-edition = '{edition}'");
        parts.push(route("/", "app", &edition));
        parts.push(route("/ws", "stays", ""));
        if self.state.another_route {
            parts.push(route("/another", "app", ""));
        }
        // It has to come before the tables.
        format!("log = '{log}'\n{}", parts.concat())
    }

    /// Changes something; whether that removes a listener.
    pub(crate) fn change(&mut self, number: u32) -> bool {
        let state = &mut self.state;
        match number % KINDS {
            0 => state.edition += 1,
            1 => state.other_upstream ^= true,
            ROTATION => {}
            3 => state.only_tls13 ^= true,
            4 => state.second ^= true,
            5 => state.another_route ^= true,
            _ => state.log ^= true,
        }
        number % KINDS == 4 && !state.second
    }

    pub(crate) fn rotates(&self, number: u32) -> bool {
        number % KINDS == ROTATION
    }

    pub(crate) fn has_second(&self) -> bool {
        self.state.second
    }

    /// What answers of this generation tell about it.
    pub(crate) fn edition(&self) -> String {
        self.state.edition.to_string()
    }
}

/// Which generations may answer, and what went wrong.
pub(crate) struct Truth {
    /// The newest that is known to be current.
    current: AtomicU64,
    /// The newest that may be current.
    newest: AtomicU64,
    editions: Mutex<BTreeMap<u64, String>>,
    failures: Mutex<Vec<String>>,
    /// Whether the second listeners are there. Held by those who connect to them.
    pub(crate) is_there: RwLock<bool>,
}

impl Truth {
    pub(crate) fn new(generation: u64, edition: String) -> Self {
        Self {
            current: AtomicU64::new(generation),
            newest: AtomicU64::new(generation),
            editions: Mutex::new(BTreeMap::from([(generation, edition)])),
            failures: Mutex::default(),
            is_there: RwLock::new(false),
        }
    }

    pub(crate) fn about_to_change(&self, edition: String) {
        let next = self.current.load(Ordering::SeqCst) + 1;
        self.editions.lock().unwrap().insert(next, edition);
        self.newest.store(next, Ordering::SeqCst);
    }

    pub(crate) fn changed(&self, generation: u64) {
        assert_eq!(generation, self.newest.load(Ordering::SeqCst));
        self.current.store(generation, Ordering::SeqCst);
    }

    /// What is to be noted before a request is sent.
    pub(crate) fn current(&self) -> u64 {
        self.current.load(Ordering::SeqCst)
    }

    /// Looks whether an answer to a request that began when `since` was current tells the truth.
    pub(crate) fn check(&self, kind: &str, since: u64, answer: &Answer) {
        let newest = self.newest.load(Ordering::SeqCst);
        let generation = answer.header("x-gateway-generation").parse().unwrap_or(0);
        let edition = self.editions.lock().unwrap().get(&generation).cloned();
        let is_ok = answer.status == 200
            && (since..=newest).contains(&generation)
            && edition.as_deref() == Some(answer.header("x-edition"));
        if !is_ok {
            let expected = format!("a generation of {since} to {newest}, edition {edition:?}");
            self.fail(kind, &format!("{expected}: {answer:?}"));
        }
    }

    pub(crate) fn fail(&self, kind: &str, what: &dyn Display) {
        let what = format!("{kind}: {}", what);
        self.failures.lock().unwrap().push(what);
    }

    pub(crate) fn failures(&self) -> Vec<String> {
        self.failures.lock().unwrap().clone()
    }
}
