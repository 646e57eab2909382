//! The gateway: what HTTP asks of those who pass messages on.

mod gateway_support;
mod harness;

use std::net::SocketAddr;

use gateway_support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn empty() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A gateway whose one upstream is at this address.
fn start(at: SocketAddr, more: &str) -> (Gateway, SocketAddr) {
    let address = free_address();
    let config = listener(address) + &upstream_at("app", &[at]) + &route("/", "app", more);
    (Gateway::start(empty(), &config), address)
}

/// Sends this, with the wish to close the connection then; what is answered.
async fn ask(address: SocketAddr, line: &str, headers: &str) -> String {
    let mut stream = socket(address).await.unwrap();
    let text = format!("{line}\r\n{headers}connection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    in_time(stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_others_may_read_in_another_way_is_refused() {
    let app = Upstream::start("app").await;
    let (_gateway, address) = start(app.address, "");
    let loops = format!("host: a\r\nvia: {}\r\n", ["1.1 gateway"; 8].join(", "));
    for (line, headers, status) in [
        ("GET / HTTP/1.1", "host: a\r\n", 200),
        ("GET / HTTP/1.1", "host: a:80\r\n", 200),
        ("GET / HTTP/1.1", "host: [::1]:80\r\n", 200),
        ("GET http://a/ HTTP/1.1", "host: a\r\n", 200),
        ("GET / HTTP/1.0", "", 200),
        ("OPTIONS * HTTP/1.1", "host: a\r\n", 200),
        ("GET /..a/.b/c./... HTTP/1.1", "host: a\r\n", 200),
        (
            "GET / HTTP/1.1",
            "host: a\r\nvia: 1.1 gateway, 1.1 other\r\n",
            200,
        ),
        ("GET / HTTP/1.1", "", 400),
        ("GET / HTTP/1.1", "host: a\r\nhost: b\r\n", 400),
        ("GET / HTTP/1.1", "host: user@a\r\n", 400),
        ("GET / HTTP/1.0", "host: a\r\nhost: a\r\n", 400),
        // The target outranks the header, and does not replace it.
        ("GET http://a/ HTTP/1.1", "", 400),
        ("GET http://a/ HTTP/1.1", "host: a/b\r\n", 400),
        ("GET http://a/ HTTP/1.1", "host: a\r\nhost: a\r\n", 400),
        ("GET / HTTP/1.1", "host: a:99999\r\n", 400),
        ("GET / HTTP/1.1", "host: a/b\r\n", 400),
        ("GET /x/../y HTTP/1.1", "host: a\r\n", 400),
        ("GET /x/%2e%2E HTTP/1.1", "host: a\r\n", 400),
        ("GET /./x HTTP/1.1", "host: a\r\n", 400),
        (
            "POST / HTTP/1.1",
            "host: a\r\ntransfer-encoding: gzip, chunked\r\n",
            501,
        ),
        ("GET / HTTP/1.1", &loops, 508),
        ("CONNECT a:80 HTTP/1.1", "host: a:80\r\n", 501),
    ] {
        let answer = ask(address, line, headers).await;
        let expected = format!("HTTP/1.{} {status} ", line.ends_with('1') as u8);
        assert!(answer.starts_with(&expected), "{line} {headers}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_says_of_itself_and_what_is_done_already_do_not_pass() {
    let app = Upstream::start("app").await;
    let (_gateway, address) = start(app.address, "");
    let headers = "host: a\r\nforwarded: for=1.2.3.4\r\nx-real-ip: 1.2.3.4\r\n\
        x-forwarded-host: evil\r\nexpect: 100-continue\r\n";
    let answer = ask(address, "GET / HTTP/1.1", headers).await;
    for gone in ["1.2.3.4", "evil", "expect"] {
        assert!(!answer.contains(gone), "{gone}: {answer}");
    }
    assert!(answer.contains("x-forwarded-host: a\n"), "{answer}");
    // Without a host there is nothing to tell about it.
    let answer = ask(address, "GET / HTTP/1.0", "x-forwarded-host: evil\r\n").await;
    assert!(!answer.contains("x-forwarded-host"), "{answer}");
    let answer = ask(address, "POST / HTTP/1.1", "host: a\r\n").await;
    assert!(answer.contains("content-length: 0\n"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_in_the_terms_of_the_gateway() {
    for (says, expected) in [
        ("HTTP/1.0 200 OK\r\n\r\nold", "HTTP/1.1 200 OK"),
        ("HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 No Content"),
        (
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n",
            "HTTP/1.1 304 Not",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 502 ",
        ),
        (
            "HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
            "HTTP/1.1 502 ",
        ),
    ] {
        let rude = Rude::start(says).await;
        let (_gateway, address) = start(rude.address, "");
        let answer = ask(address, "GET / HTTP/1.1", "host: a\r\n").await;
        assert!(answer.starts_with(expected), "{says}: {answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(
            body.is_empty(),
            answer[9..].starts_with(['3', '1']) || says.contains("204")
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_to_head_has_the_length_and_no_body() {
    let app = Upstream::start("app").await;
    let (_gateway, address) = start(app.address, "max_response_bytes = 100");
    let mut connection = Connection::open(address, "a.test").await.unwrap();
    let answer = connection.send("HEAD", "/bytes/1001", "").await.unwrap();
    let answer = Answer::of(answer).await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-length")),
        (200, "1001")
    );
    assert!(answer.body.is_empty());
    assert_eq!(connection.get("/bytes/1").await.body, "x");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_breaks_off_does_not_look_as_if_it_were_whole() {
    let (address, secure) = (free_address(), free_address());
    let dir = empty();
    let authority = Authority::new();
    authority.issue(dir.path(), "one", "one.test");
    let sized = Rude::start("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
    let chunked =
        Rude::start("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n").await;
    let config = [
        listener(address),
        tls_listener(secure, &["one"]),
        upstream_at("sized", &[sized.address]),
        upstream_at("chunked", &[chunked.address]),
        route("/sized", "sized", ""),
        route("/chunked", "chunked", ""),
    ];
    let _gateway = Gateway::start(dir, &config.concat());
    let client = authority.client(&["h2"]);
    for path in ["/sized", "/chunked"] {
        let mut one = Connection::open(address, "a.test").await.unwrap();
        let mut two = Connection::open_tls(secure, "one.test", &client)
            .await
            .unwrap();
        for connection in [&mut one, &mut two] {
            // If both come at once, it may break off before its head is sent.
            if let Ok(answer) = in_time(connection.send("GET", path, "")).await {
                assert_eq!(answer.status(), 200);
                assert!(Answer::of(answer).await.is_err(), "{path}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_reaches_a_client_that_sends_all_before_it_reads() {
    let app = Upstream::start("app").await;
    let (_gateway, address) = start(app.address, "max_request_bytes = 1000");
    let size = 20_000_000;
    for length in [
        format!("content-length: {size}\r\n\r\n"),
        format!("transfer-encoding: chunked\r\n\r\n{size:x}\r\n"),
    ] {
        let mut stream = socket(address).await.unwrap();
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\n{length}");
        stream.write_all(head.as_bytes()).await.unwrap();
        in_time(stream.write_all(&vec![b'x'; size])).await.unwrap();
        let mut answer = [0; 12];
        in_time(stream.read_exact(&mut answer)).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 413", "{length}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_of_http2_without_a_body_has_a_length() {
    let app = Upstream::start("app").await;
    let (address, dir) = (free_address(), empty());
    let authority = Authority::new();
    authority.issue(dir.path(), "one", "one.test");
    let rest = upstream("app", &[&app]) + &route("/", "app", "");
    let _gateway = Gateway::start(dir, &(tls_listener(address, &["one"]) + &rest));
    let mut client = Frames::open(address, &authority).await;
    client.begin(None).await.unwrap();
    client.post(1, "/").await.unwrap();
    let answer = String::from_utf8(client.read_answer(1).await.unwrap()).unwrap();
    assert!(answer.contains("content-length: 0\n"), "{answer}");
}
