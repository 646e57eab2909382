//! The gateway: a thousand reloads, applied and refused, under a little load, leave nothing behind.
//! Threads, open files and memory end where they were after the first ten.
#![cfg(target_os = "linux")]

mod gateway_support;
mod harness;

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use gateway_support::*;
use harness::until;
use tokio_tungstenite::tungstenite::Message;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Costs {
    threads: usize,
    files: usize,
    /// What is resident, in bytes.
    memory: usize,
}

impl Costs {
    fn of(gateway: &Gateway) -> Self {
        let of = |name: &str| format!("/proc/{}/{name}", gateway.process.id());
        let count = |name| std::fs::read_dir(of(name)).unwrap().count();
        let statm = std::fs::read_to_string(of("statm")).unwrap();
        let resident: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
        Self {
            threads: count("task"),
            files: count("fd"),
            memory: 4096 * resident,
        }
    }

    /// When neither threads nor files have changed for a while.
    fn settled(gateway: &Gateway) -> Self {
        let (mut costs, mut same) = (Self::of(gateway), 0);
        until("threads and files stay the same", || {
            let now = Self::of(gateway);
            let is_same = (now.threads, now.files) == (costs.threads, costs.files);
            same = if is_same { same + 1 } else { 0 };
            costs = now;
            sleep(Duration::from_millis(10));
            (same == 50).then_some(now)
        })
    }
}

/// What is in the file when the reload of this number is made: each changes something else.
struct Setup {
    stays: SocketAddr,
    secure: SocketAddr,
    comes: SocketAddr,
    upstream: String,
}

impl Setup {
    fn config(&self, number: usize) -> String {
        let edition = format!("response_headers.set.x-edition = '{number}'");
        let version = ["1.2", "1.3"][number / 2 % 2];
        let mut config = listener(self.stays)
            + &tls_listener(self.secure, &["one"])
            + &format!("tls.min_version = '{version}'\n")
            + &self.upstream
            + &format!("connect_seconds = {}\n", 1 + number / 3 % 2)
            + "health = { path = '/well', interval_seconds = 0.05 }\n"
            + &self.upstream.replace(".app]", ".stays]")
            + &route("/", "app", &edition)
            + &route("/ws", "stays", "");
        if number % 2 == 1 {
            config += &listener(self.comes);
        }
        if number % 10 == 9 {
            config += &route("/", "nobody", "");
        }
        config
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_reloads_leave_nothing_behind() {
    let app = Upstream::start("app").await;
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.issue(dir.path(), "one", "one.test");
    let setup = Setup {
        stays: free_address(),
        secure: free_address(),
        comes: free_address(),
        upstream: upstream("app", &[&app]),
    };
    let arguments = ["--quiet-seconds", "0.001", "--drain-seconds", "20"];
    let gateway = Gateway::start_with(dir, &setup.config(0), &arguments);
    let mut connection = Connection::open(setup.stays, "a.test").await.unwrap();
    let mut websocket = websocket(setup.stays, "/ws").await.unwrap();
    let client = authority.client(&["h2"]);

    let mut before = None;
    for number in 1..=1000 {
        let report = gateway.reload(&setup.config(number));
        let expected = if number % 10 == 9 { 500 } else { 200 };
        assert_eq!(report.status, expected, "{number}: {}", report.body);
        assert_eq!(connection.get("/").await.status, 200);
        if number % 10 == 1 {
            // On listeners that come, and of settings that go.
            let mut plain = Connection::open(setup.comes, "a.test").await.unwrap();
            assert_eq!(plain.get("/").await.status, 200);
            let secure = Connection::open_tls(setup.secure, "one.test", &client).await;
            assert_eq!(secure.unwrap().get("/").await.status, 200);
            websocket.send(Message::text("still there")).await.unwrap();
            in_time(websocket.next()).await.unwrap().unwrap();
        }
        if number == 10 {
            before = Some(Costs::settled(&gateway));
        }
    }
    let before = before.unwrap();
    let after = until(
        &format!("as few threads and files as before: {before:?}"),
        || {
            let now = Costs::of(&gateway);
            (now.threads <= before.threads && now.files <= before.files).then_some(now)
        },
    );
    // One upstream in ten of those that were made would be more, and so would five kilobytes of each
    // generation.
    let allowed = before.memory + 5_000_000;
    assert!(after.memory < allowed, "{before:?} became {after:?}");
}
