//! The triggers that bring back a generation that failed its probation, and those that do not.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rekindle::{BoxError, Error, Handle, Lease, Live, Manager, Outcome, Report, Trigger, notify};
use support::{Automatic, Dial, Latch, in_time};
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;

const SHORT: Duration = Duration::from_millis(10);

const PERIOD: Duration = Duration::from_secs(5);

/// A number, with a probe that fails until the test repairs what it asks.
struct Subject {
    dial: Dial,
    broken: Arc<AtomicBool>,
    number: Live<u64>,
    /// Each build waits here.
    latch: Latch,
    /// The number of builds from it.
    built: Arc<AtomicUsize>,
    handle: Handle,
}

impl Subject {
    async fn new() -> (Self, Manager) {
        let (dial, broken) = (Dial::new(1), Arc::new(AtomicBool::new(true)));
        let asked = Arc::clone(&broken);
        let mut reload =
            Manager::new().probation(SHORT, async move || match asked.load(Ordering::SeqCst) {
                true => Err::<(), BoxError>("the database is down".into()),
                false => Ok(()),
            });
        let number = reload.source("number", dial.clone()).await.unwrap();
        let built = Arc::new(AtomicUsize::new(0));
        let (builds, latch) = (Arc::clone(&built), Latch::new());
        let waits = latch.clone();
        let build = async move |n: Lease<u64>| {
            waits.pass().await;
            builds.fetch_add(1, Ordering::SeqCst);
            match *n {
                BAD => Err("no such number".into()),
                n => Ok::<u64, BoxError>(n),
            }
        };
        reload.derive("pool", &number, build).await.unwrap();
        let handle = reload.handle();
        let subject = Self {
            dial,
            broken,
            number,
            latch,
            built,
            handle,
        };
        (subject, reload)
    }

    /// Reloads a generation that fails its probation, and repairs the cause.
    async fn fail_and_repair(&self) {
        self.broken.store(true, Ordering::SeqCst);
        self.dial.set(2);
        let error = self.handle.reload("fails").await.unwrap_err();
        assert!(error.is_rolled_back(), "{error:?}");
        assert_eq!(*self.number.load(), 1);
        self.broken.store(false, Ordering::SeqCst);
    }
}

const BAD: u64 = 9;

fn outcome(reload: Result<Arc<Report>, Error>) -> Outcome {
    match reload {
        Ok(report) => report.outcome(),
        Err(error) => error.report().unwrap().outcome(),
    }
}

/// Runs `reload`, lets a generation fail, pulls the trigger, and returns the outcome of its reload.
async fn after_a_rollback(
    (subject, reload): (Subject, Manager),
    name: &str,
    pull: impl AsyncFnOnce(&Handle),
) -> Outcome {
    let mut answer = None;
    let run = reload.run(async |_| {
        subject.fail_and_repair().await;
        let mut reports = subject.handle.subscribe();
        pull(&subject.handle).await;
        let report = loop {
            let report = reports.next().await.unwrap();
            if report.triggers().contains(name) {
                break report;
            }
        };
        let is_applied = report.outcome() == Outcome::Applied;
        assert_eq!(*subject.number.load(), if is_applied { 2 } else { 1 });
        answer = Some(report.outcome());
    });
    in_time(run).await.unwrap();
    answer.unwrap()
}

#[tokio::test(start_paused = true)]
async fn request_through_a_handle_brings_back_what_failed() {
    let subject = Subject::new().await;
    let pull = async |handle: &Handle| _ = handle.reload("admin").await.unwrap();
    let outcome = after_a_rollback(subject, "admin", pull).await;
    assert_eq!(outcome, Outcome::Applied);

    let subject = Subject::new().await;
    let pull = async |handle: &Handle| handle.trigger("admin");
    let outcome = after_a_rollback(subject, "admin", pull).await;
    assert_eq!(outcome, Outcome::Applied);
}

#[cfg(all(unix, feature = "signal"))]
#[tokio::test]
async fn signal_brings_back_what_failed() {
    let (subject, mut reload) = Subject::new().await;
    reload.on(notify::signal(notify::SignalKind::user_defined2()).unwrap());
    let pull = async |_: &Handle| {
        let pid = std::process::id().to_string();
        let kill = ["-s", "USR2", &pid];
        let kill = std::process::Command::new("kill").args(kill).status();
        assert!(kill.unwrap().success());
    };
    let outcome = after_a_rollback((subject, reload), "sigusr2", pull).await;
    assert_eq!(outcome, Outcome::Applied);
}

#[tokio::test(start_paused = true)]
async fn interval_does_not_bring_back_what_failed() {
    let (subject, mut reload) = Subject::new().await;
    reload.on(notify::interval(PERIOD));
    let outcome = after_a_rollback((subject, reload), "interval", async |_: &Handle| ()).await;
    assert_eq!(outcome, Outcome::Rejected);
}

