//! Probation: a generation that does not prove itself is replaced by the values of the previous one,
//! tasks and all.

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rekindle::{BoxError, Lease, Manager, Outcome};
use support::{Automatic, Dial, eventually, in_time};
use tokio_util::sync::CancellationToken;

#[derive(Clone, Default)]
struct Trace(Arc<Mutex<Vec<String>>>);

impl Trace {
    fn note(&self, event: String) {
        self.0.lock().unwrap().push(event);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    async fn has(&self, event: &str) {
        let has = || self.0.lock().unwrap().iter().any(|seen| seen == event);
        eventually(event, has).await;
    }
}

/// A probe that the test makes fail.
#[derive(Clone, Default)]
struct Health {
    sick: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Health {
    fn set(&self, well: bool) {
        self.sick.store(!well, Ordering::SeqCst);
    }

    async fn probe(&self) -> Result<(), BoxError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match self.sick.load(Ordering::SeqCst) {
            true => Err("too many errors".into()),
            false => Ok(()),
        }
    }
}

fn manager(duration: Duration, health: &Health) -> Manager {
    let health = health.clone();
    Manager::new().probation(duration, async move || health.probe().await)
}

/// The probe fails only when that has happened: a task may be told to stop before it has begun.
fn manager_that_waits(health: &Health, trace: &Trace, event: &'static str) -> Manager {
    let (health, trace) = (health.clone(), trace.clone());
    Manager::new().probation(SHORT, async move || {
        let well = health.probe().await;
        if well.is_err() {
            trace.has(event).await;
        }
        well
    })
}

const SHORT: Duration = Duration::from_millis(20);

#[tokio::test]
async fn a_generation_that_fails_is_rolled_back_with_its_tasks_and_effects() {
    let (dial, trace, health) = (Dial::new(1), Trace::default(), Health::default());
    let mut reload = manager_that_waits(&health, &trace, "start 20");
    let number = reload.source("number", dial.clone()).await.unwrap();
    let (ran, retired, pushed, hooked) =
        (trace.clone(), trace.clone(), trace.clone(), trace.clone());
    let worker = reload
        .derive("worker", &number, async |n: Lease<u64>| Ok(*n * 10))
        .runs(async move |n: Lease<u64>, stop: CancellationToken| {
            ran.note(format!("start {}", *n));
            stop.cancelled().await;
            ran.note(format!("stop {}", *n));
        })
        .retire(async move |n: u64| retired.note(format!("retire {n}")))
        .await
        .unwrap();
    let push = async move |n: Lease<u64>| pushed.note(format!("push {}", *n));
    reload.apply("gauge", &number, push).await.unwrap();
    reload.add(0, "hook", async move |_| hooked.note("hook".into()));
    let handle = reload.handle();
    let mut automatic = Automatic::new(&mut reload);
    let seen = trace.clone();
    let run = reload.run(async move |_| {
        seen.has("start 10").await;
        seen.take();
        let (before, was) = (worker.lease(), std::ptr::from_ref(&*worker.load()).addr());

        dial.set(2);
        health.set(false);
        let error = handle.reload("bad").await.unwrap_err();
        assert!(error.is_rolled_back());
        assert_eq!(
            format!("{error:?}"),
            "the reload was rolled_back: `probation` failed: too many errors"
        );
        let report = error.report().unwrap();
        assert_eq!(
            (report.outcome(), report.generation()),
            (Outcome::RolledBack, 3)
        );
        assert_eq!(
            (*number.load(), *worker.load(), worker.load().generation()),
            (1, 10, 3)
        );
        assert_eq!(
            std::ptr::from_ref(&*worker.load()).addr(),
            was,
            "the same instance"
        );
        for event in [
            "stop 10",
            "start 20",
            "push 2",
            "push 1",
            "stop 20",
            "start 10",
            "retire 20",
        ] {
            seen.has(event).await;
        }
        assert!(!seen.take().contains(&"hook".into()), "it cannot be undone");
        assert_eq!(
            handle.status().draining().len(),
            0,
            "what is current again does not drain"
        );
        let still = tokio::time::timeout(Duration::from_millis(20), before.replaced());
        assert!(still.await.is_err(), "it is current");

        // It is held back until it changes.
        health.set(true);
        let report = automatic.reload().await;
        assert_eq!(report.outcome(), Outcome::Rejected);
        let refused = "`number` is as it was when it failed probation; edit it or request a reload";
        let failure = report.failure().unwrap();
        assert_eq!(failure.name(), "probation");
        assert_eq!(failure.error().unwrap().chain(), refused);
        assert_eq!(handle.status().generation(), 3);
        dial.set(3);
        let report = handle.reload("edited").await?;
        assert_eq!(
            (report.outcome(), report.generation()),
            (Outcome::Applied, 4)
        );
        seen.has("hook").await;
        in_time(before.replaced()).await;
        dial.set(2);
        let report = handle.reload("another combination").await?;
        assert_eq!(report.outcome(), Outcome::Applied);
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn an_effect_that_fails_is_a_reason_too() {
    let dial = Dial::new(1);
    let mut reload = manager(SHORT, &Health::default());
    let number = reload.source("number", dial.clone()).await.unwrap();
    let trace = Trace::default();
    let pushed = trace.clone();
    let push = async move |n: Lease<u64>| {
        pushed.note(format!("push {}", *n));
        match *n {
            2 => Err("two is refused".into()),
            _ => Ok(()),
        }
    };
    reload.apply("gauge", &number, push).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        trace.take();
        dial.set(2);
        let error = handle.reload("bad").await.unwrap_err();
        assert!(error.is_rolled_back(), "{error:?}");
        assert_eq!(error.report().unwrap().failure().unwrap().name(), "gauge");
        assert_eq!(trace.take(), ["push 2", "push 1"]);
        assert_eq!(*number.load(), 1);
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn a_probe_that_panics_or_takes_too_long_fails() {
    for hangs in [true, false] {
        let dial = Dial::new(1);
        let timeout = Duration::from_millis(20);
        let probe = async move || match hangs {
            true => std::future::pending().await,
            false => assert!(hangs, "in the probe"),
        };
        let mut reload = Manager::new().probation(SHORT, probe).timeout(timeout);
        let number = reload.source("number", dial.clone()).await.unwrap();
        let handle = reload.handle();
        let run = reload.run(async move |_| {
            dial.set(2);
            assert!(handle.reload("bad").await.unwrap_err().is_rolled_back());
            assert_eq!(*number.load(), 1);
            Ok(())
        });
        in_time(run).await.unwrap();
    }
}

#[tokio::test]
async fn a_reload_that_is_asked_for_forces_the_verdict() {
    let (dial, health) = (Dial::new(1), Health::default());
    let mut reload = manager(Duration::from_secs(3600), &health);
    let number = reload.source("number", dial.clone()).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |stop| {
        for well in [true, false] {
            let before = *number.load();
            let asked = health.asked.load(Ordering::SeqCst);
            dial.set(before + 1);
            let first = tokio::spawn({
                let handle = handle.clone();
                async move { handle.reload("first").await }
            });
            let probed = || health.asked.load(Ordering::SeqCst) > asked;
            eventually("it is probed", probed).await;
            assert_eq!(*number.load(), before + 1, "it is live");
            assert!(handle.status().is_on_probation());
            health.set(well);
            let second = tokio::spawn({
                let handle = handle.clone();
                async move { handle.reload("second").await }
            });
            let first = first.await?;
            match well {
                true => assert_eq!(first?.outcome(), Outcome::Applied),
                false => assert!(first.unwrap_err().is_rolled_back()),
            }
            // The second one runs after the verdict: nothing changed, or it fails again.
            match well {
                true => assert_eq!(second.await??.outcome(), Outcome::Unchanged),
                false => assert!(second.await?.unwrap_err().is_rolled_back()),
            }
            assert_eq!(*number.load(), if well { before + 1 } else { before });
            assert!(!handle.status().is_on_probation());
        }
        stop.cancel();
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn at_a_stop_the_new_generation_stays() {
    let (dial, health) = (Dial::new(1), Health::default());
    let mut reload = manager(Duration::from_secs(3600), &health);
    let number = reload.source("number", dial.clone()).await.unwrap();
    let handle = reload.handle();
    let live = number.clone();
    let run = reload.run(async move |stop| {
        dial.set(2);
        handle.trigger("test");
        let probed = || health.asked.load(Ordering::SeqCst) > 0;
        eventually("it is probed", probed).await;
        stop.cancel();
    });
    in_time(run).await.unwrap();
    assert_eq!(*live.load(), 2);
}

/// No probe, no wait: nothing was committed that could fail.
#[tokio::test]
async fn a_reload_that_changes_nothing_is_not_on_probation() {
    let health = Health::default();
    let mut reload = manager(Duration::from_secs(3600), &health);
    reload.source("number", Dial::new(1)).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        assert_eq!(handle.reload("test").await?.outcome(), Outcome::Unchanged);
        assert_eq!(handle.check().await?.outcome(), Outcome::Unchanged);
        assert_eq!(health.asked.load(Ordering::SeqCst), 0);
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn a_collection_is_rolled_back_key_by_key() {
    let (dial, health, trace) = (Dial::new(12), Health::default(), Trace::default());
    let mut reload = manager_that_waits(&health, &trace, "start 3");
    let number = reload.source("number", dial.clone()).await.unwrap();
    let (ran, retired) = (trace.clone(), trace.clone());
    // One key for each digit.
    let digits = reload
        .each(
            "digits",
            &number,
            |n: Lease<u64>| n.to_string().chars().map(|digit| (digit, ())).collect(),
            async |digit: char, ()| Ok(digit),
        )
        .runs(async move |digit: Lease<char>, stop: CancellationToken| {
            ran.note(format!("start {}", *digit));
            stop.cancelled().await;
            ran.note(format!("stop {}", *digit));
        })
        .retire(async move |digit: char| retired.note(format!("retire {digit}")))
        .await
        .unwrap();
    let handle = reload.handle();
    let seen = trace.clone();
    let run = reload.run(async move |_| {
        seen.has("start 2").await;
        seen.take();
        let two = digits.load().get(&'2').unwrap().clone();
        dial.set(13);
        health.set(false);
        assert!(handle.reload("bad").await.unwrap_err().is_rolled_back());
        for event in ["stop 2", "start 3", "stop 3", "retire 3", "start 2"] {
            seen.has(event).await;
        }
        let events = seen.take();
        assert!(
            !events.iter().any(|event| event.ends_with('1')),
            "{events:?}"
        );
        let keys: String = digits.load().iter().map(|(digit, _)| digit).collect();
        assert_eq!(keys, "12");
        let still = tokio::time::timeout(Duration::from_millis(20), two.replaced());
        assert!(still.await.is_err(), "it is current");
        assert!(handle.status().draining().is_empty());
        Ok(())
    });
    in_time(run).await.unwrap();
}
