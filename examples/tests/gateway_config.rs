//! The gateway: its file, and what is said about one that is wrong.

mod gateway_support;
mod harness;

use gateway_support::*;
use harness::{Process, Signal, request};

fn empty() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn is_refused(gateway: &Gateway, config: &str, says: &str) {
    let report = gateway.reload(config);
    assert_eq!(report.status, 500, "{config}: {}", report.body);
    assert!(
        report.body.contains(says),
        "{config}: {says}: {}",
        report.body
    );
    assert!(!report.body.contains(".?."), "{}", report.body);
    assert_eq!(request("POST", gateway.admin, "/-/check").status, 500);
    assert_eq!(gateway.generation(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_file_changes_nothing_and_says_where() {
    let app = Upstream::start("app").await;
    let (address, taken) = (free_address(), free_address());
    let _taken = std::net::TcpListener::bind(taken).unwrap();
    let dir = empty();
    let authority = Authority::new();
    authority.issue(dir.path(), "good", "a.test");
    authority.issue(dir.path(), "mixed", "a.test");
    std::fs::copy(dir.path().join("good.key"), dir.path().join("mixed.key")).unwrap();
    write(&dir.path().join("bad.crt"), "no certificate");
    write(&dir.path().join("bad.key"), "no key");
    let good = [
        listener(address),
        upstream("app", &[&app]),
        route("/", "app", ""),
    ]
    .concat();
    let gateway = Gateway::start(dir, &good);
    let mut connection = Connection::open(address, "a.test").await.unwrap();

    let other = free_address();
    let set = |name: &str, value: &str| {
        format!("[routes.to.request_headers.set]\n'{name}' = \"{value}\"\n")
    };
    let upstream_at = |address: &str| format!("[upstreams.bad]\naddresses = [{address}]\n");
    let log = |log: &str| format!("log = '{log}'\n");
    let seconds = "expected a number of seconds from 0.001 to 31536000";
    let path = "expected a path that begins with `/`";
    let host = "expected the name of a host without a port or a wildcard";
    let not_framing = "expected the name of a header that is not about the connection";
    // What is added to a good file, and what is said about it; about the place, too, if it is one of
    // the lines that were added: the first of them is number 0.
    for (more, says, line) in [
        ("colour = 'red'\n".to_owned(), "colour", 0),
        (log("infoo"), "expected directives as in `info`", 0),
        (log("gateway"), "expected directives as in `info`", 0),
        (
            route("/x", "app", "tiemout_seconds = 1"),
            "tiemout_seconds",
            4,
        ),
        (route("/x", "app", "timeout_seconds = 0"), seconds, 4),
        (route("/x", "app", "timeout_seconds = inf"), seconds, 4),
        (route("/x", "app", "timeout_seconds = 1e18"), seconds, 4),
        (route("/x", "app", "timeout_seconds = 1e-9"), seconds, 4),
        (route("/x", "nobody", ""), "`routes[1].to.upstream`", 0),
        (route("x", "app", ""), path, 1),
        (route("/a?b", "app", ""), path, 1),
        (route("/a#b", "app", ""), path, 1),
        (route("/ä", "app", ""), path, 1),
        (route("/a/../b", "app", ""), path, 1),
        (route("/a/%2E", "app", ""), path, 1),
        (route("/", "app", "").replace("path =", "host ="), host, 1),
        (
            route("*.test", "app", "").replace("path =", "host ="),
            host,
            1,
        ),
        (
            route("a.test.", "app", "").replace("path =", "host ="),
            host,
            1,
        ),
        (
            route("a.test:80", "app", "").replace("path =", "host ="),
            host,
            1,
        ),
        (route("/", "app", ""), "`routes[1]` has host and path", 0),
        (route("/x", "app", &set("no header", "x")), not_framing, 5),
        (
            route("/x", "app", &set("content-length", "1")),
            not_framing,
            5,
        ),
        (
            route("/x", "app", &set("Transfer-Encoding", "x")),
            not_framing,
            5,
        ),
        (
            route("/x", "app", &set("x", "\\u0000")),
            "expected the value of a header",
            5,
        ),
        (
            route("/x", "app", "upgrades = ['h2c']"),
            "not a version of HTTP",
            4,
        ),
        (upstream_at(""), "`upstreams.bad.addresses` is empty", 0),
        (
            upstream_at("'a:1', 'a:1'"),
            "`upstreams.bad.addresses` has one of them twice",
            0,
        ),
        (upstream_at("'no port'"), "expected `host:port`", 1),
        (upstream_at("'a:0'"), "expected `host:port`", 1),
        (upstream_at("'u@a:1'"), "expected `host:port`", 1),
        (
            listener(address),
            "`listeners[1].address` is that of a listener above",
            0,
        ),
        (
            "[[listeners]]\naddress = 'localhost:80'\n".to_owned(),
            "expected an IP address and a port",
            1,
        ),
        (
            tls_listener(other, &[]),
            "`listeners[1].tls.certificates` is empty",
            0,
        ),
    ] {
        // Keys of the file itself have to come first.
        let (config, before) = match more.starts_with('[') {
            true => (format!("{good}{more}"), good.lines().count()),
            false => (format!("{more}{good}"), 0),
        };
        // Behind the lines that each file begins with.
        let line = 3 + before + line;
        for says in [says, &format!("gateway.toml:{line}:")] {
            is_refused(&gateway, &config, says);
        }
        assert_eq!(connection.get("/").await.generation(), 1);
    }
    for (more, says) in [
        (listener(taken), "cannot listen on"),
        (tls_listener(other, &["absent"]), "absent.crt"),
        (
            tls_listener(other, &["bad"]),
            "bad.crt is not a certificate",
        ),
        (
            tls_listener(other, &["mixed"]),
            "mixed.key is not the key of",
        ),
        ("this is no TOML".to_owned(), "gateway.toml"),
    ] {
        is_refused(&gateway, &format!("{good}{more}"), says);
        assert_eq!(connection.get("/").await.generation(), 1);
        assert!(socket(other).await.is_err(), "{more}");
    }
    is_refused(&gateway, "", "there are no `listeners`");
    assert_eq!(gateway.reload(&good).status, 200);
    assert_eq!(gateway.generation(), 1, "nothing has changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_level_changes_and_the_admin_address_waits_for_a_restart() {
    let listener = listener(free_address());
    let gateway = Gateway::start(empty(), &listener);
    let (address, path) = (gateway.admin, gateway.path().join("gateway.toml"));
    let reload = |text: String| {
        write(&path, &text);
        request("POST", address, "/-/reload")
    };
    let report = reload(format!("admin = '{address}'\nlog = 'off'\n{listener}"));
    assert_eq!(report.status, 200, "{}", report.body);
    assert!(
        report.body.contains(r#""pending_restart":["admin"]"#),
        "{}",
        report.body
    );
    let before = gateway.process.stderr.all().len();
    gateway.process.signal(Signal::HUP);
    assert_eq!(reload("not toml".to_owned()).status, 500);
    assert_eq!(gateway.process.stderr.all().len(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_that_is_shown_as_an_example_is_valid() {
    let address = free_address();
    let shown = include_str!("../gateway/gateway.toml");
    let used = shown
        .replace("127.0.0.1:8080", &address.to_string())
        .replace("127.0.0.1:9900", "127.0.0.1:0");
    let dir = empty();
    let path = dir.path().join("gateway.toml");
    write(&path, &used);
    let process = Process::start("gateway", ["-c", path.to_str().unwrap()]);
    process.stderr.wait_for(&format!("accepting on {address}"));
}
