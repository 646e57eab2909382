//! A gateway that runs as a process of its own, with upstreams and clients in the test.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test program uses its own part of this"
)]

mod authority;
mod client;
mod frames;
mod upstream;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

use tempfile::TempDir;

use crate::harness::{Answer as Report, Process, request};

pub(crate) use authority::Authority;
pub(crate) use client::{
    Answer, Connection, in_time, narrow_socket, socket, tls, websocket, websocket_on,
};
pub(crate) use frames::{Frame, Frames, Kind};
pub(crate) use upstream::{Rude, Upstream};

/// A gateway and its directory. It is killed when this is dropped.
pub(crate) struct Gateway {
    pub(crate) process: Process,
    pub(crate) admin: SocketAddr,
    dir: TempDir,
}

/// The beginning of each configuration.
const HEAD: &str = "admin = '127.0.0.1:0'\ndebug_headers = true\n";

impl Gateway {
    /// Starts with this configuration, in a directory that has been prepared.
    pub(crate) fn start(dir: TempDir, config: &str) -> Self {
        Self::start_with(dir, config, &["--drain-seconds", "5"])
    }

    pub(crate) fn start_with(dir: TempDir, config: &str, arguments: &[&str]) -> Self {
        write(&dir.path().join("gateway.toml"), &format!("{HEAD}{config}"));
        let path = dir.path().join("gateway.toml");
        let path = ["-c", path.to_str().unwrap()];
        let process = Process::start("gateway", path.iter().chain(arguments));
        Self {
            admin: process.address(),
            process,
            dir,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes the configuration and reloads; the report.
    pub(crate) fn reload(&self, config: &str) -> Report {
        write(
            &self.path().join("gateway.toml"),
            &format!("{HEAD}{config}"),
        );
        request("POST", self.admin, "/-/reload")
    }

    /// As `reload`, where it has to succeed.
    pub(crate) fn change(&self, config: &str) -> u64 {
        let report = self.reload(config);
        assert_eq!(report.status, 200, "{}", report.body);
        self.generation()
    }

    pub(crate) fn generation(&self) -> u64 {
        let status = request("GET", self.admin, "/-/status").json();
        status["generation"].as_u64().unwrap()
    }
}

/// Writes a file as a whole, so that no reload reads a half of it.
pub(crate) fn write(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

/// An address that nobody uses: each test program has a part of 127/8 of its own, so that its ports
/// are not those of clients.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = [127, high | 0x80, low, NEXT.fetch_add(1, Ordering::Relaxed)];
    SocketAddr::from((address, 8080))
}

/// Whether a connection waits there to be accepted, as the kernel tells.
pub(crate) fn is_in_backlog(address: SocketAddr) -> bool {
    let SocketAddr::V4(address) = address else {
        panic!("the tests use IPv4");
    };
    let ip = u32::from_le_bytes(address.ip().octets());
    // Local and remote address, the state of a listener, and how many wait: never 0 in the second half.
    let local = format!("{ip:08X}:{:04X} 00000000:0000 0A ", address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let line = table.lines().find_map(|line| line.split_once(&local));
    line.is_some_and(|(_, rest)| !rest.starts_with("00000000:00000000"))
}

/// A listener without TLS.
pub(crate) fn listener(address: SocketAddr) -> String {
    format!("[[listeners]]\naddress = '{address}'\n")
}

/// A listener with TLS, and the certificates of these names.
pub(crate) fn tls_listener(address: SocketAddr, certificates: &[&str]) -> String {
    let pair = |name: &&str| format!("{{ certificate = '{name}.crt', key = '{name}.key' }}");
    let pairs: Vec<_> = certificates.iter().map(pair).collect();
    let pairs = pairs.join(", ");
    format!("[[listeners]]\naddress = '{address}'\ntls.certificates = [{pairs}]\n")
}

pub(crate) fn upstream(name: &str, upstreams: &[&Upstream]) -> String {
    let addresses: Vec<_> = upstreams.iter().map(|upstream| upstream.address).collect();
    upstream_at(name, &addresses)
}

pub(crate) fn upstream_at(name: &str, addresses: &[SocketAddr]) -> String {
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    format!("[upstreams.{name}]\naddresses = {addresses:?}\n")
}

/// A route for all hosts, with more settings if there are any.
pub(crate) fn route(path: &str, upstream: &str, more: &str) -> String {
    format!("[[routes]]\npath = '{path}'\n[routes.to]\nupstream = '{upstream}'\n{more}\n")
}
