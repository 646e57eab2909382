//! The gateway: who is slow is not waited for, each for the time that is set for that.

mod gateway_support;
mod harness;

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use gateway_support::*;
use harness::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What one of the times is set to, and by when it must have passed: all others are longer.
const SHORT: Duration = Duration::from_millis(500);
const LONG: Duration = Duration::from_secs(9);

fn start(app: &Upstream, settings: &str, more: &str) -> (Gateway, SocketAddr) {
    let address = free_address();
    let rest = upstream("app", &[app]) + &route("/", "app", more);
    let config = listener(address) + settings + &rest;
    let gateway = Gateway::start(tempfile::tempdir().unwrap(), &config);
    (gateway, address)
}

/// Sends this and waits for the gateway to close the connection; what it has answered.
async fn say(address: SocketAddr, text: &str) -> String {
    let start = Instant::now();
    let mut stream = socket(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    in_time(stream.read_to_end(&mut answer)).await.unwrap();
    let took = start.elapsed();
    assert!((SHORT..LONG).contains(&took), "{text}: {took:?}");
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_head_of_the_first_request_has_its_time() {
    let app = Upstream::start("app").await;
    let (_gateway, address) = start(&app, "waits = { header_seconds = 0.5 }\n", "");
    let (nothing, half) = tokio::join!(
        say(address, ""),
        say(address, "GET / HTTP/1.1\r\nhost: a.t"),
    );
    assert_eq!((&*nothing, &*half), ("", ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_handshake_of_tls_has_its_time() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    Authority::new().issue(dir.path(), "one", "one.test");
    let config = tls_listener(address, &["one"]) + "waits = { header_seconds = 0.5 }\n";
    let _gateway = Gateway::start(dir, &config);
    assert_eq!(say(address, "").await, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_request_has_its_time() {
    let app = Upstream::start("app").await;
    let (_gateway, address) = start(&app, "waits = { idle_seconds = 0.5 }\n", "");
    let ask = "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";
    let half = format!("{ask}GET / HT");
    let (one, half) = tokio::join!(say(address, ask), say(address, &half));
    for answer in [one, half] {
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_not_taken_has_its_time() {
    let app = Upstream::start("app").await;
    let (_gateway, address) = start(&app, "waits = { write_seconds = 0.5 }\n", "");
    let start = Instant::now();
    let mut stream = socket(address).await.unwrap();
    // Far more than the buffers on the way hold.
    let ask = b"GET /bytes/100000000 HTTP/1.1\r\nhost: a.test\r\n\r\n";
    stream.write_all(ask).await.unwrap();
    let under_way = || app.state.under_way.load(Ordering::Relaxed);
    until("it is under way", || (under_way() == 1).then_some(()));
    until("it is given up", || (under_way() == 0).then_some(()));
    let took = start.elapsed();
    assert!((SHORT..LONG).contains(&took), "{took:?}");
    let mut taken = Vec::new();
    _ = in_time(stream.read_to_end(&mut taken)).await;
    assert!(taken.len() < 100_000_000, "{}", taken.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_piece_of_a_body_has_its_time() {
    let app = Upstream::start("app").await;
    // The time for the answer is shorter, and has not begun.
    let times = "body_seconds = 0.5\ntimeout_seconds = 0.2";
    let (_gateway, address) = start(&app, "", times);
    let half = "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 5\r\n\r\nab";
    let steps = "GET /steps HTTP/1.1\r\nhost: a.test\r\n\r\n";
    let (half, steps) = tokio::join!(say(address, half), say(address, steps));
    assert!(half.starts_with("HTTP/1.1 408"), "{half}");
    assert!(steps.starts_with("HTTP/1.1 200"), "{steps}");
    assert!(!steps.ends_with("0\r\n\r\n"), "it is cut: {steps}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_of_an_upstream_has_its_time() {
    let app = Upstream::start("app").await;
    let (gateway, address) = start(&app, "", "timeout_seconds = 0.5");
    let ask = "GET /sleep/60000 HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n";
    let answer = say(address, ask).await;
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
    gateway
        .process
        .stderr
        .wait_for("the upstream did not answer in time");
}
