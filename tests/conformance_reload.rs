//! What slok/reload promises, by its own tests, its documents and its examples.
//!
//! Each test cites the promise that it keeps. Where the promise is about triggers it is kept twice:
//! with a notifier made from a function, and with one made from a channel.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rekindle::{
    Action, Error, Handle, Manager, OnError, Outcome, Reloader, Report, Trigger, Triggers, notify,
};
use tokio::sync::{Barrier, Notify, mpsc};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// What a notifier is made from.
#[derive(Clone, Copy, Debug)]
enum Made {
    FromAFunction,
    FromAChannel,
}

impl Made {
    const BOTH: [Self; 2] = [Self::FromAFunction, Self::FromAChannel];

    /// Adds a notifier that triggers once with each of these, and is silent then.
    fn on(self, manager: &mut Manager, triggers: &'static [&'static str]) {
        match self {
            Self::FromAFunction => {
                let calls = Arc::new(AtomicUsize::new(0));
                manager.on(async move || {
                    match triggers.get(calls.fetch_add(1, Ordering::Relaxed)) {
                        Some(trigger) => Ok((*trigger).into()),
                        None => pending().await,
                    }
                });
            }
            Self::FromAChannel => {
                let (sender, receiver) = mpsc::unbounded_channel();
                for trigger in triggers {
                    sender.send(*trigger).expect("the receiver is here");
                }
                manager.on(receiver);
            }
        }
    }
}

/// Which reloaders were called, in which order, and with what.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<(&'static str, String)>>>);

impl Calls {
    /// A reloader that takes note of its call.
    fn to(&self, name: &'static str) -> impl Reloader {
        let calls = Arc::clone(&self.0);
        async move |triggers: Triggers| calls.lock().unwrap().push((name, triggers.to_string()))
    }

    /// As [`to`](Self::to), and then it fails.
    fn to_failing(&self, name: &'static str) -> impl Reloader {
        let calls = Arc::clone(&self.0);
        async move |triggers: Triggers| {
            calls.lock().unwrap().push((name, triggers.to_string()));
            Err("it is broken".into())
        }
    }

    /// As [`to`](Self::to), after a second.
    fn to_slow(&self, name: &'static str) -> impl Reloader {
        let calls = Arc::clone(&self.0);
        async move |triggers: Triggers| {
            sleep(Duration::from_secs(1)).await;
            calls.lock().unwrap().push((name, triggers.to_string()));
        }
    }

    /// The names in the order of the calls. All of them got this trigger.
    fn with(&self, trigger: &str) -> Vec<&'static str> {
        let calls = self.0.lock().unwrap();
        assert!(calls.iter().all(|call| call.1 == trigger), "{calls:?}");
        calls.iter().map(|call| call.0).collect()
    }
}

/// Runs the manager until it has made one reload, and gives its report.
async fn one_reload(manager: Manager) -> Arc<Report> {
    reloads(manager, 1).await.remove(0)
}

/// Runs the manager until it has made this many reloads.
async fn reloads(manager: Manager, count: usize) -> Vec<Arc<Report>> {
    let mut reports = manager.handle().subscribe();
    let mut all = Vec::new();
    let app = manager.run(async |_| {
        while all.len() < count {
            all.push(reports.next().await.expect("the manager runs"));
        }
    });
    app.await.unwrap();
    all
}

/// Runs the manager until something ends it, and gives the error.
async fn ending(manager: Manager) -> Error {
    let app = manager.run(|stop| stop.cancelled_owned());
    // With a paused clock this day is over when everything else has come to rest.
    let ended = timeout(Duration::from_secs(24 * 3600), app).await;
    let ended = ended.expect("a failure ends the run");
    let error = ended.expect_err("nothing but a failure ends the run");
    *error.downcast().expect("the error is this crate's")
}

fn cause(error: &Error) -> String {
    let cause = std::error::Error::source(error);
    cause.expect("it has a cause").to_string()
}

/// R1, with a function.
#[tokio::test(start_paused = true)]
async fn a_notifier_that_fails_ends_the_run_where_that_is_the_policy() {
    let calls = Calls::default();
    let mut manager = Manager::new().on_error(OnError::Stop);
    manager.add(0, "reloader", calls.to("reloader"));
    manager.on(async || Err("the outside world is gone".into()));
    let error = ending(manager).await;
    assert!(error.to_string().starts_with("notifier `"), "{error}");
    assert_eq!(cause(&error), "the outside world is gone");
    assert!(calls.with("").is_empty());
}

