//! Invariants 1 and 2: all or nothing, and a refusal changes nothing.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rekindle::{Action, Handle, Live, Manager, Outcome, StepError};
use support::{Dial, Latch, in_time};

/// Two components from one source; the second one refuses 13.
async fn pair(reload: &mut Manager, dial: &Dial) -> (Live<u64>, Live<u64>) {
    let number = reload.source("number", dial.clone()).await.unwrap();
    let first = reload
        .derive("first", &number, async |n| Ok(*n))
        .await
        .unwrap();
    let second = async |n: rekindle::Lease<u64>| match *n {
        13 => Err("thirteen brings bad luck".into()),
        n => Ok(n),
    };
    let second = reload.derive("second", &number, second).await.unwrap();
    (first, second)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_1_no_reader_sees_a_part_of_a_refused_reload_or_a_mixed_generation() {
    let dial = Dial::new(0);
    let mut reload = Manager::new();
    let (first, second) = pair(&mut reload, &dial).await;
    let handle = reload.handle();
    let done = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (done, handle) = (Arc::clone(&done), handle.clone());
        move || {
            let mut seen = 0;
            while !done.load(Ordering::Relaxed) {
                let now = handle.snapshot();
                assert_eq!(now.get(&first), now.get(&second));
                assert_ne!(*now.get(&first), 13);
                assert_ne!(*first.load(), 13);
                seen = seen.max(*now.get(&first));
            }
            seen
        }
    });
    let run = reload.run(async move |_| {
        for round in 1..=500 {
            dial.set(13);
            assert!(handle.reload("bad").await.unwrap_err().is_rejected());
            dial.set(100 + round);
            assert_eq!(handle.reload("good").await?.outcome(), Outcome::Applied);
        }
        Ok(())
    });
    in_time(run).await.unwrap();
    done.store(true, Ordering::Relaxed);
    assert!(reader.join().unwrap() > 100, "the reader has seen reloads");
}

/// Checks that nothing has happened, and that the next good reload needs no help.
async fn assert_nothing_happened(handle: &Handle, dial: &Dial, live: &Live<u64>) {
    assert_eq!(handle.status().generation(), 1);
    assert_eq!(*live.load(), 1);
    dial.set(2);
    let report = handle.reload("good").await.unwrap();
    assert_eq!(
        (report.generation(), report.outcome()),
        (2, Outcome::Applied)
    );
    assert_eq!(*live.load(), 2);
}

/// Makes a component that refuses 13 in its own way, and asks for a reload with 13.
async fn refused<F>(fail: F, check: impl FnOnce(&StepError))
where
    F: FnOnce() -> Result<u64, rekindle::BoxError> + Clone + Send + Sync + 'static,
{
    let dial = Dial::new(1);
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let build = async move |n: rekindle::Lease<u64>| match *n {
        13 => fail(),
        n => Ok(n),
    };
    let live = reload.derive("picky", &number, build).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(13);
        let error = handle.reload("bad").await.unwrap_err();
        assert!(error.is_rejected(), "{error:?}");
        let report = error.report().unwrap();
        assert_eq!(report.generation(), 1);
        let step = report.failure().unwrap();
        assert_eq!((step.name(), step.action()), ("picky", Action::Failed));
        check(step.error().unwrap());
        assert_nothing_happened(&handle, &dial, &live).await;
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn invariant_2_an_error_changes_nothing() {
    refused(
        || Err("no".into()),
        |error| assert_eq!(error.to_string(), "no"),
    )
    .await;
}

#[tokio::test]
async fn invariant_2_an_error_that_panics_when_it_is_shown_and_when_it_is_dropped_changes_nothing()
{
    #[derive(Debug)]
    struct Nasty;
    impl std::fmt::Display for Nasty {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("shown")
        }
    }
    impl std::error::Error for Nasty {}
    impl Drop for Nasty {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let check = |error: &StepError| assert!(error.inner().unwrap().is::<Nasty>());
    refused(|| Err(Box::new(Nasty)), check).await;
}

#[tokio::test]
async fn invariant_2_a_panic_changes_nothing() {
    refused(|| panic!("ouch"), |error| assert!(error.is_panic())).await;
}

#[tokio::test]
async fn invariant_2_a_panic_before_the_first_await_and_in_a_comparison_changes_nothing() {
    #[derive(Clone)]
    struct Picky(u64);
    impl PartialEq for Picky {
        fn eq(&self, other: &Self) -> bool {
            assert!(self.0 != 13 && other.0 != 13, "compared");
            self.0 == other.0
        }
    }
    let dial = Dial::new(1);
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let live = reload
        .derive("live", &number, async |n| Ok(*n))
        .await
        .unwrap();
    let picky = number.map(|n| Picky(*n));
    reload
        .derive("compared", picky, async |p| Ok(p.0))
        .await
        .unwrap();
    let called = |n: rekindle::Lease<u64>| {
        assert_ne!(*n, 14, "called");
        async move { Ok(*n) }
    };
    reload.derive("called", &number, called).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        for (bad, name) in [(13, "compared"), (14, "called")] {
            dial.set(bad);
            let error = handle.reload("bad").await.unwrap_err();
            let step = error.report().unwrap().failure().unwrap();
            assert_eq!(step.name(), name);
            assert!(step.error().unwrap().is_panic());
        }
        assert_nothing_happened(&handle, &dial, &live).await;
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn invariant_2_a_deadline_changes_nothing_and_names_the_component() {
    let dial = Dial::new(1);
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let build = async |n: rekindle::Lease<u64>| {
        if *n == 13 {
            std::future::pending::<()>().await;
        }
        Ok(*n)
    };
    let seven = Duration::from_secs(7);
    let live = reload
        .derive("slow", &number, build)
        .timeout(seven)
        .await
        .unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(13);
        let asked = tokio::time::Instant::now();
        let error = handle.reload("bad").await.unwrap_err();
        assert_eq!(asked.elapsed().as_secs(), 7);
        let step = error.report().unwrap().failure().unwrap();
        assert_eq!(step.name(), "slow");
        assert!(step.error().unwrap().is_timeout());
        assert_nothing_happened(&handle, &dial, &live).await;
        Ok(())
    });
    run.await.unwrap();
}

