//! The gateway: what a reload does to it, and what it leaves alone.

mod gateway_support;
mod harness;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use gateway_support::*;
use harness::{Signal, until};

fn empty() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_rotated_is_used_by_the_next_handshake() {
    let app = Upstream::start("app").await;
    let address = free_address();
    let dir = empty();
    let authority = Authority::new();
    let old = authority.issue(dir.path(), "one", "one.test");
    let config = [
        tls_listener(address, &["one"]),
        upstream("app", &[&app]),
        route("/", "app", ""),
    ];
    let gateway = Gateway::start(dir, &config.concat());
    let client = authority.client(&["h2"]);
    let open = || async {
        let connection = Connection::open_tls(address, "one.test", &client).await;
        connection.unwrap()
    };
    let mut before = open().await;
    assert_eq!(before.certificate, Some(old));
    let pool = before.get("/").await.header("x-connection").to_owned();

    // It is watched: nobody has to ask. Between the two files that are written a pair that does not
    // fit may be read, and is refused.
    let new = authority.issue(gateway.path(), "one", "one.test");
    until("another generation", || {
        (gateway.generation() > 1).then_some(())
    });

    let mut after = open().await;
    assert_eq!(after.certificate, Some(new));
    for connection in [&mut before, &mut after] {
        let answer = connection.get("/").await;
        assert_eq!(answer.generation(), gateway.generation());
        assert_eq!(answer.header("x-connection"), pool, "the pool is warm");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_has_expired_is_told_of_and_is_not_in_the_way_of_a_valid_one() {
    let app = Upstream::start("app").await;
    let (address, dir) = (free_address(), empty());
    let authority = Authority::new();
    authority.issue_with(dir.path(), "old", "one.test", |params| {
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    });
    let new = authority.issue(dir.path(), "new", "one.test");
    let nameless = |params: &mut rcgen::CertificateParams| params.subject_alt_names.clear();
    authority.issue_with(dir.path(), "nameless", "one.test", nameless);
    let rest = upstream("app", &[&app]) + &route("/", "app", "");
    let config = tls_listener(address, &["old", "nameless", "new"]) + &rest;
    let gateway = Gateway::start(dir, &config);
    let client = authority.client(&[]);
    let connection = Connection::open_tls(address, "one.test", &client).await;
    assert_eq!(connection.unwrap().certificate, Some(new));
    gateway.process.stderr.wait_for("old.crt has expired");
    gateway
        .process
        .stderr
        .wait_for("nameless.crt names no host");
    assert_eq!(gateway.process.stderr.with("new.crt"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_come_move_and_go_and_the_others_stay() {
    let app = Upstream::start("app").await;
    let (stays, comes, moved) = (free_address(), free_address(), free_address());
    let config = |addresses: &[SocketAddr]| {
        let listeners: String = addresses.iter().copied().map(listener).collect();
        listeners + &upstream("app", &[&app]) + &route("/", "app", "")
    };
    let gateway = Gateway::start(empty(), &config(&[stays]));
    let mut connection = Connection::open(stays, "a.test").await.unwrap();
    let pool = connection.get("/").await.header("x-connection").to_owned();
    assert!(socket(comes).await.is_err());

    gateway.change(&config(&[stays, comes]));
    let mut second = Connection::open(comes, "a.test").await.unwrap();
    assert_eq!(second.get("/").await.status, 200);

    gateway.change(&config(&[stays, moved]));
    gateway.process.stderr.wait_for("no longer accepting");
    assert!(socket(comes).await.is_err());
    // It is told with the next answer that it was the last.
    let last = second.get("/").await;
    assert_eq!(
        (last.status.as_u16(), last.header("connection")),
        (200, "close")
    );
    assert!(!second.is_open().await);
    let mut third = Connection::open(moved, "a.test").await.unwrap();
    assert_eq!(third.get("/").await.status, 200);

    let generation = gateway.change(&config(&[stays]));
    let answer = connection.get("/").await;
    assert_eq!(answer.generation(), generation);
    assert_eq!(answer.header("x-connection"), pool, "the pool is warm");
    let accepting = gateway
        .process
        .stderr
        .with(&format!("accepting on {stays}"));
    assert_eq!(accepting.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_listener_does_changes_and_its_socket_stays() {
    let app = Upstream::start("app").await;
    let address = free_address();
    let dir = empty();
    let authority = Authority::new();
    authority.issue(dir.path(), "one", "one.test");
    let with = |listener: String| listener + &upstream("app", &[&app]) + &route("/", "app", "");
    let gateway = Gateway::start(dir, &with(tls_listener(address, &["one"])));
    let client = authority.client(&["h2", "http/1.1"]);
    let open = || async {
        let connection = Connection::open_tls(address, "one.test", &client).await;
        connection.unwrap()
    };
    let mut first = open().await;
    assert!(first.get("/").await.body.contains("via: 2 gateway"));

    let tls = tls_listener(address, &["one"]) + "tls.http2 = false\ntls.min_version = '1.3'\n";
    gateway.change(&with(tls));
    assert!(
        open()
            .await
            .get("/")
            .await
            .body
            .contains("via: 1.1 gateway")
    );
    gateway.change(&with(listener(address)));
    let mut plain = Connection::open(address, "one.test").await.unwrap();
    assert!(
        plain
            .get("/")
            .await
            .body
            .contains("x-forwarded-proto: http\n")
    );

    assert!(first.get("/").await.body.contains("via: 2 gateway"));
    assert_eq!(gateway.process.stderr.with("accepting on").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_goes_on_though_route_upstream_and_listener_go() {
    let (old, new) = tokio::join!(Upstream::start("old"), Upstream::start("new"));
    let (address, other) = (free_address(), free_address());
    let config = |address, upstreams: &Upstream| {
        listener(address) + &upstream("app", &[upstreams]) + &route("/", "app", "")
    };
    let gateway = Gateway::start(empty(), &config(address, &old));
    let mut connection = Connection::open(address, "a.test").await.unwrap();
    let download = connection.send("GET", "/steps", "").await.unwrap();

    let mut second = Connection::open(address, "a.test").await.unwrap();
    gateway.change(&config(address, &new));
    assert_eq!(second.get("/").await.header("x-upstream"), "new");
    old.state.steps.add_permits(1);
    gateway.change(&config(other, &new));
    gateway.process.stderr.wait_for("no longer accepting");
    assert!(
        socket(address).await.is_err(),
        "it is closed though it has connections"
    );
    old.state.steps.add_permits(2);

    let answer = Answer::of(download).await.unwrap();
    assert_eq!(answer.generation(), 1);
    assert_eq!(
        answer.body,
        "step 0 of old\nstep 1 of old\nstep 2 of old\nstep 3 of old\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_lets_what_is_under_way_end() {
    let app = Upstream::start("app").await;
    let address = free_address();
    let config = [
        listener(address),
        upstream("app", &[&app]),
        route("/", "app", ""),
    ];
    let mut gateway = Gateway::start(empty(), &config.concat());
    let mut connection = Connection::open(address, "a.test").await.unwrap();
    let download = connection.send("GET", "/steps", "").await.unwrap();
    let mut websocket = websocket(address, "/ws").await.unwrap();

    gateway.process.signal(Signal::TERM);
    gateway.process.stderr.wait_for("no longer accepting");
    assert!(socket(address).await.is_err());
    app.state.steps.add_permits(3);
    assert!(
        Answer::of(download)
            .await
            .unwrap()
            .body
            .ends_with("step 3 of app\n")
    );
    let told = in_time(websocket.next()).await.unwrap().unwrap();
    assert!(told.is_close(), "{told:?}");
    while in_time(websocket.next())
        .await
        .is_some_and(|more| more.is_ok())
    {}
    assert!(gateway.process.wait().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_is_raised_lets_those_in_who_wait() {
    let app = Upstream::start("app").await;
    let address = free_address();
    let allows = |limit: u32| {
        let limit = format!("max_connections = {limit}\n");
        listener(address) + &limit + &upstream("app", &[&app]) + &route("/", "app", "")
    };
    let gateway = Gateway::start(empty(), &allows(1));
    let mut first = Connection::open(address, "a.test").await.unwrap();
    assert_eq!(first.get("/").await.status, 200);
    let mut second = Connection::open(address, "a.test").await.unwrap();
    let second = tokio::spawn(async move { second.get("/").await });

    gateway.change(&allows(2));
    assert_eq!(in_time(second).await.unwrap().status, 200);
    assert_eq!(first.get("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_to_be_accepted_is_served_though_the_listener_goes() {
    let app = Upstream::start("app").await;
    let address = free_address();
    let other = listener(free_address());
    let rest = other + &upstream("app", &[&app]) + &route("/", "app", "");
    let gateway = Gateway::start(
        empty(),
        &(listener(address) + "max_connections = 1\n" + &rest),
    );
    let mut first = Connection::open(address, "a.test").await.unwrap();
    assert_eq!(first.get("/").await.status, 200);
    let mut second = Connection::open(address, "a.test").await.unwrap();
    let second = tokio::spawn(async move { second.get("/").await });

    gateway.change(&rest);
    assert_eq!(in_time(second).await.unwrap().status, 200);
    assert!(socket(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_end_by_the_drain_deadline_is_cut_and_named() {
    let app = Upstream::start("app").await;
    let address = free_address();
    let other = listener(free_address());
    let rest = other + &upstream("app", &[&app]) + &route("/", "app", "");
    let arguments = ["--drain-seconds", "0.5"];
    let gateway = Gateway::start_with(empty(), &(listener(address) + &rest), &arguments);
    let mut connection = Connection::open(address, "a.test").await.unwrap();
    let download = connection.send("GET", "/steps", "").await.unwrap();

    let start = Instant::now();
    gateway.change(&rest);
    assert!(Answer::of(download).await.is_err());
    // A tenth before the manager would drop the task.
    assert!(start.elapsed() >= Duration::from_millis(450));
    let line = format!("{address}: 1 connections had not ended after 450ms: cut");
    gateway.process.stderr.wait_for(&line);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_slow_client_at_a_stop_is_a_line_in_the_log() {
    let app = Upstream::start("app").await;
    let address = free_address();
    let config = listener(address) + &upstream("app", &[&app]) + &route("/", "app", "");
    let mut gateway = Gateway::start_with(empty(), &config, &["--drain-seconds", "0.5"]);
    let mut connection = Connection::open(address, "a.test").await.unwrap();
    let download = connection.send("GET", "/steps", "").await.unwrap();

    gateway.process.signal(Signal::TERM);
    assert!(Answer::of(download).await.is_err());
    assert_eq!(gateway.process.wait().code(), Some(0));
    let lines = gateway.process.stderr.to_the_end().join("\n");
    let line = format!("{address}: 1 connections had not ended after 450ms: cut");
    assert!(lines.contains(&line), "{lines}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http2_connection_of_a_listener_that_goes_is_told_and_ends_what_it_has_begun() {
    let app = Upstream::start("app").await;
    let address = free_address();
    let dir = empty();
    let authority = Authority::new();
    authority.issue(dir.path(), "one", "one.test");
    let other = listener(free_address());
    let rest = other + &upstream("app", &[&app]) + &route("/", "app", "");
    let gateway = Gateway::start(dir, &(tls_listener(address, &["one"]) + &rest));
    let client = authority.client(&["h2"]);
    let connection = Connection::open_tls(address, "one.test", &client).await;
    let mut connection = connection.unwrap();
    let download = connection.send("GET", "/steps", "").await.unwrap();
    assert_eq!(connection.get("/").await.status, 200);

    gateway.change(&rest);
    // Until the frame has come that says that the connection ends, requests are answered. Then none
    // is sent, and yet the connection goes on with what it has begun.
    while let Ok(response) = in_time(connection.send("GET", "/", "")).await {
        assert_eq!(Answer::of(response).await.unwrap().status, 200);
    }
    app.state.steps.add_permits(3);
    let answer = Answer::of(download).await.unwrap();
    assert!(answer.body.ends_with("step 3 of app\n"));
}
