//! A thousand callers at once.

#![allow(clippy::print_stdout, reason = "what was measured is worth a look")]

mod harness;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use harness::{Process, Signal, request};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const CALLERS: usize = 1_000;

/// A connection that stays open from request to request.
struct Connection(BufReader<TcpStream>);

impl Connection {
    async fn open(address: SocketAddr) -> Self {
        Self(BufReader::new(TcpStream::connect(address).await.unwrap()))
    }

    async fn send(&mut self, method: &str, path: &str) {
        let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n");
        self.0.write_all(head.as_bytes()).await.unwrap();
    }

    async fn receive(&mut self) -> (String, Vec<u8>) {
        let mut status = String::new();
        self.0.read_line(&mut status).await.unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).await.unwrap();
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().unwrap();
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.unwrap();
        (status, body)
    }
}

#[tokio::test]
async fn a_thousand_callers_at_once_cause_two_more_reloads_at_most_and_are_told_the_truth() {
    // On each side there is a file descriptor for each connection; many systems start with 1,024.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    )
    .unwrap();

    let process = Process::start("slow_build", ["100ms", "multi_thread"]);
    let address = process.address();
    let mut connections = Vec::new();
    for _ in 0..CALLERS {
        let mut connection = Connection::open(address).await;
        connection.send("GET", "/-/status").await;
        assert!(connection.receive().await.0.contains("200"));
        connections.push(connection);
    }

    process.signal(Signal::HUP);
    process.stdout.wait_for("building");
    let mut callers = JoinSet::new();
    let start = Instant::now();
    for mut connection in connections {
        let (asked, clock) = (SystemTime::now(), Instant::now());
        connection.send("POST", "/-/reload").await;
        callers.spawn(async move {
            let (status, body) = connection.receive().await;
            (asked, clock.elapsed(), status, body)
        });
    }
    let sent = start.elapsed();
    let answers = callers.join_all().await;
    let all = start.elapsed();

    let mut slowest = Duration::ZERO;
    let mut reports: BTreeMap<String, usize> = BTreeMap::new();
    for (asked, took, status, body) in &answers {
        assert!(status.contains("200"), "{status}");
        let report: Value = serde_json::from_slice(body).unwrap();
        let began = report["started_unix_seconds"].as_f64().unwrap();
        let asked = asked.duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        // A number of seconds since 1970 in 64 bits is exact to a quarter of a microsecond.
        assert!(
            began >= asked - 1e-6,
            "the reload began {} s before",
            asked - began
        );
        *reports.entry(report["generation"].to_string()).or_default() += 1;
        slowest = slowest.max(*took);
    }
    let status = request("GET", address, "/-/status").json();
    println!(
        "{CALLERS} requests sent within {sent:.0?}, answered within {all:.0?}, \
         the slowest within {slowest:.0?}; callers per generation: {reports:?}"
    );
    // The one that SIGHUP asked for, and the callers'.
    let reloads = status["reports"].as_array().unwrap().len() - 1;
    assert!((1..=2).contains(&reloads), "{reloads} more reloads");
    assert_eq!(reports.len(), reloads);
    assert!(
        slowest < Duration::from_millis(500),
        "the slowest answer took {slowest:?}"
    );
}