#[tokio::test]
async fn invariant_2_a_stop_during_prepare_changes_nothing() {
    let (dial, latch) = (Dial::new(1), Latch::new());
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let wait = latch.clone();
    let build = async move |n: rekindle::Lease<u64>| {
        wait.pass().await;
        Ok(*n)
    };
    let live = reload.derive("slow", &number, build).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |stop| {
        latch.close();
        dial.set(2);
        let asked = tokio::spawn({
            let handle = handle.clone();
            async move { handle.reload("late").await }
        });
        latch.arrival().await;
        stop.cancel();
        let error = in_time(asked).await.unwrap().unwrap_err();
        let report = error.report().unwrap();
        assert_eq!(report.outcome(), Outcome::Interrupted { committed: false });
        assert_eq!(report.step("slow").unwrap().action(), Action::Abandoned);
        assert_eq!((handle.status().generation(), *live.load()), (1, 1));
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_2_a_build_that_blocks_its_thread_is_given_up_and_never_has_an_effect() {
    let dial = Dial::new(1);
    let (release, blocked) = mpsc::channel::<()>();
    let blocked = Arc::new(std::sync::Mutex::new(blocked));
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let build = async move |n: rekindle::Lease<u64>| {
        if *n == 13 {
            blocked.lock().unwrap().recv().unwrap();
        }
        Ok(*n)
    };
    let short = Duration::from_millis(50);
    let live = reload
        .derive("stuck", &number, build)
        .timeout(short)
        .await
        .unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(13);
        let error = handle.reload("bad").await.unwrap_err();
        let step = error.report().unwrap().failure().unwrap();
        assert_eq!(step.name(), "stuck");
        assert!(
            step.error()
                .unwrap()
                .to_string()
                .contains("blocks its thread"),
            "{error:?}"
        );

        dial.set(2);
        let error = handle.reload("while it is stuck").await.unwrap_err();
        assert!(error.is_rejected());
        assert!(
            format!("{error:?}").contains("an earlier attempt"),
            "{error:?}"
        );
        assert_eq!(handle.status().generation(), 1);

        release.send(()).unwrap();
        // Its end is seen by the next reload that is not refused.
        let mut tries = 0;
        while handle.reload("again").await.is_err() {
            tries += 1;
            assert!(
                tries < 10_000,
                "the build that ended is still taken to be stuck"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!((handle.status().generation(), *live.load()), (2, 2));
        Ok(())
    });
    in_time(run).await.unwrap();
}
