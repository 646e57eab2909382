//! The gateway: connections of clients that are slow, or silent, or about to be told to end.

mod gateway_support;
mod harness;

use std::net::SocketAddr;
use std::time::Duration;

use gateway_support::*;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// A gateway with one listener that speaks TLS, with these settings.
async fn secure(settings: &str, upstreams: &Upstream) -> (Gateway, SocketAddr, Authority, String) {
    let address = free_address();
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.issue(dir.path(), "one", "one.test");
    let rest = upstream("app", &[upstreams]) + &route("/", "app", "");
    let other = listener(free_address());
    let config = tls_listener(address, &["one"]) + settings + &other + &rest;
    let gateway = Gateway::start(dir, &config);
    (gateway, address, authority, other + &rest)
}

fn empty() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http2_connection_that_waits_to_be_accepted_is_served_though_the_listener_goes() {
    let app = Upstream::start("app").await;
    let (gateway, address, authority, rest) = secure("max_connections = 1\n", &app).await;
    let client = authority.client(&["h2"]);
    let first = Connection::open_tls(address, "one.test", &client).await;
    assert_eq!(first.unwrap().get("/").await.status, 200);
    let mut first = Frames::open(address, &authority).await;
    let second = tokio::spawn(async move {
        let mut second = Frames::open(address, &authority).await;
        second.begin(None).await.unwrap();
        second.get(1, "/bytes/1").await.unwrap();
        second.read_answer(1).await
    });
    harness::until("the second one waits", || {
        is_in_backlog(address).then_some(())
    });

    gateway.change(&rest);
    gateway.process.stderr.wait_for("no longer accepting");
    assert_eq!(in_time(second).await.unwrap().unwrap(), b"x");
    // So is one that has said nothing yet, but for the handshake of TLS.
    first.begin(None).await.unwrap();
    first.get(1, "/bytes/1").await.unwrap();
    assert_eq!(first.read_answer(1).await.unwrap(), b"x");
    assert!(socket(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_connected_with_http2_can_ask_though_the_listener_goes() {
    let app = Upstream::start("app").await;
    let (gateway, address, authority, rest) = secure("", &app).await;
    let client = authority.client(&["h2"]);
    let connection = Connection::open_tls(address, "one.test", &client).await;
    let mut connection = connection.unwrap();

    gateway.change(&rest);
    gateway.process.stderr.wait_for("no longer accepting");
    // Longer than it takes to be told something.
    sleep(Duration::from_millis(100)).await;
    assert_eq!(connection.get("/").await.status, 200);
    while in_time(connection.send("GET", "/", "")).await.is_ok() {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_is_not_spoken_without_tls() {
    let app = Upstream::start("app").await;
    let address = free_address();
    let config = listener(address) + &upstream("app", &[&app]) + &route("/", "app", "");
    let _gateway = Gateway::start(empty(), &config);
    let mut stream = socket(address).await.unwrap();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    stream.write_all(preface).await.unwrap();
    let mut answer = Vec::new();
    _ = in_time(stream.read_to_end(&mut answer)).await;
    assert!(
        answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"),
        "{answer:?}"
    );
}

/// Longer than all that a client is given to end, unless something is under way.
const SLOW: Duration = Duration::from_millis(2500);
const IMPATIENT: &str = "waits = { idle_seconds = 0.2 }\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_whole_though_its_client_is_slower_than_idle_ones_may_be() {
    let app = Upstream::start("app").await;
    let address = free_address();
    let rest = upstream("app", &[&app]) + &route("/", "app", "");
    let _gateway = Gateway::start(empty(), &(listener(address) + IMPATIENT + &rest));

    // Nobody knows how much the kernel takes, some megabytes here. Some of these sizes are such that
    // the last piece has come from the upstream, and waits in a buffer of the gateway's.
    let mut clients = JoinSet::new();
    for size in (50..90).map(|number| number * 50_000) {
        clients.spawn(async move {
            let mut stream = narrow_socket(address).await.unwrap();
            let head = "GET /bytes/{size} HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n";
            let head = head.replace("{size}", &size.to_string());
            stream.write_all(head.as_bytes()).await.unwrap();
            sleep(SLOW).await;
            let mut answer = Vec::new();
            _ = in_time(stream.read_to_end(&mut answer)).await;
            assert!(answer.ends_with(b"\r\n0\r\n\r\n"), "{size} is cut");
            assert!(answer.len() > size);
        });
    }
    clients.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http2_answer_is_whole_though_its_window_opens_later() {
    let app = Upstream::start("app").await;
    let (_gateway, address, authority, _) = secure(IMPATIENT, &app).await;
    let mut clients = JoinSet::new();
    // A little more than the window that everybody has.
    for size in [65_537, 66_001, 68_001, 72_001] {
        let mut client = Frames::open(address, &authority).await;
        clients.spawn(async move {
            client.begin(None).await.unwrap();
            client.get(1, &format!("/bytes/{size}")).await.unwrap();
            sleep(SLOW).await;
            client.widen(1, 100_000).await.unwrap();
            assert_eq!(client.read_answer(1).await.unwrap().len(), size);
        });
    }
    clients.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_crosses_the_farewell_of_an_idle_connection_is_answered() {
    let app = Upstream::start("app").await;
    let (_gateway, address, authority, _) = secure(IMPATIENT, &app).await;
    let mut client = Frames::open(address, &authority).await;
    client.begin(None).await.unwrap();
    client.get(1, "/bytes/1").await.unwrap();
    assert_eq!(client.read_answer(1).await.unwrap(), b"x");
    client.read_to(Kind::GOAWAY, 0).await.unwrap();
    // It has not answered the ping that comes with the farewell, so it may not know of it.
    let milliseconds = SLOW.as_millis();
    client
        .get(3, &format!("/sleep/{milliseconds}"))
        .await
        .unwrap();
    assert!(client.read_answer(3).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http2_answer_that_is_not_taken_is_reset_and_the_others_go_on() {
    let app = Upstream::start("app").await;
    let waits = "waits = { write_seconds = 0.3 }\n";
    let (_gateway, address, authority, _) = secure(waits, &app).await;
    let mut client = Frames::open(address, &authority).await;
    client.begin(Some(0)).await.unwrap();
    client.get(1, "/bytes/1000001").await.unwrap();
    client.get(3, "/bytes/1").await.unwrap();
    client.widen(3, 1).await.unwrap();
    assert_eq!(client.read_answer(3).await.unwrap(), b"x");
    client.read_to(Kind::RESET, 1).await.unwrap();
    client.get(5, "/bytes/1").await.unwrap();
    client.widen(5, 1).await.unwrap();
    assert_eq!(client.read_answer(5).await.unwrap(), b"x");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http2_answer_that_is_taken_little_by_little_is_not_taken_for_one_that_is_not() {
    let app = Upstream::start("app").await;
    let waits = "waits = { write_seconds = 1 }\n";
    let (_gateway, address, authority, _) = secure(waits, &app).await;
    let mut client = Frames::open(address, &authority).await;
    client.begin(Some(0)).await.unwrap();
    client.get(1, "/bytes/400001").await.unwrap();
    // Four times as long as it may stand still.
    for _ in 0..41 {
        sleep(Duration::from_millis(100)).await;
        client.widen(1, 10_000).await.unwrap();
    }
    assert_eq!(client.read_answer(1).await.unwrap().len(), 400_001);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_goes_on_though_its_answer_has_come_and_nothing_else_is_asked() {
    const PIECES: usize = 10;
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = upstream.local_addr().unwrap();
    let upload = tokio::spawn(async move {
        let (mut stream, _) = upstream.accept().await.unwrap();
        let mut bytes = [0; 1000];
        let head = stream.read(&mut bytes).await.unwrap();
        assert_ne!(head, 0);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        stream.write_all(answer).await.unwrap();
        let mut rest: Vec<u8> = Vec::new();
        while rest.iter().filter(|&&byte| byte == b'Z').count() < PIECES {
            let size = stream.read(&mut bytes).await.unwrap();
            assert_ne!(size, 0, "it broke off");
            rest.extend(&bytes[..size]);
        }
    });
    let address = free_address();
    let rest = upstream_at("app", &[at]) + &route("/", "app", "");
    let _gateway = Gateway::start(empty(), &(listener(address) + IMPATIENT + &rest));
    let mut stream = socket(address).await.unwrap();
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {PIECES}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    in_time(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    for _ in 0..PIECES {
        sleep(SLOW / PIECES as u32).await;
        stream.write_all(b"Z").await.unwrap();
    }
    in_time(upload).await.unwrap();
}
