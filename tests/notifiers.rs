//! The notifiers, without a manager.

use std::sync::Arc;
use std::time::Duration;

use rekindle::{BoxError, Notifier, Trigger, notify};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, assert_ready, task::spawn};

async fn next(notifier: &mut impl Notifier) -> Trigger {
    notifier.notify().await.unwrap()
}

/// R10: it is called again after each trigger.
#[tokio::test]
async fn a_closure_is_called_again() {
    let asked = Arc::new(Notify::new());
    let ask = Arc::clone(&asked);
    let mut notifier = async move || {
        asked.notified().await;
        Ok("asked".into())
    };
    for _ in 0..5 {
        assert_pending!(spawn(notifier.notify()).poll());
        ask.notify_one();
        assert_eq!(next(&mut notifier).await.as_str(), "asked");
    }
}

#[tokio::test]
async fn a_closure_that_fails_passes_its_error_on() {
    let mut notifier = async || {
        "x".parse::<u32>()?;
        Ok("never".into())
    };
    let error: BoxError = notifier.notify().await.unwrap_err();
    assert!(error.is::<std::num::ParseIntError>());
}

#[tokio::test]
async fn a_message_is_a_trigger_and_a_closed_channel_is_silent() {
    let (sender, mut bounded) = mpsc::channel::<&str>(2);
    sender.send("a").await.unwrap();
    sender.send("b").await.unwrap();
    drop(sender);
    assert_eq!(bounded.name(), "channel");
    assert_eq!(next(&mut bounded).await.as_str(), "a");
    assert_eq!(next(&mut bounded).await.as_str(), "b");
    assert_pending!(spawn(bounded.notify()).poll());

    let (sender, mut unbounded) = mpsc::unbounded_channel::<String>();
    sender.send("c".to_owned()).unwrap();
    drop(sender);
    assert_eq!(unbounded.name(), "channel");
    assert_eq!(next(&mut unbounded).await.as_str(), "c");
    assert_pending!(spawn(unbounded.notify()).poll());
}

#[tokio::test(start_paused = true)]
async fn an_interval_triggers_after_each_period() {
    let mut notifier = notify::interval(Duration::from_secs(5));
    assert_eq!(notifier.name(), "interval 5s");
    let start = Instant::now();
    for tick in 1..=5 {
        assert_eq!(next(&mut notifier).await.as_str(), "interval");
        assert_eq!(start.elapsed(), tick * Duration::from_secs(5));
    }
}

#[tokio::test(start_paused = true)]
async fn an_interval_does_not_make_up_for_missed_ticks() {
    let period = Duration::from_secs(5);
    let mut notifier = notify::interval(period);
    next(&mut notifier).await;
    // Less than a period late: the grid is kept.
    advance(Duration::from_secs(7)).await;
    let start = Instant::now();
    next(&mut notifier).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    next(&mut notifier).await;
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    // More than a period late: one tick at once, and then none before a whole period.
    advance(Duration::from_secs(60)).await;
    let start = Instant::now();
    next(&mut notifier).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    next(&mut notifier).await;
    assert_eq!(start.elapsed(), period);
}

#[tokio::test(start_paused = true)]
async fn an_interval_that_was_asked_and_not_awaited_keeps_its_tick() {
    let mut notifier = notify::interval(Duration::from_secs(5));
    assert_pending!(spawn(notifier.notify()).poll());
    advance(Duration::from_secs(5)).await;
    assert_ready!(spawn(notifier.notify()).poll()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_interval_longer_than_the_clock_is_silent() {
    let mut notifier = notify::interval(Duration::MAX);
    assert_pending!(spawn(notifier.notify()).poll());
}

#[test]
#[should_panic(expected = "must not be zero")]
fn an_interval_of_zero_is_refused() {
    let _ = notify::interval(Duration::ZERO);
}

#[cfg(all(unix, feature = "signal"))]
mod process;

#[cfg(all(unix, feature = "signal"))]
mod signal {
    use rekindle::notify::{self, Notifier, SignalKind};
    use tokio_test::{assert_pending, task::spawn};

    use super::next;
    use super::process::{Process, kill};

    #[tokio::main(flavor = "current_thread")]
    async fn block_on<F: Future>(future: F) -> F::Output {
        future.await
    }

    #[test]
    fn a_signal_during_the_start_up_is_kept() {
        if let Some(mut process) = Process::of("signal::a_signal_during_the_start_up_is_kept") {
            process.waits_for("listening");
            process.kill("HUP");
            process.waits_for("trigger sighup");
            assert_eq!(process.ends(), (Some(0), String::new()));
            return;
        }
        // No runtime is around.
        let mut notifier = notify::signal(SignalKind::hangup()).unwrap();
        assert_eq!(notifier.name(), "signal SIGHUP");
        say("listening");
        say(&format!("trigger {}", block_on(next(&mut notifier))));
    }

    #[test]
    fn several_signals_at_once_are_one_trigger() {
        if let Some(process) = Process::of("signal::several_signals_at_once_are_one_trigger") {
            assert_eq!(process.ends(), (Some(0), String::new()));
            return;
        }
        let mut notifier = notify::signal(SignalKind::user_defined1()).unwrap();
        let mut other = notify::signal(SignalKind::user_defined1()).unwrap();
        for _ in 0..3 {
            kill(std::process::id(), "USR1");
            // It has been passed on to all when it is here.
            block_on(next(&mut other));
        }
        assert_eq!(block_on(next(&mut notifier)).as_str(), "sigusr1");
        assert_pending!(spawn(notifier.notify()).poll());
    }

    #[test]
    fn a_signal_that_cannot_be_heard_is_an_error_at_once() {
        notify::signal(SignalKind::from_raw(9)).unwrap_err();
    }

    #[allow(clippy::print_stdout, reason = "this is how the processes talk")]
    fn say(line: &str) {
        println!("{line}");
    }
}
