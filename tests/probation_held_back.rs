//! What has failed its probation is held back until somebody edits it.

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rekindle::{BoxError, Lease, Manager, Outcome};
use support::{Automatic, Barrier, Dial, Latch, eventually, in_time};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const SHORT: Duration = Duration::from_millis(10);

/// A probe that fails while this says so.
async fn unless(sick: &AtomicBool) -> Result<(), BoxError> {
    match sick.load(Ordering::SeqCst) {
        true => Err("sick".into()),
        false => Ok(()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_met_a_probe_that_still_blocked_is_refused_and_not_held_back() {
    let (dial, barrier) = (Dial::new(1), Barrier::default());
    let (blocks, ended) = (barrier.clone(), Arc::new(AtomicUsize::new(0)));
    let ends = Arc::clone(&ended);
    let reload = Manager::new().timeout(Duration::from_millis(50));
    let mut reload = reload.probation(SHORT, async move || {
        blocks.pass();
        ends.fetch_add(1, Ordering::SeqCst);
    });
    let number = reload.source("number", dial.clone()).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        barrier.close();
        dial.set(2);
        assert!(handle.reload("blocks").await.unwrap_err().is_rolled_back());
        dial.set(3);
        let error = handle.reload("good").await.unwrap_err();
        assert!(error.is_rejected(), "{error:?}");
        assert_eq!((handle.status().generation(), *number.load()), (3, 1));
        barrier.open();
        eventually("the first probe ends", || ended.load(Ordering::SeqCst) > 0).await;
        let applied = loop {
            // The thread may need a moment to leave the probe.
            match handle.reload("good").await {
                Err(error) if error.is_rejected() => sleep(SHORT).await,
                applied => break applied,
            }
        };
        assert_eq!(applied?.outcome(), Outcome::Applied);
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_met_an_effect_that_still_blocked_is_refused_and_not_held_back() {
    let (dial, barrier) = (Dial::new(1), Barrier::default());
    let reload = Manager::new().timeout(Duration::from_millis(50));
    let mut reload = reload.probation(SHORT, async || ());
    let number = reload.source("number", dial.clone()).await.unwrap();
    let blocks = barrier.clone();
    let push = async move |n: Lease<u64>| {
        if *n == 2 {
            blocks.pass();
        }
    };
    reload.apply("gauge", &number, push).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        barrier.close();
        dial.set(2);
        assert!(handle.reload("blocks").await.unwrap_err().is_rolled_back());
        dial.set(3);
        let error = handle.reload("good").await.unwrap_err();
        let step = error.report().unwrap().failure().unwrap();
        assert!(error.is_rejected() && step.name() == "gauge", "{error:?}");
        barrier.open();
        let applied = loop {
            match handle.reload("good").await {
                Err(error) if error.is_rejected() => sleep(SHORT).await,
                applied => break applied,
            }
        };
        assert_eq!(applied?.outcome(), Outcome::Applied);
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn an_effect_that_failed_on_the_way_back_is_tried_again_though_the_file_is_held_back() {
    let (dial, down) = (Dial::new(1), Arc::new(AtomicBool::new(false)));
    let pushed = Arc::new(Mutex::new(Vec::new()));
    let mut reload = Manager::new().probation(SHORT, async || ());
    let number = reload.source("number", dial.clone()).await.unwrap();
    let (pushes, fails) = (Arc::clone(&pushed), Arc::clone(&down));
    let push = async move |n: Lease<u64>| {
        pushes.lock().unwrap().push(*n);
        match fails.load(Ordering::SeqCst) {
            true => Err("down".into()),
            false => Ok(()),
        }
    };
    reload.apply("gauge", &number, push).await.unwrap();
    let handle = reload.handle();
    let mut automatic = Automatic::new(&mut reload);
    let run = reload.run(async move |_| {
        down.store(true, Ordering::SeqCst);
        dial.set(2);
        assert!(handle.reload("bad").await.unwrap_err().is_rolled_back());
        down.store(false, Ordering::SeqCst);
        for pushes in [&[1, 2, 1, 1][..], &[1, 2, 1, 1]] {
            assert_eq!(automatic.reload().await.outcome(), Outcome::Rejected);
            assert_eq!(*pushed.lock().unwrap(), pushes);
        }
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn what_was_edited_and_edited_back_is_tried_again() {
    const BAD: u64 = 9;
    let (dial, sick) = (Dial::new(1), Arc::new(AtomicBool::new(true)));
    let health = Arc::clone(&sick);
    let mut reload = Manager::new().probation(SHORT, async move || unless(&health).await);
    let number = reload.source("number", dial.clone()).await.unwrap();
    let build = async |n: Lease<u64>| match *n {
        BAD => Err("bad luck".into()),
        n => Ok(n),
    };
    reload.derive("checked", &number, build).await.unwrap();
    let handle = reload.handle();
    let mut automatic = Automatic::new(&mut reload);
    let run = reload.run(async move |_| {
        dial.set(2);
        assert!(handle.reload("bad").await.unwrap_err().is_rolled_back());
        sick.store(false, Ordering::SeqCst);
        // A check changes nothing, also not what is held back.
        dial.set(1);
        handle.check().await?;
        dial.set(2);
        assert_eq!(automatic.reload().await.outcome(), Outcome::Rejected);
        dial.set(1);
        assert_eq!(handle.reload("back").await?.outcome(), Outcome::Unchanged);
        dial.set(2);
        sick.store(true, Ordering::SeqCst);
        assert!(handle.reload("forth").await.unwrap_err().is_rolled_back());
        // What is refused for another reason is an edit, too.
        dial.set(BAD);
        assert!(handle.reload("worse").await.unwrap_err().is_rejected());
        dial.set(2);
        sick.store(false, Ordering::SeqCst);
        assert_eq!(automatic.reload().await.outcome(), Outcome::Applied);
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn what_is_held_back_is_refused_whatever_else_changes() {
    let (bad, busy) = (Dial::new(1), Dial::new(0));
    let sick = Arc::new(AtomicBool::new(true));
    let health = Arc::clone(&sick);
    let mut reload = Manager::new().probation(SHORT, async move || unless(&health).await);
    reload.source("bad", bad.clone()).await.unwrap();
    reload.source("busy", busy.clone()).await.unwrap();
    let handle = reload.handle();
    let mut automatic = Automatic::new(&mut reload);
    let run = reload.run(async move |_| {
        bad.set(2);
        assert!(handle.reload("bad").await.unwrap_err().is_rolled_back());
        for n in 1..4 {
            busy.set(n);
            assert_eq!(automatic.reload().await.outcome(), Outcome::Rejected);
        }
        // Reverting it is an edit, and lets the others through.
        bad.set(1);
        sick.store(false, Ordering::SeqCst);
        assert_eq!(automatic.reload().await.outcome(), Outcome::Applied);
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn nothing_is_built_from_what_is_held_back() {
    let (dial, sick) = (Dial::new(1), Arc::new(AtomicBool::new(true)));
    let health = Arc::clone(&sick);
    let mut reload = Manager::new().probation(SHORT, async move || unless(&health).await);
    let number = reload.source("number", dial.clone()).await.unwrap();
    let built = Arc::new(AtomicUsize::new(0));
    let builds = Arc::clone(&built);
    let build = async move |n: Lease<u64>| {
        builds.fetch_add(1, Ordering::SeqCst);
        Ok(*n)
    };
    reload.derive("pool", &number, build).await.unwrap();
    let handle = reload.handle();
    let mut automatic = Automatic::new(&mut reload);
    let run = reload.run(async move |_| {
        dial.set(2);
        assert!(handle.reload("bad").await.unwrap_err().is_rolled_back());
        let before = built.load(Ordering::SeqCst);
        for _ in 0..5 {
            assert_eq!(automatic.reload().await.outcome(), Outcome::Rejected);
        }
        assert_eq!(built.load(Ordering::SeqCst), before);
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn a_stop_lets_an_effect_end_that_is_made_up_for_while_the_file_is_held_back() {
    let (dial, reload) = (Dial::new(1), Arc::new(AtomicUsize::new(0)));
    let nth = Arc::clone(&reload);
    let sick = async move || match nth.load(Ordering::SeqCst) {
        1 => Err::<(), BoxError>("sick".into()),
        _ => Ok(()),
    };
    let mut manager = Manager::new().probation(SHORT, sick);
    let number = manager.source("number", dial.clone()).await.unwrap();
    let (latch, done) = (Latch::new(), Arc::new(AtomicBool::new(false)));
    let (waits, nth, ends) = (latch.clone(), Arc::clone(&reload), Arc::clone(&done));
    let effect = async move |n: Lease<u64>| {
        match (nth.load(Ordering::SeqCst), *n) {
            (1, 1) => return Err("not on the way back".into()),
            (2, 1) => {
                waits.pass().await;
                ends.store(true, Ordering::SeqCst);
            }
            _ => {}
        }
        Ok::<(), BoxError>(())
    };
    manager.apply("effect", &number, effect).await.unwrap();
    let handle = manager.handle();
    let automatic = Automatic::new(&mut manager);
    let run = manager.run(async move |stop: CancellationToken| {
        reload.store(1, Ordering::SeqCst);
        dial.set(2);
        assert!(handle.reload("fails").await.unwrap_err().is_rolled_back());
        reload.store(2, Ordering::SeqCst);
        latch.close();
        automatic.trigger();
        latch.arrival().await;
        stop.cancel();
        // The reload has heard of it by now.
        sleep(SHORT).await;
        latch.open();
    });
    in_time(run).await.unwrap();
    assert!(done.load(Ordering::SeqCst));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_is_refused_also_when_an_effect_that_is_made_up_for_blocks() {
    let (dial, barrier) = (Dial::new(1), Barrier::default());
    let sick = async || Err::<(), BoxError>("sick".into());
    let reload = Manager::new().timeout(Duration::from_millis(50));
    let mut reload = reload.probation(SHORT, sick);
    let number = reload.source("number", dial.clone()).await.unwrap();
    let (blocks, rolls_back) = (barrier.clone(), Arc::new(AtomicBool::new(false)));
    let fails = Arc::clone(&rolls_back);
    let effect = async move |n: Lease<u64>| {
        if fails.load(Ordering::SeqCst) && *n == 1 {
            return Err::<(), BoxError>("not on the way back".into());
        }
        blocks.pass();
        Ok(())
    };
    reload.apply("gauge", &number, effect).await.unwrap();
    reload.add(0, "hook", async |_| ());
    let handle = reload.handle();
    let mut automatic = Automatic::new(&mut reload);
    let run = reload.run(async move |_| {
        rolls_back.store(true, Ordering::SeqCst);
        dial.set(2);
        assert!(handle.reload("fails").await.unwrap_err().is_rolled_back());
        rolls_back.store(false, Ordering::SeqCst);
        barrier.close();
        let report = automatic.reload().await;
        barrier.open();
        assert_eq!(report.outcome(), Outcome::Rejected, "{report}");
        assert!(report.step("hook").is_none(), "{report}");
    });
    in_time(run).await.unwrap();
}
