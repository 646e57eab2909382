//! The admin endpoints, called as the service that they are; the examples have real servers.

#![cfg(feature = "http")]

use std::error::Error as StdError;
use std::fmt;
use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use rekindle::http::Admin;
use rekindle::{BoxError, Handle, Manager, Notifier, Reading, Source, Stamp, Trigger};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

/// What the source of [`App`] gives when it is read.
#[derive(Clone, Copy, PartialEq)]
enum Setting {
    Value(&'static str),
    Invalid,
    /// Nothing, until there is another setting.
    Hangs,
}

struct Config {
    setting: watch::Receiver<Setting>,
    /// Says that a read has begun.
    began: mpsc::UnboundedSender<()>,
}

impl Source for Config {
    type Value = &'static str;

    async fn read(&self, committed: Option<Stamp>) -> Result<Reading<&'static str>, BoxError> {
        let _ = self.began.send(());
        let mut setting = self.setting.clone();
        match *setting
            .wait_for(|setting| *setting != Setting::Hangs)
            .await?
        {
            Setting::Value(value) => {
                let stamp = Stamp::of(value.as_bytes());
                if committed == Some(stamp) {
                    return Ok(Reading::Unchanged);
                }
                Ok(Reading::Stamped(value, stamp))
            }
            _ => Err(Box::new(Invalid(
                "config.json:3:5",
                BadPort("no such port".into()),
            ))),
        }
    }
}

/// An error with a cause, which has a cause.
#[derive(Debug)]
struct Invalid(&'static str, BadPort);

#[derive(Debug)]
struct BadPort(BoxError);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: cannot be used", self.0)
    }
}

impl fmt::Display for BadPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bad `port`")
    }
}

impl StdError for Invalid {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.1)
    }
}

impl StdError for BadPort {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

/// A running manager with the component `config` and the reloader `audit`.
struct App {
    admin: Admin,
    handle: Handle,
    setting: watch::Sender<Setting>,
    began: mpsc::UnboundedReceiver<()>,
    audit_fails: Arc<AtomicBool>,
    end: CancellationToken,
    run: JoinHandle<Result<(), BoxError>>,
}

impl App {
    async fn start() -> Self {
        let (setting, settings) = watch::channel(Setting::Value("first"));
        let (began_tx, mut began) = mpsc::unbounded_channel();
        let audit_fails = Arc::new(AtomicBool::new(false));

        let mut reload = Manager::new();
        let config = Config {
            setting: settings,
            began: began_tx,
        };
        reload.source("config", config).await.unwrap();
        began.recv().await.expect("the source was read at start");
        let fails = Arc::clone(&audit_fails);
        reload.add(0, "audit", async move |_| {
            if fails.load(Ordering::Relaxed) {
                return Err("disk full".into());
            }
            Ok(())
        });

        let handle = reload.handle();
        let end = CancellationToken::new();
        let ended = end.clone().cancelled_owned();
        let run = tokio::spawn(reload.run(|_| ended));
        let admin = Admin::new(handle.clone());
        Self {
            admin,
            handle,
            setting,
            began,
            audit_fails,
            end,
            run,
        }
    }

    async fn get(&self, path: &str) -> Answer {
        send(&self.admin, request(Method::GET, path)).await
    }

    async fn post(&self, path: &str) -> Answer {
        send(&self.admin, request(Method::POST, path)).await
    }

    async fn stop(&mut self) {
        self.end.cancel();
        (&mut self.run).await.expect("run does not panic").unwrap();
    }
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        assert_eq!(self.headers[CONTENT_TYPE], "application/json");
        assert_eq!(self.headers[CACHE_CONTROL], "no-store");
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    fn error(&self) -> String {
        self.json()["error"]
            .as_str()
            .unwrap_or_else(|| panic!("no error in {self:?}"))
            .to_owned()
    }
}

fn request(method: Method, path: &str) -> Request<()> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "localhost")
        .body(())
        .unwrap()
}

