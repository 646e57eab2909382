//! The gateway: connections that were upgraded, WebSockets and others, and what a reload is to them.

mod gateway_support;
mod harness;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use gateway_support::*;
use harness::until;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;

fn empty() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_lives_until_its_route_goes_and_is_told_then() {
    let (app, other) = tokio::join!(Upstream::start("app"), Upstream::start("other"));
    let address = free_address();
    let upstreams = upstream("app", &[&app]) + &upstream("other", &[&other]);
    let with = |routes: &str| listener(address) + &upstreams + routes;
    let ours = route("/ws", "app", "");
    let gateway = Gateway::start(empty(), &with(&ours));
    let mut websocket = websocket(address, "/ws").await.unwrap();
    let mut echo = async |text: &str| {
        websocket.send(Message::text(text)).await.unwrap();
        in_time(websocket.next()).await.unwrap().unwrap()
    };
    assert_eq!(echo("one").await, Message::text("one"));

    gateway.change(&with(&(ours.clone() + &route("/", "other", ""))));
    gateway.change(&with(
        &(ours.clone() + &route("/", "other", "timeout_seconds = 1")),
    ));
    assert_eq!(echo("two").await, Message::text("two"));

    gateway.change(&with(&route("/", "other", "")));
    let Some(Ok(Message::Close(Some(frame)))) = in_time(websocket.next()).await else {
        panic!("there is no close frame");
    };
    assert_eq!(u16::from(frame.code), 1012);
    // Our library answers it by itself; that reaches the upstream, which ends the connection.
    while in_time(websocket.next())
        .await
        .is_some_and(|more| more.is_ok())
    {}
    until("the upstream is told", || {
        (app.state.closed.load(Ordering::Relaxed) == 1).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_that_does_not_listen_is_cut_at_the_drain_deadline() {
    let (app, other) = tokio::join!(Upstream::start("app"), Upstream::start("other"));
    let address = free_address();
    let to = |to| listener(address) + &upstream("app", &[to]) + &route("/", "app", "");
    let gateway = Gateway::start_with(empty(), &to(&app), &["--drain-seconds", "0.5"]);
    let websocket = websocket(address, "/ws").await.unwrap();
    let mut stream = websocket.into_inner();

    let start = Instant::now();
    gateway.change(&to(&other));
    let mut rest = Vec::new();
    _ = in_time(tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest)).await;
    assert_eq!(rest, [0x88, 2, 3, 244]);
    assert!(start.elapsed() >= Duration::from_millis(500));
    gateway.process.stderr.wait_for("a tunnel was cut");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_that_its_upstream_has_closed_is_sent_no_other_close_frame() {
    let (app, other) = tokio::join!(Upstream::start("app"), Upstream::start("other"));
    let address = free_address();
    let to = |to| listener(address) + &upstream("app", &[to]) + &route("/", "app", "");
    let gateway = Gateway::start_with(empty(), &to(&app), &["--drain-seconds", "0.5"]);
    let mut websocket = websocket(address, "/ws").await.unwrap();
    websocket.send(Message::text("leave now")).await.unwrap();
    let mut stream = websocket.into_inner();
    let mut close = [0; 2];
    in_time(stream.read_exact(&mut close)).await.unwrap();
    assert_eq!(close, [0x88, 0]);

    gateway.change(&to(&other));
    let mut rest = Vec::new();
    _ = in_time(stream.read_to_end(&mut rest)).await;
    assert!(rest.is_empty(), "{rest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_arrives_to_its_end_over_tls_though_its_client_is_slow() {
    let app = Upstream::start("app").await;
    let address = free_address();
    let dir = empty();
    let authority = Authority::new();
    authority.issue(dir.path(), "one", "one.test");
    let rest = upstream("app", &[&app]) + &route("/", "app", "");
    let _gateway = Gateway::start(dir, &(tls_listener(address, &["one"]) + &rest));
    // Nobody knows how much the kernel takes, some megabytes here. Some of these sizes are such that
    // the rest of the message waits in the gateway, in a buffer of TLS.
    let config = authority.client(&[]);
    let mut clients = JoinSet::new();
    for size in (50..110).map(|number| number * 50_000) {
        let config = Arc::clone(&config);
        clients.spawn(async move {
            let stream = narrow_socket(address).await.unwrap();
            let stream = tls(stream, "one.test", &config).await.unwrap();
            let mut websocket = websocket_on(stream, "/ws").await.unwrap();
            let ask = Message::text(format!("give {size}"));
            websocket.send(ask).await.unwrap();
            sleep(Duration::from_secs(2)).await;
            let message = in_time(websocket.next()).await.unwrap().unwrap();
            assert_eq!(message.len(), size);
        });
    }
    clients.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_whose_client_is_gone_does_not_stay_with_the_upstream() {
    let app = Upstream::start("app").await;
    let address = free_address();
    let limit = "max_connections = 1\n";
    let config = listener(address) + limit + &upstream("app", &[&app]) + &route("/", "app", "");
    let _gateway = Gateway::start_with(empty(), &config, &["--drain-seconds", "0.5"]);
    for is_reset in [true, false] {
        let mut stream = socket(address).await.unwrap();
        let ask =
            "GET /stays HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        in_time(stream.read_exact(&mut answer)).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 101");
        if is_reset {
            SockRef::from(&stream)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
            drop(stream);
        } else {
            stream.shutdown().await.unwrap();
        }
        // The place of the one that is gone is free again.
        let mut next = Connection::open(address, "a.test").await.unwrap();
        assert_eq!(next.get("/").await.status, 200, "{is_reset}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_protocol_is_told_by_the_end_of_what_the_client_sends() {
    let (app, other) = tokio::join!(Upstream::start("app"), Upstream::start("other"));
    let address = free_address();
    let route = route("/", "app", "upgrades = ['websocket', 'Echo']");
    let to = |to| listener(address) + &upstream("app", &[to]) + &route;
    let gateway = Gateway::start(empty(), &to(&app));
    let mut stream = socket(address).await.unwrap();
    let ask = "GET /upgrade HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head.push(in_time(stream.read_u8()).await.unwrap().into());
    }
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(head.contains("upgrade: echo\r\n"), "{head}");
    stream.write_all(b"hello ").await.unwrap();
    let mut echo = [0; 6];
    in_time(stream.read_exact(&mut echo)).await.unwrap();
    assert_eq!(&echo, b"hello ");

    gateway.change(&to(&other));
    let mut rest = String::new();
    in_time(stream.read_to_string(&mut rest)).await.unwrap();
    assert_eq!(rest, "goodbye");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_that_the_upstream_does_not_want_is_a_request_like_others() {
    let app = Upstream::start("app").await;
    let address = free_address();
    let config = listener(address) + &upstream("app", &[&app]) + &route("/", "app", "");
    let _gateway = Gateway::start(empty(), &config);
    let mut connection = Connection::open(address, "a.test").await.unwrap();
    let mut ask = async |path, protocol| {
        let headers = [("connection", "upgrade"), ("upgrade", protocol)];
        let answer = connection.get_with(path, &headers).await;
        assert!(!answer.headers.contains_key("upgrade"));
        answer
    };
    let answer = ask("/", "websocket").await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.body.contains("upgrade: websocket"),
        "{}",
        answer.body
    );
    // The upstream is not asked for one that the route does not allow.
    for protocol in ["h2c", "echo", "websocket, h2c"] {
        let answer = ask("/", protocol).await;
        assert_eq!(answer.status, 200);
        assert!(!answer.body.contains("upgrade"), "{}", answer.body);
    }
    // And it may not switch to another one than it was asked for.
    assert_eq!(ask("/upgrade", "websocket").await.status, 502);
    assert_eq!(ask("/upgrade", "echo").await.status, 502);
    assert_eq!(ask("/", "echo").await.status, 200);
}
