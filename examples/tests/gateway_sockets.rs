//! The gateway: its own sockets, when it starts, when a reload is refused, and when it ends.

mod gateway_support;
mod harness;

use std::io::Write;
use std::net::{Ipv6Addr, TcpListener, TcpStream};
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