fn with_headers(mut request: Request<()>, headers: &[(&'static str, &'static str)]) -> Request<()> {
    if headers.iter().any(|(name, _)| *name == "host") {
        request.headers_mut().remove(HOST);
    }
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request
}

async fn send<B: Send + 'static>(admin: &Admin, request: Request<B>) -> Answer {
    let response = admin.clone().call(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.into()).unwrap();
    Answer {
        status: head.status,
        headers: head.headers,
        body,
    }
}

fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

fn step<'a>(report: &'a Value, name: &str) -> &'a Value {
    let mut steps = report["steps"].as_array().unwrap().iter();
    steps
        .find(|step| step["name"] == name)
        .unwrap_or_else(|| panic!("no {name} in {report}"))
}

/// Runs on a stopped manager: what is tested is decided before it is asked.
fn idle() -> Admin {
    Admin::new(Manager::new().handle())
}

#[tokio::test]
async fn a_reload_answers_with_its_report() {
    let app = App::start().await;
    app.setting.send_replace(Setting::Value("second"));
    let before = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs_f64();

    let answer = app.post("/reload").await;

    assert_eq!(answer.status, StatusCode::OK);
    let report = answer.json();
    assert_eq!(
        keys(&report),
        [
            "check",
            "generation",
            "outcome",
            "overdue",
            "pending_restart",
            "started_unix_seconds",
            "steps",
            "took_seconds",
            "triggers",
            "triggers_total",
            "untouched",
            "warnings"
        ]
    );
    assert_eq!(report["triggers"], json!(["http"]));
    assert_eq!(report["triggers_total"], 1);
    assert_eq!(report["outcome"], "applied");
    assert_eq!(report["check"], false);
    assert_eq!(report["untouched"], 0);
    assert_eq!(report["generation"], app.handle.status().generation());
    let started = report["started_unix_seconds"].as_f64().unwrap();
    assert!(
        (before - 0.001..before + 60.0).contains(&started),
        "{started} is not {before}"
    );
    assert!((0.0..60.0).contains(&report["took_seconds"].as_f64().unwrap()));
    assert_eq!(report["steps"].as_array().unwrap().len(), 2);
    assert_eq!(
        keys(step(&report, "config")),
        ["action", "name", "took_seconds"]
    );
    assert_eq!(step(&report, "config")["action"], "rebuilt");
    assert_eq!(step(&report, "audit")["action"], "ran");
    assert!(answer.body.ends_with("}\n"), "one line, ended");
}

#[tokio::test]
async fn put_reloads_too() {
    let app = App::start().await;
    let answer = send(&app.admin, request(Method::PUT, "/reload")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["triggers"], json!(["http"]));
}

#[tokio::test]
async fn a_reload_in_which_nothing_changed_is_a_success() {
    let app = App::start().await;
    let generation = app.handle.status().generation();
    for _ in 0..3 {
        let answer = app.post("/reload").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.json()["outcome"], "unchanged");
        assert_eq!(answer.json()["generation"], generation);
    }
}

#[tokio::test]
async fn a_rejected_reload_answers_500_and_names_the_component_and_the_causes() {
    let app = App::start().await;
    let generation = app.handle.status().generation();
    app.setting.send_replace(Setting::Invalid);

    let answer = app.post("/reload").await;

    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    let report = answer.json();
    assert_eq!(report["outcome"], "rejected");
    assert_eq!(report["generation"], generation);
    let config = step(&report, "config");
    assert_eq!(config["action"], "failed");
    assert_eq!(
        config["error"]["message"],
        "config.json:3:5: cannot be used"
    );
    assert_eq!(
        config["error"]["causes"],
        json!(["bad `port`", "no such port"])
    );
    assert_eq!(
        answer.error(),
        "the reload was rejected: `config` failed: \
         config.json:3:5: cannot be used: bad `port`: no such port"
    );
}