/// R1, with a channel: it cannot fail. One that is closed has nothing to say any more.
#[tokio::test(start_paused = true)]
async fn a_channel_that_is_closed_does_not_end_the_run() {
    let calls = Calls::default();
    let mut manager = Manager::new().on_error(OnError::Stop);
    manager.add(0, "reloader", calls.to("reloader"));
    let (sender, receiver) = mpsc::channel::<Trigger>(1);
    drop(sender);
    manager.on(receiver);
    let handle = manager.handle();
    // With a paused clock this hour is over when everything else has come to rest.
    let app = manager.run(async |_| sleep(Duration::from_secs(3600)).await);
    app.await.unwrap();
    assert_eq!(handle.status().notifiers()[0].failures(), 0);
    assert!(calls.with("").is_empty());
}

/// R1, where the policy is to keep going: it is reported and asked again.
#[tokio::test(start_paused = true)]
async fn a_notifier_that_fails_is_asked_again_otherwise() {
    let calls = Calls::default();
    let mut manager = Manager::new();
    manager.add(0, "reloader", calls.to("reloader"));
    let asked = Arc::new(AtomicUsize::new(0));
    manager.on(async move || match asked.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => Err("not yet".into()),
        2 => Ok("at last".into()),
        _ => pending().await,
    });
    let report = one_reload(manager).await;
    assert_eq!(report.outcome(), Outcome::Unchanged);
    assert_eq!(calls.with("at last"), ["reloader"]);
}

/// R2
#[tokio::test(start_paused = true)]
async fn a_reloader_is_called_once_with_the_trigger() {
    for made in Made::BOTH {
        let calls = Calls::default();
        let mut manager = Manager::new();
        manager.add(0, "reloader", calls.to("reloader"));
        made.on(&mut manager, &["test-id"]);
        let report = one_reload(manager).await;
        assert!(report.is_success(), "{made:?}: {report}");
        assert_eq!(calls.with("test-id"), ["reloader"], "{made:?}");
    }
}

/// R3
#[tokio::test(start_paused = true)]
async fn a_reloader_that_fails_ends_the_run_where_that_is_the_policy() {
    for made in Made::BOTH {
        let calls = Calls::default();
        let mut manager = Manager::new().on_error(OnError::Stop);
        manager.add(0, "reloader", calls.to_failing("reloader"));
        made.on(&mut manager, &["test-id"]);
        let error = ending(manager).await;
        assert_eq!(
            error.to_string(),
            "the reload was partial: `reloader` failed"
        );
        assert_eq!(cause(&error), "it is broken");
        assert_eq!(calls.with("test-id"), ["reloader"], "{made:?}");
    }
}

/// R4
#[tokio::test(start_paused = true)]
async fn reloaders_of_one_priority_are_each_called_once() {
    for made in Made::BOTH {
        let calls = Calls::default();
        let mut manager = Manager::new();
        for name in ["a", "b", "c"] {
            manager.add(0, name, calls.to(name));
        }
        made.on(&mut manager, &["test-id"]);
        assert!(one_reload(manager).await.is_success());
        let mut called = calls.with("test-id");
        called.sort_unstable();
        assert_eq!(called, ["a", "b", "c"], "{made:?}");
    }
}

/// R5
#[tokio::test(start_paused = true)]
async fn reloaders_are_called_by_ascending_priority() {
    for made in Made::BOTH {
        let calls = Calls::default();
        let mut manager = Manager::new();
        manager.add(2, "two", calls.to("two"));
        manager.add(0, "zero", calls.to("zero"));
        manager.add(1, "one", calls.to("one"));
        made.on(&mut manager, &["test-id"]);
        assert!(one_reload(manager).await.is_success());
        assert_eq!(calls.with("test-id"), ["zero", "one", "two"], "{made:?}");
    }
}

/// Priorities 10 (fails), 4, 25, 20, 25.
fn with_one_that_fails(manager: &mut Manager, calls: &Calls) {
    manager.add(10, "10", calls.to_failing("10"));
    manager.add(4, "4", calls.to("4"));
    manager.add(25, "25", calls.to("25"));
    manager.add(20, "20", calls.to("20"));
    manager.add(25, "25 too", calls.to("25 too"));
}

