//! Run groups, without signals.

use std::error::Error as _;
use std::fmt;
use std::future::{IntoFuture, pending};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as blocking;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rekindle::run::{self, Cancelled, Group};
use rekindle::{BoxError, Manager, StepError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// An error that is known again.
#[derive(Debug, PartialEq)]
struct Broken(u32);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pipe is broken")
    }
}

impl std::error::Error for Broken {}

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn push(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Sends when it is dropped.
struct OnDrop(Option<oneshot::Sender<()>>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        let _ = self.0.take().unwrap().send(());
    }
}

fn on_drop() -> (OnDrop, oneshot::Receiver<()>) {
    let (sender, receiver) = oneshot::channel();
    (OnDrop(Some(sender)), receiver)
}

/// G1
#[tokio::test]
async fn an_empty_group_returns_at_once() {
    let stop = CancellationToken::new();
    let ended = Group::new().run_until(stop.clone()).await.unwrap();
    assert_eq!(ended.first(), None);
    assert!(stop.is_cancelled());
}

/// G2
#[tokio::test]
async fn the_error_of_the_actor_is_the_source_exactly() {
    let mut group = Group::new();
    group.add("http", async |_| Err::<(), _>(Broken(7)));
    let error = group.run().await.unwrap_err();
    assert_eq!(error.to_string(), "actor `http` failed");
    assert_eq!(
        format!("{error:?}"),
        "actor `http` failed: the pipe is broken"
    );
    assert_eq!(error.first(), Some("http"));
    assert!(error.is_failed() && !error.is_panic() && !error.is_late() && !error.is_cancelled());
    assert_eq!(error.source().unwrap().downcast_ref(), Some(&Broken(7)));
    assert_eq!(
        *error.into_source().unwrap().downcast::<Broken>().unwrap(),
        Broken(7)
    );
}

/// G3
#[tokio::test]
async fn the_first_error_is_handed_to_all_interrupts_and_returned_after_all_have_returned() {
    let log = Log::default();
    let mut group = Group::new();
    for name in ["a", "b"] {
        let (sender, receiver) = oneshot::channel::<()>();
        let (execute, interrupt) = (log.clone(), log.clone());
        group.add_pair(
            name,
            async move {
                let _ = receiver.await;
                execute.push("returned");
                // Only the first one counts.
                Err::<(), _>(Broken(2))
            },
            move |cause| {
                assert_eq!(cause.first(), Some("first"));
                assert_eq!(cause.error().unwrap().downcast_ref(), Some(&Broken(1)));
                interrupt.push(cause.to_string());
                drop(sender);
            },
        );
    }
    group.add("first", async |_| Err::<(), _>(Broken(1)));
    let error = group.run().await.unwrap_err();
    assert_eq!(error.source().unwrap().downcast_ref(), Some(&Broken(1)));
    let cause = "actor `first` failed: the pipe is broken";
    assert_eq!(log.lines(), [cause, cause, "returned", "returned"]);
}

/// G4
#[tokio::test]
async fn an_actor_that_returns_ok_ends_the_group() {
    let mut group = Group::new();
    group.add("idle", |stop| stop.cancelled_owned());
    group.add("once", async |_| Ok::<_, BoxError>(()));
    assert_eq!(group.run().await.unwrap().first(), Some("once"));
}

/// G5
#[tokio::test]
async fn each_interrupt_is_called_once_in_the_order_of_adding() {
    let log = Log::default();
    let mut group = Group::new();
    for name in ["a", "b", "c", "d"] {
        let (sender, receiver) = oneshot::channel::<()>();
        let interrupt = log.clone();
        group.add_pair(
            name,
            async move {
                if name != "b" {
                    let _ = receiver.await;
                }
            },
            move |_| {
                interrupt.push(name);
                drop(sender);
                assert_ne!(
                    name, "c",
                    "a panic does not keep `d` from being interrupted"
                );
            },
        );
    }
    assert_eq!(group.run().await.unwrap().first(), Some("b"));
    assert_eq!(log.lines(), ["a", "b", "c", "d"]);
}

/// G6
#[tokio::test]
async fn a_token_actor_ends_the_group_with_an_error_that_says_so() {
    let token = CancellationToken::new();
    let mut group = Group::new();
    group.add("token", run::token(token.clone()));
    group.add("idle", |stop| stop.cancelled_owned());
    group.add("cancels", async move |stop| {
        token.cancel();
        stop.cancelled().await;
    });
    let error = group.run().await.unwrap_err();
    assert_eq!(error.first(), Some("token"));
    assert!(error.is_cancelled());
    assert!(error.source().unwrap().is::<Cancelled>());
}