#[tokio::test]
async fn a_cause_whose_text_panics_does_not_cost_the_caller_the_answer() {
    #[derive(Debug)]
    struct Mute;

    impl fmt::Display for Mute {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("no text")
        }
    }

    impl StdError for Mute {}

    let mut reload = Manager::new();
    reload.add(0, "audit", async |_| {
        Err(Invalid("audit.log", BadPort(Mute.into())).into())
    });
    let admin = Admin::new(reload.handle());
    let app = async move |_| {
        let answer = send(&admin, request(Method::POST, "/reload")).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        let text = "audit.log: cannot be used: bad `port`: an error whose text cannot be had";
        assert!(answer.error().ends_with(text), "{answer:?}");
    };
    reload.run(app).await.unwrap();
}

#[tokio::test]
async fn a_partial_reload_answers_500_and_names_the_reloader() {
    let app = App::start().await;
    app.setting.send_replace(Setting::Value("second"));
    app.audit_fails.store(true, Ordering::Relaxed);

    let answer = app.post("/reload").await;

    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.json()["outcome"], "partial");
    assert_eq!(
        answer.json()["generation"],
        app.handle.status().generation()
    );
    assert_eq!(step(&answer.json(), "audit")["error"]["causes"], json!([]));
    assert!(
        answer.error().ends_with("`audit` failed: disk full"),
        "{}",
        answer.error()
    );
}

#[tokio::test]
async fn a_check_answers_as_a_reload_does_and_changes_nothing() {
    let app = App::start().await;
    let generation = app.handle.status().generation();
    app.setting.send_replace(Setting::Value("second"));

    let valid = app.post("/check").await;
    assert_eq!(valid.status, StatusCode::OK);
    assert_eq!(valid.json()["outcome"], "valid");
    assert_eq!(valid.json()["check"], true);

    app.setting.send_replace(Setting::Invalid);
    let invalid = app.post("/check").await;
    assert_eq!(invalid.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(invalid.json()["outcome"], "rejected");
    assert_eq!(invalid.json()["check"], true);
    assert!(
        invalid.error().contains("`config` failed: config.json:3:5"),
        "{}",
        invalid.error()
    );

    let status = app.get("/status").await.json();
    assert_eq!(status["generation"], generation);
    assert_eq!(status["reports"], json!([]));
}

#[tokio::test]
async fn a_stopped_manager_answers_503_and_still_tells_its_status() {
    let mut app = App::start().await;
    app.stop().await;
    for path in ["/reload", "/check"] {
        let answer = app.post(path).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(answer.error().contains("stopped"), "{}", answer.error());
    }
    let status = app.get("/status").await;
    assert_eq!(status.status, StatusCode::OK);
    assert_eq!(status.json()["stopping"], true);
}

#[tokio::test]
async fn a_stop_during_a_reload_answers_503() {
    let mut app = App::start().await;
    app.setting.send_replace(Setting::Hangs);
    let asked = {
        let admin = app.admin.clone();
        tokio::spawn(async move { send(&admin, request(Method::POST, "/reload")).await })
    };
    app.began.recv().await.expect("the reload has begun");

    app.stop().await;

    let answer = asked.await.unwrap();
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json()["outcome"], "interrupted");
    assert_eq!(answer.json()["committed"], false);
    assert!(answer.error().contains("interrupted"), "{}", answer.error());
}

