//! The gateway: what it does with requests, and what a reload does to it.

mod gateway_support;
mod harness;

use gateway_support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_reaches_the_upstream_of_its_route() {
    let (app, api) = tokio::join!(Upstream::start("app"), Upstream::start("api"));
    let address = free_address();
    let host = "[[routes]]\nhost = 'api.test'\npath = '/v1'\nto = { upstream = 'api' }\n";
    let config = [
        listener(address),
        upstream("app", &[&app]),
        upstream("api", &[&api]),
        route("/", "app", ""),
        route("/api/", "api", ""),
        host.to_owned(),
    ];
    let _gateway = Gateway::start(tempfile::tempdir().unwrap(), &config.concat());

    for (host, path, expected) in [
        ("any.test", "/", "app"),
        ("any.test", "/api/users?of=all", "api"),
        ("any.test", "/api", "app"),
        ("api.test", "/v1", "api"),
        ("API.test:80", "/v1/users", "api"),
        ("api.test", "/v10", "app"),
        ("any.test", "/v1", "app"),
    ] {
        let mut connection = Connection::open(address, host).await.unwrap();
        let answer = connection.get(path).await;
        assert_eq!(answer.status, 200);
        assert!(
            answer
                .body
                .starts_with(&format!("{expected}: GET {path}\n")),
            "{host} {path}: {}",
            answer.body
        );
        assert_eq!(answer.generation(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_of_one_hop_stay_there_and_the_rules_of_the_route_are_followed() {
    let app = Upstream::start("app").await;
    let address = free_address();
    let rules = "request_headers = { set = { x-added = 'yes' }, remove = ['cookie'] }\n\
        response_headers = { set = { x-frame-options = 'DENY' }, remove = ['x-upstream'] }";
    let config = [
        listener(address),
        upstream("app", &[&app]),
        route("/", "app", rules),
    ];
    let _gateway = Gateway::start(tempfile::tempdir().unwrap(), &config.concat());

    let mut connection = Connection::open(address, "a.test").await.unwrap();
    let headers = [
        ("connection", "x-private"),
        ("x-private", "1"),
        ("te", "trailers"),
        ("cookie", "secret"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-kept", "1"),
    ];
    let answer = connection.get_with("/", &headers).await;
    let lines: Vec<_> = answer.body.lines().collect();
    for there in [
        "host: a.test",
        "x-added: yes",
        "x-kept: 1",
        "x-forwarded-for: 10.0.0.1, 127.0.0.1",
        "x-forwarded-proto: http",
        "x-forwarded-host: a.test",
        "via: 1.1 gateway",
    ] {
        assert!(lines.contains(&there), "{there} is not in {lines:#?}");
    }
    for gone in ["connection:", "x-private:", "te:", "cookie:"] {
        let found = lines.iter().find(|line| line.starts_with(gone));
        assert_eq!(found, None);
    }
    assert_eq!(answer.header("x-frame-options"), "DENY");
    assert_eq!(answer.header("via"), "1.1 gateway");
    assert!(!answer.headers.contains_key("x-upstream"));
    assert!(!answer.headers.contains_key("keep-alive"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_an_upstream_are_used_again_and_its_addresses_take_turns() {
    let (one, other) = tokio::join!(Upstream::start("one"), Upstream::start("other"));
    let address = free_address();
    let config = [
        listener(address),
        upstream("both", &[&one, &other]),
        route("/", "both", ""),
    ];
    let _gateway = Gateway::start(tempfile::tempdir().unwrap(), &config.concat());

    let mut connection = Connection::open(address, "a.test").await.unwrap();
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(connection.get("/").await);
    }
    let of = |header| -> Vec<_> { answers.iter().map(|answer| answer.header(header)).collect() };
    assert_eq!(of("x-upstream"), ["one", "other"].repeat(3));
    let connections = of("x-connection");
    assert!(connections[..2].repeat(3) == connections, "{connections:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_host_has_its_certificate_and_http2_is_spoken_with_those_who_can() {
    let app = Upstream::start("app").await;
    let address = free_address();
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let one = authority.issue(dir.path(), "one", "one.test");
    let wild = authority.issue(dir.path(), "wild", "*.wild.test");
    let config = [
        tls_listener(address, &["one", "wild"]),
        upstream("app", &[&app]),
        route("/", "app", ""),
    ];
    let _gateway = Gateway::start(dir, &config.concat());

    let both = authority.client(&["h2", "http/1.1"]);
    let old = authority.client(&[]);
    for (client, host, certificate, via) in [
        (&both, "one.test", &one, "via: 2 gateway"),
        (&both, "any.wild.test", &wild, "via: 2 gateway"),
        (&old, "one.test", &one, "via: 1.1 gateway"),
    ] {
        let connection = Connection::open_tls(address, host, client).await;
        let mut connection = connection.unwrap();
        assert_eq!(connection.certificate.as_ref(), Some(certificate));
        let answer = connection
            .get_with("/", &[("cookie", "a=1"), ("cookie", "b=2")])
            .await;
        assert_eq!(answer.status, 200);
        let lines: Vec<_> = answer.body.lines().collect();
        let host = format!("host: {host}");
        for there in [&*host, via, "x-forwarded-proto: https", "cookie: a=1; b=2"] {
            assert!(lines.contains(&there), "{there} is not in {lines:#?}");
        }
    }
    // It is shown the first one, and that is not for it.
    let strange = Connection::open_tls(address, "strange.test", &both).await;
    assert!(strange.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_over_the_limit_is_refused_or_cut() {
    let app = Upstream::start("app").await;
    let address = free_address();
    let limits = "max_request_bytes = 1000\nmax_response_bytes = 100_000";
    let config = [
        listener(address),
        upstream("app", &[&app]),
        route("/", "app", limits),
    ];
    let _gateway = Gateway::start(tempfile::tempdir().unwrap(), &config.concat());
    let open = || async { Connection::open(address, "a.test").await.unwrap() };

    for (size, status) in [(1000, 200), (1001, 413)] {
        let answer = open().await.send("POST", "/echo", vec![b'x'; size]).await;
        assert_eq!(answer.unwrap().status(), status, "{size}");
    }
    // In chunks, so that the size is known only at the end.
    let mut stream = socket(address).await.unwrap();
    let head = "POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunks = format!("3e8\r\n{}\r\n1\r\nx\r\n0\r\n\r\n", "x".repeat(1000));
    let request = format!("{head}{chunks}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    in_time(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");

    for (size, is_whole) in [(99_999, true), (100_000, true), (100_002, false)] {
        let answer = open()
            .await
            .send("GET", &format!("/bytes/{size}"), "")
            .await;
        let answer = Answer::of(answer.unwrap()).await;
        assert_eq!(
            answer.is_ok_and(|it| it.body.len() == size),
            is_whole,
            "{size}"
        );
    }
    let told = open().await.get("/bytes/100001").await;
    assert_eq!(told.status, 502, "its size is told before its first byte");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_connections_than_allowed_wait_for_one_to_end() {
    let app = Upstream::start("app").await;
    let address = free_address();
    let config = [
        listener(address),
        "max_connections = 2\n".to_owned(),
        upstream("app", &[&app]),
        route("/", "app", ""),
    ];
    let _gateway = Gateway::start(tempfile::tempdir().unwrap(), &config.concat());

    let mut first = Connection::open(address, "a.test").await.unwrap();
    let mut second = Connection::open(address, "a.test").await.unwrap();
    assert_eq!(first.get("/").await.status, 200);
    assert_eq!(second.get("/").await.status, 200);
    let mut third = Connection::open(address, "a.test").await.unwrap();
    let third = tokio::spawn(async move { third.get("/").await });
    harness::until("the third one waits", || {
        is_in_backlog(address).then_some(())
    });
    // The others are served meanwhile.
    assert_eq!(first.get("/").await.status, 200);
    assert!(!third.is_finished());
    drop(second);
    assert_eq!(in_time(third).await.unwrap().status, 200);
}