/// R6
#[tokio::test(start_paused = true)]
async fn a_group_that_fails_stops_the_later_ones_and_ends_the_run() {
    for made in Made::BOTH {
        let calls = Calls::default();
        let mut manager = Manager::new().on_error(OnError::Stop);
        with_one_that_fails(&mut manager, &calls);
        made.on(&mut manager, &["test-id"]);
        let error = ending(manager).await;
        assert!(error.is_partial());
        assert_eq!(cause(&error), "it is broken");
        assert_eq!(calls.with("test-id"), ["4", "10"], "{made:?}");
    }
}

/// R6, where the policy is to keep going: the report says which were called, and the next reload
/// calls them all again.
#[tokio::test(start_paused = true)]
async fn a_group_that_fails_stops_the_later_ones_and_is_reported() {
    for made in Made::BOTH {
        let calls = Calls::default();
        let mut manager = Manager::new();
        with_one_that_fails(&mut manager, &calls);
        made.on(&mut manager, &["test-id"]);
        let handle = manager.handle();
        let report = one_reload(manager).await;
        assert_eq!(calls.with("test-id"), ["4", "10"], "{made:?}");
        assert_eq!(report.outcome(), Outcome::Partial);
        assert_eq!(report.failure().map(|step| step.name()), Some("10"));
        let actions = report.steps().iter();
        let actions: Vec<_> = actions.map(|step| (step.name(), step.action())).collect();
        let expected = [
            ("4", Action::Ran),
            ("10", Action::Failed),
            ("20", Action::Skipped),
            ("25", Action::Skipped),
            ("25 too", Action::Skipped),
        ];
        assert_eq!(actions, expected, "{made:?}");
        assert_eq!(handle.status().consecutive_failures(), 1);
    }
}

/// R7
#[tokio::test(start_paused = true)]
async fn ending_the_context_ends_the_run_without_an_error() {
    for made in Made::BOTH {
        let calls = Calls::default();
        let mut manager = Manager::new().on_error(OnError::Stop);
        manager.add(0, "reloader", calls.to("reloader"));
        made.on(&mut manager, &[]);
        let context = CancellationToken::new();
        let ended = context.clone();
        let (run, ()) = tokio::join!(manager.run(|_| context.cancelled_owned()), async {
            ended.cancel();
        },);
        run.unwrap();
        assert!(calls.with("").is_empty(), "{made:?}");
    }
}

/// R7, in the middle of a reload. What it is at may end; nothing else is begun.
#[tokio::test(start_paused = true)]
async fn ending_the_context_during_a_reload_ends_the_run_without_an_error() {
    for made in Made::BOTH {
        let calls = Calls::default();
        let mut manager = Manager::new().on_error(OnError::Stop);
        let context = CancellationToken::new();
        let ended = context.clone();
        manager.add(0, "slow", calls.to_slow("slow"));
        manager.add(0, "end", async move |_| ended.cancel());
        manager.add(1, "later", calls.to("later"));
        made.on(&mut manager, &["test-id"]);
        manager.run(|_| context.cancelled_owned()).await.unwrap();
        assert_eq!(calls.with("test-id"), ["slow"], "{made:?}");
    }
}

/// R8
#[tokio::test(start_paused = true)]
async fn negative_priorities_come_before_zero() {
    for made in Made::BOTH {
        let calls = Calls::default();
        let mut manager = Manager::new();
        manager.add(0, "zero", calls.to("zero"));
        manager.add(i32::MAX, "last", calls.to("last"));
        manager.add(-1, "minus one", calls.to("minus one"));
        manager.add(i32::MIN, "first", calls.to("first"));
        manager.add(-10, "minus ten", calls.to("minus ten"));
        made.on(&mut manager, &["test-id"]);
        assert!(one_reload(manager).await.is_success());
        let expected = ["first", "minus ten", "minus one", "zero", "last"];
        assert_eq!(calls.with("test-id"), expected, "{made:?}");
    }
}