#[tokio::test]
async fn a_reload_from_inside_a_reload_answers_409() {
    let mut reload = Manager::new();
    let admin = Admin::new(reload.handle());
    let (answers, mut answered) = mpsc::unbounded_channel();
    let inner = admin.clone();
    reload.add(0, "asks again", async move |_| {
        let _ = answers.send(send(&inner, request(Method::POST, "/reload")).await);
    });
    let end = CancellationToken::new();
    let ended = end.clone().cancelled_owned();
    let run = tokio::spawn(reload.run(|_| ended));

    let outer = send(&admin, request(Method::POST, "/reload")).await;

    assert_eq!(outer.status, StatusCode::OK);
    let inner = answered.recv().await.unwrap();
    assert_eq!(inner.status, StatusCode::CONFLICT);
    assert!(
        inner.error().contains("a reload cannot wait"),
        "{}",
        inner.error()
    );
    end.cancel();
    run.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_status_has_the_generation_on_top_and_the_newest_report_first() {
    let mut app = App::start().await;
    let fresh = app.get("/status").await;
    assert_eq!(fresh.status, StatusCode::OK);
    let fresh = fresh.json();
    assert_eq!(
        keys(&fresh),
        [
            "components",
            "consecutive_failures",
            "draining",
            "generation",
            "last_failure_unix_seconds",
            "last_success_unix_seconds",
            "notifiers",
            "on_probation",
            "pending_restart",
            "reports",
            "retiring",
            "stopping",
            "tasks"
        ]
    );
    assert_eq!(fresh["components"], 1);
    assert_eq!(fresh["stopping"], false);
    assert_eq!(fresh["last_failure_unix_seconds"], Value::Null);
    assert_eq!(fresh["notifiers"], json!([]));

    app.setting.send_replace(Setting::Value("second"));
    app.post("/reload").await;
    app.setting.send_replace(Setting::Invalid);
    app.post("/reload").await;

    let status = app.get("/status").await.json();
    assert_eq!(
        status["generation"].as_u64(),
        fresh["generation"].as_u64().map(|n| n + 1)
    );
    assert_eq!(status["consecutive_failures"], 1);
    assert!(status["last_failure_unix_seconds"].is_f64());
    assert!(status["last_success_unix_seconds"].is_f64());
    let outcomes: Vec<_> = status["reports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|report| &report["outcome"])
        .collect();
    assert_eq!(outcomes, ["rejected", "applied"]);
    app.stop().await;
}

/// Fails the first time, and then waits for ever.
struct Flaky {
    failed: bool,
}

impl Notifier for Flaky {
    async fn notify(&mut self) -> Result<Trigger, BoxError> {
        if self.failed {
            future::pending::<()>().await;
        }
        self.failed = true;
        Err("broken pipe".into())
    }

    fn name(&self) -> String {
        "flaky".into()
    }
}

#[tokio::test(start_paused = true)]
async fn the_status_names_the_notifiers_and_what_is_wrong_with_them() {
    let mut reload = Manager::new();
    reload.on(Flaky { failed: false });
    let admin = Admin::new(reload.handle());
    let end = CancellationToken::new();
    let ended = end.clone().cancelled_owned();
    let status = async || send(&admin, request(Method::GET, "/status")).await.json();

    let healthy = status().await;
    assert_eq!(
        healthy["notifiers"],
        json!([{ "name": "flaky", "failures": 0 }])
    );

    let run = tokio::spawn(reload.run(|_| ended));
    let failed = async {
        while status().await["notifiers"][0]["failures"] == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), failed)
        .await
        .expect("the failure shows");
    let failed = json!([{ "name": "flaky", "failures": 1, "error": { "message": "broken pipe", "causes": [] } }]);
    assert_eq!(status().await["notifiers"], failed);
    end.cancel();
    run.await.unwrap().unwrap();
}

#[tokio::test]
async fn head_gives_the_headers_of_the_status() {
    let app = App::start().await;
    let get = app.get("/status").await;
    let head = send(&app.admin, request(Method::HEAD, "/status")).await;
    assert_eq!(head.status, StatusCode::OK);
    assert_eq!(head.headers, get.headers);
    assert_eq!(head.headers["content-length"], get.body.len().to_string());
    assert_eq!(head.body, "");
}

#[tokio::test]
async fn the_prefix_may_be_there_or_taken_away() {
    let app = App::start().await;
    for path in [
        "/reload",
        "/-/reload",
        "/-/reload?now",
        "http://localhost/-/reload",
    ] {
        assert_eq!(app.post(path).await.status, StatusCode::OK, "{path}");
    }
    assert_eq!(app.get("/-/status").await.status, StatusCode::OK);
}

#[tokio::test]
async fn another_method_answers_405_and_says_which_there_are() {
    for (path, allow) in [
        ("/reload", "POST, PUT"),
        ("/check", "POST"),
        ("/status", "GET, HEAD"),
    ] {
        let allowed: Vec<_> = allow.split(", ").collect();
        for method in [
            "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW",
        ] {
            if allowed.contains(&method) {
                continue;
            }
            let answer = send(&idle(), request(method.parse().unwrap(), path)).await;
            assert_eq!(
                answer.status,
                StatusCode::METHOD_NOT_ALLOWED,
                "{method} {path}"
            );
            assert_eq!(answer.headers[ALLOW], allow);
            answer.error();
        }
    }
}

#[tokio::test]
async fn an_unknown_path_answers_404() {
    for path in [
        "/",
        "/-/",
        "/-",
        "/reload/",
        "/-/-/reload",
        "/other/reload",
        "/Reload",
        "/reloads",
    ] {
        let answer = send(&idle(), request(Method::POST, path)).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        answer.error();
    }
}

#[tokio::test]
async fn a_cross_site_request_is_refused_whatever_its_method() {
    const REFUSED: &[&[(&str, &str)]] = &[
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "")],
        &[
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "cross-site"),
        ],
        // What Sec-Fetch-Site says decides, whatever else there is.
        &[
            ("sec-fetch-site", "cross-site"),
            ("host", "app:8080"),
            ("origin", "http://app:8080"),
        ],
        &[("host", "app:8080"), ("origin", "http://evil.example")],
        &[("host", "app:8080"), ("origin", "http://app:8081")],
        &[("host", "app:8080"), ("origin", "http://app")],
        &[
            ("host", "app:8080"),
            ("origin", "http://app:8080.evil.example"),
        ],
        &[
            ("host", "app:8080"),
            ("origin", "http://app:8080@evil.example"),
        ],
        &[("host", "app:8080"), ("origin", "app:8080")],
        &[("host", "app:8080"), ("origin", "null")],
        &[("host", "null"), ("origin", "null")],
        &[("host", "app:8080"), ("origin", "")],
        &[
            ("host", "app"),
            ("origin", "http://app"),
            ("origin", "http://evil.example"),
        ],
        &[("origin", "http://app:8080")],
        &[("origin", "http://")],
    ];
    for headers in REFUSED {
        for (method, path) in [
            ("POST", "/reload"),
            ("PUT", "/reload"),
            ("POST", "/check"),
            ("GET", "/status"),
        ] {
            let request = with_headers(request(method.parse().unwrap(), path), headers);
            let answer = send(&idle(), request).await;
            assert_eq!(
                answer.status,
                StatusCode::FORBIDDEN,
                "{method} {path} {headers:?}"
            );
            answer.error();
        }
    }
}