#[tokio::test]
async fn a_token_actor_ends_when_it_is_interrupted() {
    let mut group = Group::new();
    group.add("token", run::token(CancellationToken::new()));
    group.add("once", async |_| ());
    assert_eq!(group.run().await.unwrap().first(), Some("once"));
}

#[tokio::test]
async fn stopping_from_outside_ends_the_group() {
    let stop = CancellationToken::new();
    let log = Log::default();
    let (interrupt, token) = (log.clone(), stop.clone());
    let (sender, receiver) = oneshot::channel::<()>();
    let mut group = Group::new();
    group.add_pair(
        "pair",
        async move {
            token.cancel();
            let _ = receiver.await;
        },
        move |cause| {
            assert!(cause.first().is_none() && cause.error().is_none());
            interrupt.push(cause.to_string());
            drop(sender);
        },
    );
    assert_eq!(group.run_until(stop).await.unwrap().first(), None);
    assert_eq!(log.lines(), ["stopped from outside"]);
}

#[tokio::test]
async fn the_token_is_cancelled_when_the_group_begins_to_end() {
    let stop = CancellationToken::new();
    let (drained, drain) = oneshot::channel::<()>();
    let mut group = Group::new();
    group.add("drains", async |_| drain.await);
    group.add("once", async |_| ());
    let run = tokio::spawn(group.run_until(stop.clone()));
    // The other actor has not returned when this is heard.
    stop.cancelled().await;
    drained.send(()).unwrap();
    assert_eq!(run.await.unwrap().unwrap().first(), Some("once"));
}

#[tokio::test]
async fn an_error_is_not_lost_when_the_group_is_stopped_meanwhile() {
    let stop = CancellationToken::new();
    let token = stop.clone();
    let mut group = Group::new();
    group.add("fails", async move |_| {
        token.cancel();
        Err::<(), _>(Broken(3))
    });
    assert_eq!(
        group.run_until(stop).await.unwrap_err().first(),
        Some("fails")
    );
}