/// R9
#[tokio::test(start_paused = true)]
async fn a_group_runs_concurrently_and_the_next_one_after_all_of_it() {
    for made in Made::BOTH {
        let mut manager = Manager::new();
        let start = Instant::now();
        let all_are_here = Arc::new(Barrier::new(3));
        let done = Arc::new(AtomicUsize::new(0));
        for seconds in 1..=3 {
            let (all_are_here, done) = (Arc::clone(&all_are_here), Arc::clone(&done));
            manager.add(0, format!("{seconds} s"), async move |_| {
                // Passed only if all three run at the same time.
                all_are_here.wait().await;
                sleep(Duration::from_secs(seconds)).await;
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
        let seen = Arc::clone(&done);
        manager.add(1, "next", async move |_| {
            assert_eq!(seen.load(Ordering::Relaxed), 3);
            assert_eq!(start.elapsed(), Duration::from_secs(3));
        });
        made.on(&mut manager, &["test-id"]);
        let report = one_reload(manager).await;
        assert!(report.is_success(), "{made:?}: {report}");
        assert_eq!(report.took(), Duration::from_secs(3));
    }
}

/// R9: a group is done when all its members are, also those beside one that failed.
#[tokio::test(start_paused = true)]
async fn a_member_that_fails_does_not_cut_the_others_of_its_group() {
    for made in Made::BOTH {
        let calls = Calls::default();
        let mut manager = Manager::new();
        manager.add(0, "fails", calls.to_failing("fails"));
        manager.add(0, "slow", calls.to_slow("slow"));
        made.on(&mut manager, &["test-id"]);
        let report = one_reload(manager).await;
        assert_eq!(report.outcome(), Outcome::Partial);
        assert_eq!(calls.with("test-id"), ["fails", "slow"], "{made:?}");
    }
}

/// R10, with a function.
#[tokio::test(start_paused = true)]
async fn five_ticks_of_a_function_are_five_reloads() {
    let calls = Calls::default();
    let mut manager = Manager::new();
    manager.add(0, "reloader", calls.to("reloader"));
    manager.on(async || {
        sleep(Duration::from_secs(1)).await;
        Ok("tick".into())
    });
    let start = Instant::now();
    let reports = reloads(manager, 5).await;
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    assert!(reports.iter().all(|report| report.triggers().total() == 1));
    assert_eq!(calls.with("tick"), ["reloader"; 5]);
}

/// R10, with a channel.
#[tokio::test(start_paused = true)]
async fn five_messages_of_a_channel_are_five_reloads() {
    let calls = Calls::default();
    let mut manager = Manager::new();
    manager.add(0, "reloader", calls.to("reloader"));
    let (sender, receiver) = mpsc::channel(1);
    manager.on(receiver);
    let mut reports = manager.handle().subscribe();
    let app = manager.run(async |_| {
        for _ in 0..5 {
            sender.send("tick").await.unwrap();
            let report = reports.next().await.expect("the manager runs");
            assert_eq!(report.triggers().total(), 1);
        }
    });
    app.await.unwrap();
    assert_eq!(calls.with("tick"), ["reloader"; 5]);
}

/// R10: "at once" is while the reload that it asked for still runs, so that nothing is missed.
#[tokio::test(start_paused = true)]
async fn a_notifier_is_asked_again_while_its_reload_runs() {
    let mut manager = Manager::new();
    let asked_again = Arc::new(Notify::new());
    let again = Arc::clone(&asked_again);
    manager.add(0, "reloader", async move |_| again.notified().await);
    let calls = Arc::new(AtomicUsize::new(0));
    manager.on(async move || match calls.fetch_add(1, Ordering::Relaxed) {
        0 => Ok("test-id".into()),
        _ => {
            asked_again.notify_one();
            pending().await
        }
    });
    // If it were asked again only after the reload, that would run into its deadline.
    let report = one_reload(manager).await;
    assert!(report.is_success(), "{report}");
}

/// R11: two tickers of different pace, and two hooks that an HTTP server calls.
#[tokio::test(start_paused = true)]
async fn several_notifiers_trigger_each_with_its_own_id() {
    let calls = Calls::default();
    let mut manager = Manager::new();
    manager.add(0, "reloader", calls.to("reloader"));
    manager.on(async || {
        sleep(Duration::from_secs(2)).await;
        Ok("fast".into())
    });
    manager.on(async || {
        sleep(Duration::from_secs(5)).await;
        Ok("slow".into())
    });
    let (hook, receiver) = mpsc::channel(1);
    manager.on(receiver);
    let (other_hook, receiver) = mpsc::channel(1);
    manager.on(receiver);
    let app = manager.run(async |_| {
        sleep(Duration::from_secs(3)).await;
        hook.send("webhook").await.unwrap();
        sleep(Duration::from_secs(4)).await;
        other_hook.send("admin").await.unwrap();
        sleep(Duration::from_secs(2)).await;
    });
    app.await.unwrap();
    let calls = calls.0.lock().unwrap();
    let triggers: Vec<_> = calls.iter().map(|call| call.1.as_str()).collect();
    assert_eq!(
        triggers,
        ["fast", "webhook", "fast", "slow", "fast", "admin", "fast"]
    );
}

/// R11, with a signal among them.
#[cfg(all(unix, feature = "signal"))]
#[tokio::test]
async fn a_signal_triggers_beside_other_notifiers() {
    use rekindle::notify::SignalKind;

    let mut manager = Manager::new();
    manager.on(notify::signal(SignalKind::user_defined2()).unwrap());
    manager.on(notify::interval(Duration::from_millis(5)));
    let (hook, receiver) = mpsc::channel(1);
    manager.on(receiver);
    let mut reports = manager.handle().subscribe();
    let app = manager.run(async |_| {
        hook.send("webhook").await.unwrap();
        let pid = std::process::id().to_string();
        let kill = std::process::Command::new("kill")
            .args(["-USR2", &pid])
            .status();
        assert!(kill.unwrap().success());
        let mut missing = vec!["webhook", "interval", "sigusr2"];
        while !missing.is_empty() {
            let report = reports.next().await.expect("the manager runs");
            missing.retain(|id| !report.triggers().contains(id));
        }
    });
    app.await.unwrap();
}

/// R12
#[tokio::test(start_paused = true)]
async fn no_two_reloads_run_at_the_same_time() {
    for made in Made::BOTH {
        let mut manager = Manager::new();
        let running = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let highest = Arc::clone(&most);
        manager.add(0, "reloader", async move |_| {
            let now = running.fetch_add(1, Ordering::Relaxed) + 1;
            highest.fetch_max(now, Ordering::Relaxed);
            sleep(Duration::from_secs(1)).await;
            running.fetch_sub(1, Ordering::Relaxed);
        });
        for _ in 0..3 {
            made.on(&mut manager, &["a", "b", "c", "d"]);
        }
        manager.on(notify::interval(Duration::from_millis(300)));
        let handle = manager.handle();
        let app = manager.run(async move |_| ask_all_the_time(&handle).await);
        app.await.unwrap();
        assert_eq!(most.load(Ordering::Relaxed), 1, "{made:?}");
    }
}

/// Four times ten callers, half a second apart.
async fn ask_all_the_time(handle: &Handle) {
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        for _ in 0..10 {
            let handle = handle.clone();
            callers.spawn(async move { handle.reload("caller").await });
        }
        sleep(Duration::from_millis(500)).await;
    }
    for answer in callers.join_all().await {
        answer.unwrap();
    }
}

/// R13
#[tokio::test(start_paused = true)]
async fn a_manager_without_reloaders_runs_and_stops() {
    for made in Made::BOTH {
        let mut manager = Manager::new().on_error(OnError::Stop);
        made.on(&mut manager, &["test-id"]);
        let report = one_reload(manager).await;
        assert_eq!(report.outcome(), Outcome::Unchanged, "{made:?}");
        assert!(report.triggers().contains("test-id"));
        assert!(report.steps().is_empty());
    }
}

/// R13: whatever the shutdown timeout is.
#[tokio::test(start_paused = true)]
async fn a_manager_without_anything_runs_and_stops() {
    let manager = Manager::new();
    manager.run(async |_| ()).await.unwrap();
    let manager = Manager::new()
        .shutdown_timeout(Duration::MAX)
        .timeout(Duration::MAX);
    let handle = manager.handle();
    let app = manager.run(async move |_| {
        handle.reload("test-id").await?;
        Ok(())
    });
    app.await.unwrap();
}

/// R14, with a function.
#[tokio::test(start_paused = true)]
async fn a_function_that_waits_at_the_end_does_not_outlive_the_run() {
    let mut manager = Manager::new();
    let held = Arc::new(Notify::new());
    let waiting = Arc::clone(&held);
    let begun = Arc::new(Notify::new());
    let begins = Arc::clone(&begun);
    manager.on(async move || {
        begins.notify_one();
        waiting.notified().await;
        Ok("never".into())
    });
    let start = Instant::now();
    manager.run(async |_| begun.notified().await).await.unwrap();
    assert_eq!(Arc::strong_count(&held), 1);
    // Nobody waited for it either.
    assert_eq!(start.elapsed(), Duration::ZERO);
}

/// R14, with a channel.
#[tokio::test(start_paused = true)]
async fn a_channel_that_is_open_at_the_end_does_not_outlive_the_run() {
    let mut manager = Manager::new();
    let (sender, receiver) = mpsc::channel::<Trigger>(1);
    manager.on(receiver);
    let app = manager.run(async |_| {
        assert!(!sender.is_closed());
        // With a paused clock this is over when the notifier waits.
        sleep(Duration::from_secs(1)).await;
    });
    app.await.unwrap();
    assert!(sender.is_closed());
}