#[tokio::test]
async fn a_request_of_the_same_site_or_of_no_browser_is_answered() {
    const ANSWERED: &[&[(&str, &str)]] = &[
        &[],
        &[("host", "app:8080")],
        &[("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "none")],
        // Behind a proxy that does not pass the host on, Sec-Fetch-Site still says it.
        &[
            ("sec-fetch-site", "same-origin"),
            ("host", "inner"),
            ("origin", "https://outer"),
        ],
        &[("host", "app:8080"), ("origin", "http://app:8080")],
        &[("host", "app:8080"), ("origin", "https://app:8080")],
        &[("host", "App:8080"), ("origin", "http://app:8080")],
        &[("host", "[::1]:8080"), ("origin", "http://[::1]:8080")],
    ];
    for headers in ANSWERED {
        let request = with_headers(request(Method::GET, "/status"), headers);
        assert_eq!(
            send(&idle(), request).await.status,
            StatusCode::OK,
            "{headers:?}"
        );
    }
}

/// RFC 9112, section 3.2.
#[tokio::test]
async fn a_request_without_one_host_is_answered_400() {
    use http::Version;
    let absolute = "http://a/-/status";
    for (version, path, hosts, status) in [
        (Version::HTTP_11, "/status", &[][..], 400),
        (Version::HTTP_11, "/status", &["a"], 200),
        (Version::HTTP_11, "/status", &["a:80"], 200),
        (Version::HTTP_11, "/status", &["[::1]:80"], 200),
        (Version::HTTP_11, "/status", &[""], 200),
        (Version::HTTP_11, "/status", &["a", "a"], 400),
        (Version::HTTP_11, "/status", &["a", "b"], 400),
        (Version::HTTP_11, "/status", &["a/b"], 400),
        (Version::HTTP_11, "/status", &["a, b"], 400),
        (Version::HTTP_11, "/status", &["user@a"], 400),
        // The target outranks the header, and does not replace it.
        (Version::HTTP_11, absolute, &[], 400),
        (Version::HTTP_11, absolute, &["a"], 200),
        (Version::HTTP_11, absolute, &["a", "b"], 400),
        (Version::HTTP_10, "/status", &[], 200),
        (Version::HTTP_10, "/status", &["a", "b"], 400),
        (Version::HTTP_2, absolute, &[], 200),
        (Version::HTTP_2, absolute, &["a", "b"], 400),
    ] {
        let mut request = request(Method::GET, path);
        *request.version_mut() = version;
        request.headers_mut().remove(HOST);
        for host in hosts {
            request.headers_mut().append(HOST, host.parse().unwrap());
        }
        let answer = send(&idle(), request).await;
        assert_eq!(answer.status, status, "{version:?} {path} {hosts:?}");
        if status == 400 {
            assert!(answer.error().contains("does not name one host"));
        }
    }
    let mut request = request(Method::POST, "/reload");
    request.headers_mut().remove(HOST);
    let refused = send(&App::start().await.admin, request).await;
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn the_host_that_was_asked_is_the_authority_of_the_target_if_it_has_one() {
    for (origin, host, status) in [
        ("https://app", "other", StatusCode::OK),
        ("https://other", "other", StatusCode::FORBIDDEN),
    ] {
        let mut request = request(Method::GET, "https://app/-/status");
        request
            .headers_mut()
            .insert(ORIGIN, origin.parse().unwrap());
        request.headers_mut().insert(HOST, host.parse().unwrap());
        assert_eq!(send(&idle(), request).await.status, status, "{origin}");
    }
}

#[tokio::test]
async fn without_the_token_the_answer_is_401() {
    let admin = idle().bearer_token("s3cret");
    for authorization in [
        None,
        Some(""),
        Some("Bearer"),
        Some("Bearer "),
        Some("Bearers3cret"),
        Some("Bearer s3cre"),
        Some("Bearer s3cret2"),
        Some("Bearer S3cret"),
        Some("Bearer wrong!"),
        Some("Basic s3cret"),
        Some("s3cret"),
    ] {
        let mut request = request(Method::GET, "/status");
        if let Some(authorization) = authorization {
            request
                .headers_mut()
                .insert(AUTHORIZATION, authorization.parse().unwrap());
        }
        let answer = send(&admin, request).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{authorization:?}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        assert!(!answer.error().contains("s3cret"));
    }
}

#[tokio::test]
async fn with_the_token_the_request_is_answered_however_the_scheme_is_written() {
    let admin = idle().bearer_token("s3cret");
    for authorization in ["Bearer s3cret", "bearer s3cret", "BEARER  s3cret"] {
        let request = with_headers(
            request(Method::GET, "/status"),
            &[("authorization", authorization)],
        );
        assert_eq!(
            send(&admin, request).await.status,
            StatusCode::OK,
            "{authorization}"
        );
    }
}

#[tokio::test]
async fn a_stranger_learns_nothing_about_paths_and_methods() {
    let admin = idle().bearer_token("s3cret");
    for (method, path) in [("POST", "/unknown"), ("DELETE", "/status")] {
        let bare = || request(method.parse().unwrap(), path);
        let foreign = with_headers(
            bare(),
            &[
                ("sec-fetch-site", "cross-site"),
                ("authorization", "Bearer s3cret"),
            ],
        );
        assert_eq!(send(&admin, foreign).await.status, StatusCode::FORBIDDEN);
        assert_eq!(send(&admin, bare()).await.status, StatusCode::UNAUTHORIZED);
    }
}

#[test]
#[should_panic(expected = "the bearer token is empty")]
fn an_empty_token_is_refused() {
    let _ = idle().bearer_token("");
}

#[test]
#[should_panic(expected = "the bearer token has a character")]
fn a_token_with_a_line_break_is_refused() {
    let _ = idle().bearer_token("s3cret\n");
}

#[test]
fn debug_does_not_show_the_token() {
    let debug = format!("{:?}", idle().bearer_token("s3cret"));
    assert!(!debug.contains("s3cret"), "{debug}");
}

/// The type of the body has no way to be read, so it is not read; it is dropped before anything is
/// waited for, so one that never ends delays nothing.
#[tokio::test]
async fn a_body_is_dropped_unread() {
    struct Body(Arc<AtomicBool>);
    impl Drop for Body {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let app = App::start().await;
    let dropped = Arc::new(AtomicBool::new(false));
    let request = request(Method::POST, "/reload").map(|()| Body(Arc::clone(&dropped)));

    let response = app.admin.clone().call(request);

    assert!(dropped.load(Ordering::Relaxed));
    assert_eq!(response.await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_caller_that_goes_away_cancels_nothing() {
    let mut app = App::start().await;
    let mut reports = app.handle.subscribe();
    app.setting.send_replace(Setting::Hangs);
    let mut asked = app.admin.clone().call(request(Method::POST, "/reload"));
    let waiting = asked.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(waiting.is_pending());
    app.began.recv().await.expect("the reload has begun");

    drop(asked);
    app.setting.send_replace(Setting::Value("second"));

    let report = reports.next().await.unwrap();
    assert_eq!(report.outcome(), rekindle::Outcome::Applied);
    assert!(report.triggers().contains("http"));
    app.stop().await;
}

#[tokio::test]
async fn a_step_of_a_collection_has_the_counts_of_its_keys() {
    use std::collections::BTreeMap;
    let (set, settings) = watch::channel(BTreeMap::from([("a", 1), ("b", 2)]));
    let mut reload = Manager::new();
    let source = async move || Ok(settings.borrow().clone());
    let settings = reload.source("settings", source).await.unwrap();
    let numbers = reload.each(
        "numbers",
        &settings,
        |settings| (*settings).clone(),
        async |_, number| Ok(number),
    );
    numbers.await.unwrap();
    let admin = Admin::new(reload.handle());
    let asked = async move |_| {
        set.send_replace(BTreeMap::from([("a", 1), ("b", 3), ("c", 4)]));
        let answer = send(&admin, request(Method::POST, "/reload")).await;
        let report = answer.json();
        assert_eq!(
            step(&report, "numbers")["keys"],
            json!({ "added": 1, "changed": 1, "kept": 1, "removed": 0 })
        );
        assert!(step(&report, "settings").get("keys").is_none());
        Ok(())
    };
    reload.run(asked).await.unwrap();
}

/// The names are as they were given; JSON has its own way to write a line break.
#[tokio::test]
async fn an_answer_is_one_line_whatever_a_trigger_is_called() {
    let reload = Manager::new();
    let handle = reload.handle();
    let admin = Admin::new(handle.clone());
    let asked = async move |_| {
        let name = "a\n\u{1b}[2J\u{85}b".to_owned();
        handle.reload(name.clone()).await?;
        let answer = send(&admin, request(Method::GET, "/status")).await;
        assert_eq!(answer.json()["reports"][0]["triggers"], json!([name]));
        let line = answer.body.strip_suffix('\n').expect("it ends a line");
        assert!(!line.contains(['\n', '\u{1b}']), "{line:?}");
        Ok(())
    };
    reload.run(asked).await.unwrap();
}
