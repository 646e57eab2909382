//! The apply phase: effects that are due, and reloaders, by the rules.

mod support;

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use rekindle::{Action, Error, Lease, Manager, OnError, Outcome, Triggers};
use support::{Dial, in_time};

#[tokio::test]
async fn an_effect_runs_at_the_start_and_then_when_its_inputs_changed() {
    let dial = Dial::new(10);
    let pushed = Arc::new(Mutex::new(Vec::new()));
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let push = Arc::clone(&pushed);
    let effect = async move |tens: u64| push.lock().unwrap().push(tens);
    reload
        .apply("push", number.map(|n| n / 10), effect)
        .await
        .unwrap();
    assert_eq!(*pushed.lock().unwrap(), [1]);
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        for value in [10, 11, 20, 21, 10] {
            dial.set(value);
            handle.reload("test").await?;
        }
        assert_eq!(*pushed.lock().unwrap(), [1, 2, 1]);
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn an_effect_that_failed_or_was_skipped_is_tried_again_until_it_ran_well() {
    let dial = Dial::new(1);
    let broken = Arc::new(AtomicBool::new(false));
    let pushed = Arc::new(AtomicU64::new(0));
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let (fails, push) = (Arc::clone(&broken), Arc::clone(&pushed));
    let effect = async move |n: Lease<u64>| {
        if fails.load(Ordering::SeqCst) {
            return Err("no".into());
        }
        push.store(*n, Ordering::SeqCst);
        Ok(())
    };
    reload.apply("push", &number, effect).await.unwrap();
    reload.add(0, "later", async |_| Ok(()));
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        broken.store(true, Ordering::SeqCst);
        dial.set(2);
        for outcome in [
            "partial: the value changed",
            "partial: nothing changed since",
        ] {
            let error = handle.reload("test").await.unwrap_err();
            assert!(error.is_partial(), "{outcome}");
            let report = error.report().unwrap();
            assert_eq!(report.step("push").unwrap().action(), Action::Failed);
            assert_eq!(report.step("later").unwrap().action(), Action::Skipped);
        }
        assert_eq!(
            (*number.load(), handle.status().consecutive_failures()),
            (2, 2)
        );
        broken.store(false, Ordering::SeqCst);
        let report = handle.reload("test").await?;
        assert_eq!(report.outcome(), Outcome::Unchanged);
        assert_eq!(report.step("push").unwrap().action(), Action::Ran);
        assert_eq!(pushed.load(Ordering::SeqCst), 2);
        assert_eq!(handle.status().consecutive_failures(), 0);
        assert!(handle.reload("test").await?.step("push").is_none());
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn an_effect_that_failed_half_way_is_run_again_though_its_inputs_are_what_they_were() {
    let dial = Dial::new(1);
    let pushed = Arc::new(AtomicU64::new(0));
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let push = Arc::clone(&pushed);
    let effect = async move |n: u64| {
        push.store(n, Ordering::SeqCst);
        if n == 13 {
            Err("half-way".into())
        } else {
            Ok(())
        }
    };
    reload
        .apply("push", number.select(|n| n), effect)
        .await
        .unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(13);
        assert!(handle.reload("test").await.unwrap_err().is_partial());
        assert_eq!(pushed.load(Ordering::SeqCst), 13);
        dial.set(1);
        assert_eq!(handle.reload("test").await?.outcome(), Outcome::Applied);
        assert_eq!(pushed.load(Ordering::SeqCst), 1);
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn effects_and_reloaders_read_the_new_generation_through_plain_loads() {
    let dial = Dial::new(1);
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (note, reads) = (Arc::clone(&seen), number.clone());
    let effect = async move |n: Lease<u64>| note.lock().unwrap().push((*n, *reads.load()));
    reload.apply("effect", &number, effect).await.unwrap();
    let (note, reads) = (Arc::clone(&seen), number.clone());
    let reloader = async move |_: Triggers| note.lock().unwrap().push((0, *reads.load()));
    reload.add(0, "reloader", reloader);
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(2);
        handle.reload("test").await?;
        assert_eq!(*seen.lock().unwrap(), [(1, 1), (2, 2), (0, 2)]);
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_reloader_that_takes_too_long_or_panics_makes_the_reload_partial_and_is_named() {
    let mut reload = Manager::new();
    let slow = async |_: Triggers| std::future::pending::<()>().await;
    reload.add(0, "slow", slow).timeout(Duration::from_secs(5));
    reload.add(0, "bad", async |triggers: Triggers| {
        assert_eq!(triggers.total(), 0);
    });
    reload.add(0, "good", async |_| Ok(()));
    reload.add(1, "later", async |_| Ok(()));
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        let error = handle.reload("test").await.unwrap_err();
        let report = error.report().unwrap();
        assert_eq!(report.outcome(), Outcome::Partial);
        assert_eq!(report.took().as_secs(), 5);
        assert!(report.step("slow").unwrap().error().unwrap().is_timeout());
        assert!(report.step("bad").unwrap().error().unwrap().is_panic());
        assert_eq!(report.step("good").unwrap().action(), Action::Ran);
        assert_eq!(report.step("later").unwrap().action(), Action::Skipped);
        Ok(())
    });
    run.await.unwrap();
}

#[tokio::test]
async fn where_the_policy_is_to_stop_the_first_failed_reload_ends_the_run_with_its_error() {
    let mut reload = Manager::new().on_error(OnError::Stop);
    reload.add(0, "bad", async |_| Err("no".into()));
    let handle = reload.handle();
    let run = reload.run(|stop| {
        handle.trigger("test");
        stop.cancelled_owned()
    });
    let error = in_time(run).await.unwrap_err();
    let error = error.downcast_ref::<Error>().unwrap();
    assert!(error.is_partial());
    assert_eq!(
        format!("{error:?}"),
        "the reload was partial: `bad` failed: no"
    );
}

#[tokio::test]
async fn the_app_s_own_error_or_panic_is_what_run_returns() {
    let error = Manager::new()
        .run(async |_| Err::<(), _>("my own".into()))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "my own");
    let app = async |stop: tokio_util::sync::CancellationToken| assert!(stop.is_cancelled());
    let error = Manager::new().run(app).await.unwrap_err();
    assert_eq!(error.to_string(), "the app panicked");
}

#[tokio::test(start_paused = true)]
async fn an_effect_does_not_pay_for_the_comparisons_of_the_others() {
    const WHILE: Duration = Duration::from_millis(30);
    #[derive(Clone)]
    struct SlowToCompare(u64);
    impl PartialEq for SlowToCompare {
        fn eq(&self, other: &Self) -> bool {
            // The clock goes on with the first poll.
            let goes_on = pin!(tokio::time::advance(WHILE));
            let _ = goes_on.poll(&mut Context::from_waker(Waker::noop()));
            self.0 == other.0
        }
    }
    let dial = Dial::new(1);
    let mut reload = Manager::new().timeout(2 * WHILE);
    let number = reload.source("number", dial.clone()).await.unwrap();
    for name in ["one", "two", "three"] {
        let effect = async |_| tokio::time::sleep(WHILE).await;
        let input = number.map(|n| SlowToCompare(*n));
        reload.apply(name, input, effect).await.unwrap();
    }
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(2);
        let report = handle.reload("test").await?;
        for name in ["one", "two", "three"] {
            assert!(report.step(name).unwrap().took() < 2 * WHILE, "{report}");
        }
        assert!(report.took() >= 4 * WHILE, "{report}");
        Ok(())
    });
    in_time(run).await.unwrap();
}
