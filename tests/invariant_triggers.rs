//! Invariants 4, 5 and 6: no lost trigger, no storm, a truthful answer to everyone who asked.

mod support;

use std::time::SystemTime;

use rekindle::{Manager, Outcome, Trigger};
use support::{Dial, Latch, eventually, in_time};
use tokio::task::JoinSet;

/// A manager with a dial, whose reloads wait at the latch after having read the dial.
async fn latched(dial: &Dial, latch: &Latch) -> (Manager, rekindle::Live<u64>) {
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let latch = latch.clone();
    let waits = async move |_: rekindle::Triggers| latch.pass().await;
    reload.add(0, "waits", waits);
    (reload, number)
}

#[tokio::test]
async fn invariant_4_a_trigger_during_a_reload_leads_to_a_reload_that_starts_after_it() {
    let (dial, latch) = (Dial::new(1), Latch::new());
    let (reload, number) = latched(&dial, &latch).await;
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        latch.close();
        handle.trigger("first");
        latch.arrival().await;
        // The reload that runs has read the dial already.
        dial.set(2);
        handle.trigger("second");
        latch.open();
        eventually("the second trigger is answered", || *number.load() == 2).await;
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_4_whatever_was_set_before_a_trigger_is_loaded_in_the_end() {
    let dial = Dial::new(0);
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        for value in 1..=2_000 {
            dial.set(value);
            handle.trigger("set");
            if value % 7 == 0 {
                tokio::task::yield_now().await;
            }
            if value % 100 == 0 {
                eventually("the last value is loaded", || *number.load() == value).await;
            }
        }
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn invariant_5_any_number_of_triggers_during_one_reload_make_one_more() {
    let (dial, latch) = (Dial::new(1), Latch::new());
    let (reload, _) = latched(&dial, &latch).await;
    let handle = reload.handle();
    let mut reports = handle.subscribe();
    let run = reload.run(async move |_| {
        latch.close();
        handle.trigger("first");
        latch.arrival().await;
        for n in 0..1_000 {
            handle.trigger(format!("number {}", n % 20));
        }
        latch.open();
        assert_eq!(
            reports.next().await.unwrap().triggers().to_string(),
            "first"
        );
        let second = reports.next().await.unwrap();
        assert_eq!(second.triggers().total(), 1_000);
        assert_eq!(
            second.triggers().iter().count(),
            16,
            "16 different ones are named"
        );
        assert_eq!(
            second.triggers().unnamed(),
            4 * 50,
            "the others are counted"
        );
        // The first read, and two reloads. One that is asked for now is the fourth.
        handle.reload("last").await?;
        assert_eq!(dial.reads(), 4);
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_6_everyone_is_told_the_outcome_of_a_reload_that_began_after_the_question() {
    let (dial, latch) = (Dial::new(1), Latch::new());
    let (reload, _) = latched(&dial, &latch).await;
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        latch.close();
        handle.trigger("first");
        latch.arrival().await;
        dial.break_with("the dial is broken");
        let mut callers = JoinSet::new();
        let asked_all = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
        for _ in 0..1_000 {
            let (handle, asked_all) = (handle.clone(), std::sync::Arc::clone(&asked_all));
            callers.spawn(async move {
                let asked = SystemTime::now();
                asked_all.add_permits(1);
                (asked, handle.reload("caller").await)
            });
        }
        // Some may ask a little later, of the reload after the next.
        asked_all.acquire_many(1_000).await?.forget();
        latch.open();
        let mut answers = 0;
        while let Some(answer) = callers.join_next().await {
            let (asked, answer) = answer.unwrap();
            let error = answer.unwrap_err();
            let report = error.report().expect("everyone is told the outcome");
            assert_eq!(report.outcome(), Outcome::Rejected);
            assert!(
                report.started() >= asked,
                "the reload began after the question"
            );
            answers += 1;
        }
        assert_eq!(answers, 1_000);
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn invariant_6_a_caller_that_goes_away_cancels_nothing() {
    let (dial, latch) = (Dial::new(1), Latch::new());
    let (reload, number) = latched(&dial, &latch).await;
    let handle = reload.handle();
    let mut reports = handle.subscribe();
    let run = reload.run(async move |_| {
        latch.close();
        dial.set(2);
        let running = tokio::spawn({
            let handle = handle.clone();
            async move { handle.reload("gone while it runs").await }
        });
        latch.arrival().await;
        let pending = tokio::spawn({
            let handle = handle.clone();
            async move { handle.reload("gone before it runs").await }
        });
        // The queue holds the second request once its task was polled.
        tokio::task::yield_now().await;
        running.abort();
        pending.abort();
        assert!(running.await.unwrap_err().is_cancelled());
        assert!(pending.await.unwrap_err().is_cancelled());
        latch.open();
        assert_eq!(reports.next().await.unwrap().outcome(), Outcome::Applied);
        let second = reports.next().await.unwrap();
        assert!(second.triggers().contains("gone before it runs"));
        assert_eq!(*number.load(), 2);
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn invariant_6_who_waits_when_the_manager_stops_or_never_runs_is_told() {
    let reload = Manager::new();
    let handle = reload.handle();
    let waiting = tokio::spawn(async move { handle.reload("before the run").await });
    tokio::task::yield_now().await;
    drop(reload);
    assert!(in_time(waiting).await.unwrap().unwrap_err().is_stopped());

    let reload = Manager::new();
    let handle = reload.handle();
    reload.run(async |_| Ok(())).await.unwrap();
    assert!(
        in_time(handle.reload("after the run"))
            .await
            .unwrap_err()
            .is_stopped()
    );
    assert!(in_time(handle.check()).await.unwrap_err().is_stopped());
    assert!(handle.status().is_stopping());
}

#[tokio::test]
async fn invariant_6_waiting_for_a_reload_inside_a_reload_is_an_error_and_asking_is_not() {
    let dial = Dial::new(1);
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let handle = reload.handle();
    let inner = handle.clone();
    let build = async move |n: rekindle::Lease<u64>| {
        if *n == 2 {
            inner.trigger("from inside");
            assert!(
                inner
                    .reload("from inside")
                    .await
                    .unwrap_err()
                    .is_reentrant()
            );
            assert!(inner.check().await.unwrap_err().is_reentrant());
        }
        Ok(*n)
    };
    reload.derive("asks", &number, build).await.unwrap();
    let mut reports = handle.subscribe();
    let run = reload.run(async move |_| {
        dial.set(2);
        handle.reload("outside").await?;
        reports.next().await.unwrap();
        let second = reports.next().await.unwrap();
        assert_eq!(
            second.triggers().iter().next(),
            Some(&Trigger::from("from inside"))
        );
        Ok(())
    });
    in_time(run).await.unwrap();
}