#[tokio::test(start_paused = true)]
async fn closure_brings_back_what_failed_only_if_explicit() {
    for (is_explicit, expected) in [(true, Outcome::Applied), (false, Outcome::Rejected)] {
        let (subject, mut reload) = Subject::new().await;
        let pulled = Arc::new(Notify::new());
        let pulls = Arc::clone(&pulled);
        reload.on(async move || {
            pulls.notified().await;
            let trigger = Trigger::from("closure");
            Ok(match is_explicit {
                true => trigger.explicit(),
                false => trigger,
            })
        });
        let pull = async |_: &Handle| pulled.notify_one();
        let outcome = after_a_rollback((subject, reload), "closure", pull).await;
        assert_eq!(outcome, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn channel_brings_back_what_failed_only_if_explicit() {
    let explicit = Trigger::from("channel").explicit();
    let automatic = Trigger::from("channel");
    for (trigger, expected) in [(explicit, Outcome::Applied), (automatic, Outcome::Rejected)] {
        let (subject, mut reload) = Subject::new().await;
        let (sender, receiver) = mpsc::channel::<Trigger>(1);
        reload.on(receiver);
        let pull = async |_: &Handle| sender.send(trigger).await.unwrap();
        let outcome = after_a_rollback((subject, reload), "channel", pull).await;
        assert_eq!(outcome, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn check_tries_what_failed_and_goes_on_holding_it_back() {
    let (subject, mut reload) = Subject::new().await;
    let mut automatic = Automatic::new(&mut reload);
    let run = reload.run(async move |_| {
        subject.fail_and_repair().await;
        let built = subject.built.load(Ordering::SeqCst);
        assert_eq!(outcome(subject.handle.check().await), Outcome::Valid);
        assert_eq!(subject.built.load(Ordering::SeqCst), built + 1);
        assert_eq!(automatic.reload().await.outcome(), Outcome::Rejected);
        assert_eq!(subject.built.load(Ordering::SeqCst), built + 1);
        // What has passed is not held back any more.
        let again = subject.handle.reload("admin").await;
        assert_eq!(outcome(again), Outcome::Applied);
        assert_eq!(automatic.reload().await.outcome(), Outcome::Unchanged);
    });
    in_time(run).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn request_that_fails_again_holds_back_again() {
    let (subject, mut reload) = Subject::new().await;
    let mut automatic = Automatic::new(&mut reload);
    let run = reload.run(async move |_| {
        subject.fail_and_repair().await;
        subject.fail_and_repair().await;
        assert_eq!(automatic.reload().await.outcome(), Outcome::Rejected);
        // An edit lets automatic triggers through, also one that was rejected.
        subject.dial.set(BAD);
        let refused = subject.handle.reload("admin").await;
        assert_eq!(outcome(refused), Outcome::Rejected);
        subject.dial.set(2);
        assert_eq!(automatic.reload().await.outcome(), Outcome::Applied);
    });
    in_time(run).await.unwrap();
}

/// The request is rejected by a source that cannot be read, which is no edit.
#[tokio::test(start_paused = true)]
async fn rejected_request_goes_on_holding_back() {
    let (subject, mut reload) = Subject::new().await;
    let mut automatic = Automatic::new(&mut reload);
    let run = reload.run(async move |_| {
        subject.fail_and_repair().await;
        subject.dial.break_with("the disk is gone");
        let refused = subject.handle.reload("admin").await;
        assert_eq!(outcome(refused), Outcome::Rejected);
        subject.dial.set(2);
        assert_eq!(automatic.reload().await.outcome(), Outcome::Rejected);
    });
    in_time(run).await.unwrap();
}

/// Both wait while another reload is prepared, and one reload answers them.
#[tokio::test(start_paused = true)]
async fn request_that_joins_an_automatic_trigger_is_explicit() {
    let (subject, mut reload) = Subject::new().await;
    let mut automatic = Automatic::new(&mut reload);
    let run = reload.run(async move |_| {
        subject.latch.close();
        subject.dial.set(2);
        subject.handle.trigger("fails");
        subject.latch.arrival().await;
        automatic.trigger();
        subject.handle.trigger("admin");
        // The paused clock goes on when the notifier has nothing more to do.
        sleep(SHORT).await;
        subject.latch.let_one_go();
        subject.latch.arrival().await;
        assert_eq!(*subject.number.load(), 1, "it was rolled back");
        subject.broken.store(false, Ordering::SeqCst);
        subject.latch.open();
        let report = automatic.report().await;
        assert!(report.triggers().contains("admin"), "{report}");
        assert_eq!(report.outcome(), Outcome::Applied);
    });
    in_time(run).await.unwrap();
}

#[cfg(feature = "http")]
#[tokio::test(start_paused = true)]
async fn http_request_brings_back_what_failed() {
    use tower_service::Service;

    let subject = Subject::new().await;
    let pull = async |handle: &Handle| {
        let mut admin = rekindle::http::Admin::new(handle.clone());
        let request = http::Request::post("/reload").header("host", "localhost");
        let answer = admin.call(request.body(()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200);
    };
    let outcome = after_a_rollback(subject, "http", pull).await;
    assert_eq!(outcome, Outcome::Applied);
}

/// Another file changes, so the trigger finds the one that failed as it was.
#[cfg(feature = "file")]
#[tokio::test]
async fn watched_file_does_not_bring_back_what_failed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("other.txt");
    std::fs::write(&path, "old").unwrap();
    let (subject, mut reload) = Subject::new().await;
    let file = rekindle::file::text(&path).watch();
    reload.source("other", file).await.unwrap();
    let pull = async |_: &Handle| std::fs::write(&path, "new").unwrap();
    let outcome = after_a_rollback((subject, reload), "file", pull).await;
    assert_eq!(outcome, Outcome::Rejected);
}
