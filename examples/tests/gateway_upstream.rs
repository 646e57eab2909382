//! The gateway: upstreams that are away, or not well, or answer as nobody should.

mod gateway_support;
mod harness;

use std::sync::atomic::Ordering;

use gateway_support::*;
use harness::until;

fn empty() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_of_which_nothing_was_sent_goes_to_another_address() {
    let app = Upstream::start("app").await;
    let (address, gone) = (free_address(), free_address());
    let config = [
        listener(address),
        upstream_at("gone", &[gone]),
        upstream_at("half", &[gone, app.address]),
        route("/gone", "gone", ""),
        route("/half", "half", ""),
        route("/echo", "half", ""),
    ];
    let gateway = Gateway::start(empty(), &config.concat());
    let mut connection = Connection::open(address, "a.test").await.unwrap();

    for _ in 0..4 {
        assert_eq!(connection.get("/half").await.status, 200);
        let answer = connection.send("POST", "/echo", "a body").await.unwrap();
        let answer = Answer::of(answer).await.unwrap();
        assert_eq!((answer.status.as_u16(), &*answer.body), (200, "a body"));
    }
    let answer = connection.get("/gone").await;
    assert_eq!(answer.status, 502);
    assert!(answer.body.contains("cannot be reached"), "{}", answer.body);
    let line = gateway
        .process
        .stderr
        .wait_for("a request was not answered");
    for part in [" WARN ", "route=*/gone", &gone.to_string()] {
        assert!(line.contains(part), "{line}");
    }
    // One line tells of many requests.
    for _ in 0..10 {
        assert_eq!(connection.get("/gone").await.status, 502);
    }
    let lines = gateway.process.stderr.with("a request was not answered");
    assert!(lines.len() < 5, "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_was_sent_is_sent_once_more_only_if_it_changes_nothing() {
    let silent = [
        Rude::start("").await,
        Rude::start("").await,
        Rude::start("").await,
    ];
    let strange = Rude::start("what?\r\n\r\n").await;
    let address = free_address();
    let addresses = silent.each_ref().map(|rude| rude.address);
    let config = [
        listener(address),
        upstream_at("silent", &addresses),
        upstream_at("strange", &[strange.address]),
        route("/", "silent", ""),
        route("/strange", "strange", ""),
    ];
    let _gateway = Gateway::start(empty(), &config.concat());
    let mut connection = Connection::open(address, "a.test").await.unwrap();
    let sent = || {
        let sent = silent.iter().map(|rude| rude.heads.lock().unwrap().len());
        sent.sum::<usize>()
    };

    for (method, body, times) in [("POST", "a body", 1), ("DELETE", "", 1), ("GET", "", 2)] {
        let before = sent();
        let answer = in_time(connection.send(method, "/", body)).await.unwrap();
        let answer = Answer::of(answer).await.unwrap();
        assert_eq!(answer.status, 502, "{method}");
        assert!(answer.body.contains("gave no answer"), "{}", answer.body);
        assert_eq!(sent() - before, times, "{method}");
    }
    assert_eq!(connection.get("/strange").await.status, 502);
    assert_eq!(strange.heads.lock().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_well_is_not_asked_and_that_is_known_after_a_change_of_the_upstream() {
    let (one, other) = tokio::join!(Upstream::start("one"), Upstream::start("other"));
    let address = free_address();
    let config = |interval: &str| {
        let health = format!("health = {{ path = '/well', interval_seconds = {interval} }}\n");
        listener(address) + &upstream("both", &[&one, &other]) + &health + &route("/", "both", "")
    };
    let gateway = Gateway::start(empty(), &config("0.02"));
    let mut connection = Connection::open(address, "a.test").await.unwrap();

    one.state.is_well.store(false, Ordering::Relaxed);
    gateway.process.stderr.wait_for("is not well");
    for _ in 0..4 {
        assert_eq!(connection.get("/").await.header("x-upstream"), "other");
    }
    // From here on there is one check more, which alone is not enough to find out again.
    let checks = || other.state.checks.load(Ordering::Relaxed);
    let before = checks();
    gateway.change(&config("3600"));
    until("a check", || (checks() > before).then_some(()));
    for _ in 0..4 {
        assert_eq!(connection.get("/").await.header("x-upstream"), "other");
    }
    gateway.change(&config("0.02"));
    one.state.is_well.store(true, Ordering::Relaxed);
    gateway.process.stderr.wait_for("well again");
    let mut asked = Vec::new();
    for _ in 0..4 {
        let answer = connection.get("/").await;
        asked.push(answer.header("x-upstream").to_owned());
    }
    assert!(asked.contains(&"one".to_owned()), "{asked:?}");

    // It may be the check that is wrong, so nobody is refused because of it.
    one.state.is_well.store(false, Ordering::Relaxed);
    other.state.is_well.store(false, Ordering::Relaxed);
    until("both are not well", || {
        (gateway.process.stderr.with("is not well").len() == 3).then_some(())
    });
    assert_eq!(connection.get("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_to_a_check_need_not_end() {
    let app = Upstream::start("app").await;
    let health = "health = { path = '/endless', interval_seconds = 0.02, timeout_seconds = 1 }\n";
    let address = free_address();
    let rest = upstream("app", &[&app]) + health + &route("/", "app", "");
    let gateway = Gateway::start(empty(), &(listener(address) + &rest));
    until("some checks", || {
        (app.state.checks.load(Ordering::Relaxed) > 5).then_some(())
    });
    assert_eq!(
        gateway.process.stderr.with("is not well"),
        Vec::<String>::new()
    );
}