#[tokio::test]
async fn a_panic_is_an_error_that_repeats_no_values() {
    for (secret, text) in [
        (None, "panicked: a literal"),
        (Some("hunter2"), "panicked; the panic hook"),
    ] {
        let mut group = Group::new();
        group.add("idle", |stop| stop.cancelled_owned());
        group.add("panics", async move |_| -> Result<(), BoxError> {
            match secret {
                None => panic!("a literal"),
                Some(secret) => panic!("the password is {secret}"),
            }
        });
        let error = group.run().await.unwrap_err();
        assert!(error.is_panic() && error.is_failed());
        assert_eq!(error.first(), Some("panics"));
        assert!(error.source().unwrap().is::<StepError>());
        assert!(format!("{error:?}").starts_with(&format!("actor `panics` failed: {text}")));
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn a_panic_before_the_first_await_is_an_error() {
    let mut group = Group::new();
    fn never() -> std::future::Ready<()> {
        panic!("no future at all")
    }
    group.add("panics", |_| never());
    assert!(group.run().await.unwrap_err().is_panic());
}

#[tokio::test(start_paused = true)]
async fn stragglers_are_aborted_and_named() {
    let (guard, dropped) = on_drop();
    let mut group = Group::new().shutdown_timeout(Duration::from_secs(5));
    group.add("ignores", async move |_| {
        let _guard = guard;
        pending::<()>().await;
    });
    group.add("obeys", |stop| stop.cancelled_owned());
    group.add("once", async |_| ());
    let start = Instant::now();
    let error = group.run().await.unwrap_err();
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    dropped.await.unwrap();
    assert_eq!(
        error.to_string(),
        "still running 5s after the stop: actor `ignores` (aborted)"
    );
    assert_eq!(error.late().collect::<Vec<_>>(), ["ignores"]);
    assert_eq!(error.first(), Some("once"));
    assert!(error.is_late() && !error.is_failed());
    assert!(error.source().is_none());
    assert!(error.into_source().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_failure_and_stragglers_are_both_told() {
    let mut group = Group::new().shutdown_timeout(Duration::from_secs(1));
    group.add("ignores", async |_| pending::<()>().await);
    group.add("fails", async |_| Err::<(), _>(Broken(1)));
    let error = group.run().await.unwrap_err();
    assert_eq!(
        format!("{error:?}"),
        "still running 1s after the stop: actor `ignores` (aborted); \
         actor `fails` failed: the pipe is broken"
    );
    assert!(error.is_late() && error.is_failed());
}

#[tokio::test(start_paused = true)]
async fn the_shutdown_timeout_is_25_seconds_by_default() {
    let mut group = Group::new();
    group.add("ignores", async |_| pending::<()>().await);
    group.add("once", async |_| ());
    let start = Instant::now();
    group.run().await.unwrap_err();
    // Aborted then, and dropped at once.
    assert_eq!(start.elapsed(), Duration::from_secs(25));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_timeout_without_end_is_possible() {
    let mut group = Group::new().shutdown_timeout(Duration::MAX);
    group.add("slow", async |stop| {
        stop.cancelled().await;
        tokio::time::sleep(Duration::from_secs(3600)).await;
    });
    group.add("once", async |_| ());
    group.run().await.unwrap();
}

/// Its drop runs while it is aborted, on the way out of the group.
#[tokio::test(start_paused = true)]
async fn an_actor_whose_drop_panics_takes_nobody_down() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    let (guard, dropped) = on_drop();
    let mut group = Group::new();
    group.add("panics", async move |_| {
        let _panics = Panics;
        pending::<()>().await;
    });
    group.add("ignores", async move |_| {
        let _guard = guard;
        pending::<()>().await;
    });
    group.add("once", async |_| ());
    let error = group.run().await.unwrap_err();
    dropped.await.unwrap();
    assert_eq!(error.late().collect::<Vec<_>>(), ["panics", "ignores"]);
    assert!(!error.to_string().contains("blocks"));
}

/// A worker for each of them, and one for the group.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_that_blocks_its_thread_does_not_stop_the_others_and_is_named() {
    let (release, released) = blocking::channel::<()>();
    let (blocked, is_blocked) = blocking::channel();
    let mut group = Group::new().shutdown_timeout(Duration::from_millis(50));
    group.add("blocks", async move |_| {
        blocked.send(()).unwrap();
        let _ = released.recv();
    });
    // Not a task: one that is woken by a worker may have to wait for that worker.
    group.add_blocking("once", move |_| is_blocked.recv());
    let error = group.run().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "still running 50ms after the stop: actor `blocks` (blocks its thread)"
    );
    drop(release);
}

#[tokio::test]
async fn a_blocking_actor_has_a_thread_of_its_own_and_is_told_to_end() {
    let log = Log::default();
    let lines = log.clone();
    let (ready, is_ready) = oneshot::channel();
    let mut group = Group::new();
    group.add_blocking("worker", move |stop| {
        lines.push(thread::current().name().unwrap());
        ready.send(()).unwrap();
        tokio::runtime::Handle::current().block_on(stop.cancelled());
        lines.push("told");
        Ok::<_, BoxError>(())
    });
    group.add("once", async move |_| is_ready.await);
    assert_eq!(group.run().await.unwrap().first(), Some("once"));
    assert_eq!(log.lines(), ["worker", "told"]);
}

#[tokio::test]
async fn a_blocking_actor_that_fails_or_panics_ends_the_group() {
    let mut group = Group::new();
    group.add("idle", |stop| stop.cancelled_owned());
    group.add_blocking("fails", |_| Err::<(), _>(Broken(4)));
    let error = group.run().await.unwrap_err();
    assert_eq!(error.source().unwrap().downcast_ref(), Some(&Broken(4)));

    let mut group = Group::new();
    group.add("idle", |stop| stop.cancelled_owned());
    group.add_blocking("panics", |_| -> Result<(), BoxError> {
        panic!("a literal")
    });
    let error = group.run().await.unwrap_err();
    assert!(error.is_panic());
    assert!(format!("{error:?}").ends_with("failed: panicked: a literal"));
}

#[tokio::test]
async fn a_blocking_actor_that_does_not_end_is_named_and_left() {
    let (release, released) = blocking::channel::<()>();
    let (left, has_left) = oneshot::channel();
    let mut group = Group::new().shutdown_timeout(Duration::from_millis(50));
    group.add_blocking("deaf", move |_| {
        let _ = released.recv();
        left.send(()).unwrap();
    });
    group.add("once", async |_| ());
    let error = group.run().await.unwrap_err();
    let text = "still running 50ms after the stop: actor `deaf` (blocks its thread)";
    assert_eq!(error.to_string(), text);
    drop(release);
    has_left.await.unwrap();
}

#[tokio::test]
async fn dropping_the_run_aborts_the_actors_and_tells_the_threads() {
    let (guard, dropped) = on_drop();
    let (left, has_left) = oneshot::channel();
    let (ready, mut readies) = mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    let mut group = Group::new();
    let also_ready = ready.clone();
    group.add("async", async move |_| {
        let _guard = guard;
        also_ready.send(()).unwrap();
        pending::<()>().await;
    });
    group.add_blocking("thread", move |stop| {
        ready.send(()).unwrap();
        tokio::runtime::Handle::current().block_on(stop.cancelled());
        left.send(()).unwrap();
    });
    let run = tokio::spawn(group.run_until(stop.clone()));
    readies.recv().await.unwrap();
    readies.recv().await.unwrap();
    run.abort();
    dropped.await.unwrap();
    has_left.await.unwrap();
    assert!(stop.is_cancelled());
}

#[tokio::test]
async fn a_group_can_be_an_actor() {
    let mut inner = Group::new();
    inner.add("fails", async |_| Err::<(), _>(Broken(5)));
    let mut outer = Group::new();
    outer.add("inner", |stop| inner.run_until(stop));
    let error = outer.run().await.unwrap_err();
    assert_eq!(
        format!("{error:?}"),
        "actor `inner` failed: actor `fails` failed: the pipe is broken"
    );

    let mut inner = Group::new();
    inner.add("idle", |stop| stop.cancelled_owned());
    let mut outer = Group::new();
    outer.add("inner", |stop| inner.run_until(stop));
    outer.add("once", async |_| ());
    assert_eq!(outer.run().await.unwrap().first(), Some("once"));
}

/// A thread that runs until it is let go.
fn deaf(group: &mut Group) -> blocking::Sender<()> {
    let (release, released) = blocking::channel();
    group.add_blocking("deaf", move |_| {
        let _ = released.recv();
    });
    release
}

/// The numbers of the inner ones do not count.
#[tokio::test(start_paused = true)]
async fn what_a_group_in_a_group_leaves_behind_is_named() {
    let mut inner = Group::new().shutdown_timeout(Duration::from_millis(50));
    let _release = deaf(&mut inner);
    let mut middle = Group::new().shutdown_timeout(Duration::from_secs(600));
    middle.add("inner", |stop| inner.run_until(stop));
    let mut outer = Group::new().shutdown_timeout(Duration::from_secs(60));
    outer.add("middle", |stop| middle.run_until(stop));
    outer.add("once", async |_| ());
    let start = Instant::now();
    let error = outer.run().await.unwrap_err();
    // The innermost ends first, so that each outer one can name what hung.
    assert_eq!(start.elapsed().as_millis() / 10, 5_950);
    assert!(error.is_late() && !error.is_failed());
    assert_eq!(
        error.to_string(),
        "still running after the stop: actor `deaf` (blocks its thread)"
    );
    assert_eq!(
        error.late().collect::<Vec<_>>(),
        ["actor `deaf` (blocks its thread)"]
    );
}

/// A manager as an actor, with a component that blocks its thread while the group ends.
async fn late_in_a_manager(group: Duration) -> run::Error {
    let (release, released) = blocking::channel::<()>();
    let released = Mutex::new(released);
    let (blocked, is_blocked) = blocking::channel();
    let mut reload = Manager::new();
    let first = AtomicBool::new(true);
    let culprit = Arc::new(move || {
        if !first.swap(false, Ordering::SeqCst) {
            blocked.send(()).unwrap();
            let _ = released.lock().unwrap().recv();
        }
    });
    reload
        .source("culprit", async move || {
            culprit();
            Ok(())
        })
        .await
        .unwrap();
    reload.handle().trigger("test");
    let mut outer = Group::new().shutdown_timeout(group);
    outer.add("reload", |stop: CancellationToken| {
        reload.run(|_| stop.cancelled_owned())
    });
    // Not a task: one that is woken by a worker may have to wait for that worker.
    outer.add_blocking("once", move |_| is_blocked.recv());
    let error = outer.run().await.unwrap_err();
    drop(release);
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_a_manager_in_a_group_leaves_behind_is_named() {
    let error = late_in_a_manager(Duration::from_secs(1)).await;
    assert_eq!(error.late().len(), 1, "{error}");
    let late = error.late().next().unwrap();
    assert!(late.starts_with("component `culprit`, running for "));
}

/// As `axum::serve` does: something that is turned into a future, and an `io::Result`.
#[tokio::test]
async fn the_forms_that_people_write_compile() {
    struct Serve(Pin<Box<dyn Future<Output = io::Result<()>> + Send>>);
    impl Serve {
        fn with_graceful_shutdown(signal: impl Future<Output = ()> + Send + 'static) -> Self {
            Self(Box::pin(async {
                signal.await;
                Ok(())
            }))
        }
    }
    impl IntoFuture for Serve {
        type Output = io::Result<()>;
        type IntoFuture = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

        fn into_future(self) -> Self::IntoFuture {
            self.0
        }
    }
    async fn named(stop: CancellationToken) -> Result<(), BoxError> {
        stop.cancelled().await;
        Ok(())
    }

    let text = String::from("captured");
    let mut group = Group::new();
    group.add("http", |stop| {
        Serve::with_graceful_shutdown(stop.cancelled_owned())
    });
    group.add("named", named);
    group.add("token", |stop| stop.cancelled_owned());
    group.add("moved", |stop| async move { stop.cancelled().await });
    group.add("captures", async move |stop| {
        stop.cancelled().await;
        drop(text);
        Ok::<_, BoxError>(())
    });
    group.add(String::from("text"), async |stop| {
        stop.cancelled().await;
        Err::<(), _>("an error that only the log has")
    });
    group.add_pair("pair", async {}, |_| {});
    assert_eq!(
        format!("{group:?}"),
        r#"Group { actors: ["http", "named", "token", "moved", "captures", "text", "pair"], shutdown_timeout: 25s }"#
    );
    assert_eq!(group.run().await.unwrap().first(), Some("pair"));
}

/// Collects what is logged on this thread.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn subscribe(&self) -> tracing::subscriber::DefaultGuard {
        let writer = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .without_time()
            .with_target(false)
            .with_ansi(false)
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().map(str::trim_start);
        lines.map(str::to_owned).collect()
    }
}

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An error with a text, whose cause panics when it is asked for one.
#[derive(Debug)]
struct Nasty(Mute);

#[derive(Debug)]
struct Mute;

impl fmt::Display for Nasty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nasty")
    }
}

