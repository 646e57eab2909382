//! The gateway: its own sockets, when it starts, when a reload is refused, and when it ends.

mod gateway_support;
mod harness;

use std::io::{Read, Write};
use std::net::{Ipv6Addr, Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use gateway_support::*;
use harness::{Process, Signal, command, request};

fn empty() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_that_is_refused_or_only_checked_accepts_nobody() {
    let app = Upstream::start("app").await;
    let (address, new, taken) = (free_address(), free_address(), free_address());
    let _taken = TcpListener::bind(taken).unwrap();
    let rest = upstream("app", &[&app]) + &route("/", "app", "");
    let gateway = Gateway::start(empty(), &(listener(address) + &rest));

    let over = Arc::new(AtomicBool::new(false));
    let is_over = Arc::clone(&over);
    let client = thread::spawn(move || {
        while !is_over.load(Ordering::Relaxed) {
            assert!(TcpStream::connect(new).is_err(), "it was accepted");
        }
    });
    let added = listener(address) + &listener(new);
    for _ in 0..20 {
        let refused = gateway.reload(&(added.clone() + &listener(taken) + &rest));
        assert_eq!(refused.status, 500);
    }
    // The file is watched, and must not be taken over by itself.
    let path = gateway.path().join("gateway.toml");
    for _ in 0..20 {
        let text = std::fs::read_to_string(&path).unwrap();
        write(&path, &text);
        assert_eq!(request("POST", gateway.admin, "/-/check").status, 500);
    }
    over.store(true, Ordering::Relaxed);
    client.join().unwrap();

    gateway.change(&(added + &rest));
    let mut connection = Connection::open(new, "a.test").await.unwrap();
    assert_eq!(connection.get("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_of_a_request_to_the_admin_address_is_not_in_the_way_of_the_end() {
    let address = free_address();
    let mut gateway = Gateway::start(empty(), &listener(address));
    let mut half = TcpStream::connect(gateway.admin).unwrap();
    half.write_all(b"GET /-/status HT").unwrap();
    assert_eq!(request("GET", gateway.admin, "/-/status").status, 200);

    gateway.process.signal(Signal::TERM);
    gateway.process.stderr.wait_for("no longer accepting");
    assert!(socket(address).await.is_err());
    assert!(gateway.process.wait().success());
}

#[test]
fn an_admin_address_that_is_taken_is_named() {
    let dir = empty();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let path = dir.path().join("gateway.toml");
    let listener = listener(free_address());
    write(&path, &format!("admin = '{taken}'\n{listener}"));
    let mut process = Process::start("gateway", ["-c", path.to_str().unwrap()]);
    assert!(!process.wait().success());
    let says = process.stderr.to_the_end().join("\n");
    assert!(
        says.contains(&format!("`admin`: cannot listen on {taken}")),
        "{says}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_addresses_of_ipv4_and_of_ipv6_are_two_listeners() {
    let Ok(free) = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)) else {
        // There is no IPv6 here.
        return;
    };
    let port = free.local_addr().unwrap().port();
    drop(free);
    let app = Upstream::start("app").await;
    let [four, six] = ["0.0.0.0", "[::]"].map(|ip| format!("{ip}:{port}").parse().unwrap());
    let rest = upstream("app", &[&app]) + &route("/", "app", "");
    let _gateway = Gateway::start(empty(), &(listener(four) + &listener(six) + &rest));
    for address in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
        let connection = Connection::open(address.parse().unwrap(), "a.test").await;
        assert_eq!(connection.unwrap().get("/").await.status, 200, "{address}");
    }
}

/// A port that is free on all addresses.
fn free_port() -> u16 {
    let free = TcpListener::bind("0.0.0.0:0").unwrap();
    free.local_addr().unwrap().port()
}

/// Asks for a check and a reload of this, neither of which may say that it is well.
fn is_rejected(gateway: &Gateway, config: &str, says: &[&str]) {
    let generation = gateway.generation();
    let reload = gateway.reload(config);
    let check = request("POST", gateway.admin, "/-/check");
    for report in [reload, check] {
        assert_eq!(report.status, 500, "{config}: {}", report.body);
        let outcome = report.json()["outcome"].clone();
        assert_eq!(outcome, "rejected", "{config}: {}", report.body);
        for says in says {
            assert!(report.body.contains(says), "{says}: {}", report.body);
        }
    }
    assert_eq!(gateway.generation(), generation);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_that_overlap_are_rejected_and_named() {
    let app = Upstream::start("app").await;
    let (address, port) = (free_address(), free_port());
    let rest = upstream("app", &[&app]) + &route("/", "app", "");
    let gateway = Gateway::start(empty(), &(listener(address) + &rest));
    let at = |ip: &str, port: u16| listener(format!("{ip}:{port}").parse().unwrap());
    for [one, other] in [
        ["0.0.0.0", "127.0.0.1"],
        ["127.0.0.1", "0.0.0.0"],
        ["[::]", "[::1]"],
        ["[::1]", "[::]"],
    ] {
        let config = listener(address) + &at(one, port) + &at(other, port) + &rest;
        let says = [one, other].map(|ip| format!("{ip}:{port}"));
        is_rejected(&gateway, &config, &["overlaps", &says[0], &says[1]]);
    }
    let mapped = at("[::ffff:127.0.0.1]", port);
    let says = ["gateway.toml:6:", "IPv4 not in the form of IPv6"];
    is_rejected(&gateway, &(listener(address) + &mapped + &rest), &says);
    // The kernel chooses another port for each of these.
    let chosen = listener(address) + &at("0.0.0.0", 0) + &at("127.0.0.1", 0);
    assert_eq!(gateway.reload(&(chosen + &rest)).status, 200);
    let mut connection = Connection::open(address, "a.test").await.unwrap();
    assert_eq!(connection.get("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_over_the_admin_address_is_rejected() {
    let address = free_address();
    let gateway = Gateway::start(empty(), &listener(address));
    let port = gateway.admin.port();
    let any = format!("0.0.0.0:{port}");
    let config = listener(address) + &listener(any.parse().unwrap());
    let admin = gateway.admin.to_string();
    is_rejected(&gateway, &config, &[&any, &admin, "until a restart"]);

    // One that the file names.
    let path = gateway.path().join("gateway.toml");
    write(&path, &format!("admin = '{admin}'\n{config}"));
    let report = request("POST", gateway.admin, "/-/check");
    assert_eq!(report.status, 500, "{}", report.body);
    let says = format!("{any} overlaps with {admin} of `admin`");
    assert!(report.body.contains(&says), "{}", report.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_gives_way_to_an_overlapping_one_in_two_saves() {
    let app = Upstream::start("app").await;
    let (stays, port) = (free_address(), free_port());
    let rest = listener(stays) + &upstream("app", &[&app]) + &route("/", "app", "");
    let [one, any] = ["127.0.0.1", "0.0.0.0"].map(|ip| format!("{ip}:{port}").parse().unwrap());
    let gateway = Gateway::start(empty(), &(listener(one) + &rest));
    for [old, new] in [[one, any], [any, one]] {
        let reaches = Connection::open(one, "a.test").await;
        assert_eq!(reaches.unwrap().get("/").await.status, 200);
        let says = [
            format!("cannot listen on {new}: {old} is open until this reload"),
            format!("remove {old} in one save and add {new} in the next, or restart"),
        ];
        is_rejected(&gateway, &(listener(new) + &rest), &[&says[0], &says[1]]);
        let reaches = Connection::open(one, "a.test").await;
        assert_eq!(reaches.unwrap().get("/").await.status, 200);

        gateway.change(&rest);
        let closed = format!("no longer accepting on {old}");
        gateway.process.stderr.wait_for(&closed);
        gateway.change(&(listener(new) + &rest));
    }
    let mut last = Connection::open(one, "a.test").await.unwrap();
    assert_eq!(last.get("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_caller_that_has_closed_its_writing_half_is_answered() {
    let gateway = Gateway::start(empty(), &listener(free_address()));
    for ask in ["POST /-/reload", "POST /-/check", "GET /-/status"] {
        let mut stream = TcpStream::connect(gateway.admin).unwrap();
        stream.set_read_timeout(Some(harness::PATIENCE)).unwrap();
        write!(stream, "{ask} HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{ask}: {answer}");
    }
    // One that has asked nothing is not waited for.
    let mut stream = TcpStream::connect(gateway.admin).unwrap();
    stream.set_read_timeout(Some(harness::PATIENCE)).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_request_without_one_host_is_answered_400() {
    let gateway = Gateway::start(empty(), &listener(free_address()));
    for (line, hosts, status) in [
        ("POST /-/reload HTTP/1.1", "host: a\r\n", 200),
        ("POST /-/reload HTTP/1.1", "", 400),
        ("POST /-/reload HTTP/1.1", "host: a\r\nhost: a\r\n", 400),
        ("GET /-/status HTTP/1.1", "", 400),
        ("GET http://a/-/status HTTP/1.1", "host: a\r\n", 200),
        ("GET http://a/-/status HTTP/1.1", "", 400),
        ("GET /-/status HTTP/1.0", "", 200),
    ] {
        let mut stream = TcpStream::connect(gateway.admin).unwrap();
        stream.set_read_timeout(Some(harness::PATIENCE)).unwrap();
        write!(stream, "{line}\r\n{hosts}connection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let says = answer.split(' ').nth(1);
        assert_eq!(says, Some(&*status.to_string()), "{line} {hosts}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_files_may_be_open_as_the_system_allows() {
    let app = Upstream::start("app").await;
    let (address, dir) = (free_address(), empty());
    let path = dir.path().join("gateway.toml");
    let rest = upstream("app", &[&app]) + &route("/", "app", "");
    write(
        &path,
        &format!("admin = '127.0.0.1:0'\n{}{rest}", listener(address)),
    );
    let gateway = command("gateway");
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "ulimit -S -n 64; exec \"$0\" \"$@\""])
        .arg(gateway.get_program())
        .args(gateway.get_args())
        .args(["-c", path.to_str().unwrap()]);
    let process = Process::spawn(&mut shell);
    process.stderr.wait_for("listening on http://");

    let mut connections = Vec::new();
    for _ in 0..80 {
        let mut connection = Connection::open(address, "a.test").await.unwrap();
        let answer = connection.send("GET", "/steps", "").await.unwrap();
        connections.push((connection, answer));
    }
    assert_eq!(process.stderr.with("cannot accept"), Vec::<String>::new());
}