impl fmt::Display for Mute {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("no text");
    }
}

impl std::error::Error for Nasty {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl std::error::Error for Mute {}

impl Drop for Nasty {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic!("in drop");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_cannot_be_shown_costs_nobody_the_end() {
    let written = Written::default();
    let _subscribed = written.subscribe();
    let (drained, has_drained) = oneshot::channel();
    let mut group = Group::new();
    group.add("first", async |_| Err::<(), _>(Mute));
    group.add("also", async |stop| {
        stop.cancelled().await;
        Err::<(), _>(Nasty(Mute))
    });
    group.add("server", async |stop| {
        stop.cancelled().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        drained.send(()).unwrap();
    });
    group.add_pair("pair", async {}, |cause| {
        let text = "actor `first` failed: an error whose text cannot be had";
        assert_eq!(cause.to_string(), text);
        assert!(format!("{cause:?}").contains("cannot be had"));
    });
    let error = group.run().await.unwrap_err();
    has_drained.await.unwrap();
    assert_eq!(
        format!("{error:?}"),
        "actor `first` failed: an error whose text cannot be had"
    );
    assert_eq!(
        written.lines(),
        [
            "INFO the run group ends: actor `first` failed: an error whose text cannot be had",
            "WARN actor `also` failed while it ended: nasty: an error whose text cannot be had",
            "ERROR dropping a value of `also` panicked: in drop",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_end_its_cause_and_the_stragglers_are_logged() {
    let written = Written::default();
    let _subscribed = written.subscribe();
    let mut group = Group::new().shutdown_timeout(Duration::from_secs(1));
    group.add("first", async |_| Err::<(), _>(Broken(1)));
    group.add("also", async |stop| {
        stop.cancelled().await;
        Err::<(), _>(Broken(2))
    });
    group.add("ignores", async |_| pending::<()>().await);
    group.add_pair("pair", pending::<()>(), |_| panic!("a literal"));
    group.run().await.unwrap_err();
    assert_eq!(
        written.lines(),
        [
            "INFO the run group ends: actor `first` failed: the pipe is broken",
            "ERROR the interrupt of actor `pair` failed: panicked: a literal",
            "WARN actor `also` failed while it ended: the pipe is broken",
            "WARN still running 1s after the stop: actor `ignores` (aborted), actor `pair` (aborted)",
        ]
    );
}
