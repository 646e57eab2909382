//! Invariant 8, as far as values are dropped and not yet retired: exactly once, after the last
//! holder let go, dependants before what they were built from. And their drops hold up nobody, nor do
//! those of errors.

mod support;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rekindle::{Lease, Manager};
use support::{Barrier, Dial, Latch, eventually, in_time};

/// Writes down its name when it is dropped.
struct Traced(String, Arc<Mutex<Vec<String>>>);

impl Drop for Traced {
    fn drop(&mut self) {
        self.1.lock().unwrap().push(self.0.clone());
    }
}

#[derive(Clone, Default)]
struct Trace(Arc<Mutex<Vec<String>>>);

impl Trace {
    fn value(&self, name: &str, n: u64) -> Traced {
        Traced(format!("{name}{n}"), Arc::clone(&self.0))
    }

    fn seen(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    async fn becomes(&self, expected: &[&str]) {
        eventually(&format!("{expected:?}"), || {
            self.seen().len() >= expected.len()
        })
        .await;
        assert_eq!(self.seen(), expected);
    }
}

/// `bottom` from the dial, `top` from `bottom`: neither build keeps its leases. `top` refuses 13.
async fn tower(
    reload: &mut Manager,
    dial: &Dial,
    trace: &Trace,
) -> (rekindle::Live<Traced>, rekindle::Live<Traced>) {
    let number = reload.source("number", dial.clone()).await.unwrap();
    let of = trace.clone();
    let build = async move |n: Lease<u64>| Ok((of.value("bottom", *n), *n));
    let numbered = reload.derive("bottom", &number, build);
    let numbered = numbered.await.unwrap();
    let of = trace.clone();
    let build = async move |below: Lease<(Traced, u64)>| match below.1 {
        13 => Err("thirteen brings bad luck".into()),
        n => Ok(of.value("top", n)),
    };
    let top = reload.derive("top", &numbered, build).await.unwrap();
    let of = trace.clone();
    let build = async move |n: Lease<u64>| Ok(of.value("side", *n));
    let side = reload.derive("side", &number, build).await.unwrap();
    (top, side)
}

#[tokio::test]
async fn invariant_8_what_was_built_goes_before_what_it_was_built_from_after_the_last_holder() {
    let (dial, trace) = (Dial::new(1), Trace::default());
    let mut reload = Manager::new();
    let (top, side) = tower(&mut reload, &dial, &trace).await;
    let handle = reload.handle();
    let seen = trace.clone();
    let run = reload.run(async move |_| {
        let (held_top, held_side) = (top.lease(), side.load());
        dial.set(2);
        handle.reload("test").await?;
        // The guard pins its whole generation, the lease its value and what that was built from.
        tokio::task::yield_now().await;
        assert_eq!(seen.seen(), Vec::<String>::new());
        drop(held_side);
        seen.becomes(&["side1"]).await;
        drop(held_top);
        seen.becomes(&["side1", "top1", "bottom1"]).await;
        Ok(())
    });
    in_time(run).await.unwrap();
    // The handles are gone by now, so everything is.
    let mut all = trace.seen();
    assert_eq!(all.len(), 6, "each exactly once: {all:?}");
    let place = |name: &str| all.iter().position(|seen| seen == name).unwrap();
    assert!(place("top2") < place("bottom2"));
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 6);
}

#[tokio::test]
async fn invariant_8_what_a_refused_reload_or_a_check_had_built_is_dropped_and_nothing_else() {
    let (dial, trace) = (Dial::new(1), Trace::default());
    let mut reload = Manager::new();
    let (top, side) = tower(&mut reload, &dial, &trace).await;
    let handle = reload.handle();
    let seen = trace.clone();
    let run = reload.run(async move |_| {
        dial.set(2);
        handle.check().await?;
        eventually("the dry run is cleared away", || seen.seen().len() == 3).await;
        let mut dropped = seen.seen();
        let place = |name: &str| dropped.iter().position(|seen| seen == name).unwrap();
        assert!(place("top2") < place("bottom2"));
        dropped.sort();
        assert_eq!(dropped, ["bottom2", "side2", "top2"]);

        dial.set(13);
        handle.reload("bad").await.unwrap_err();
        eventually("the bottom is cleared away", || {
            seen.seen().contains(&"bottom13".into())
        })
        .await;
        assert!(
            !seen.seen().iter().any(|name| name.ends_with('1')),
            "{:?}",
            seen.seen()
        );
        drop((top, side));
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn a_panic_in_a_drop_meets_nobody() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    let dial = Dial::new(1);
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let bomb = reload
        .derive("bomb", &number, async |_| Ok(Bomb))
        .await
        .unwrap();
    let build = async |n: Lease<u64>| {
        // Dropped with the future when the build fails.
        let _bomb = (*n == 13).then(|| Bomb);
        if *n == 13 { Err("no".into()) } else { Ok(()) }
    };
    reload.derive("fails", &number, build).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        for value in [2, 13, 3] {
            dial.set(value);
            let _ = handle.reload("test").await;
        }
        assert_eq!(*number.load(), 3);
        assert_eq!(handle.status().generation(), 3);
        drop(bomb.load());
        Ok(())
    });
    in_time(run).await.unwrap();
}

/// On one thread. Each drop takes long enough for the others to deserve a turn after it.
#[tokio::test]
async fn values_that_are_slow_to_drop_keep_nobody_from_running() {
    #[derive(Default)]
    struct Drops {
        all: AtomicUsize,
        in_a_row: AtomicUsize,
        most_in_a_row: AtomicUsize,
    }
    struct Slow(Arc<Drops>);
    impl Drop for Slow {
        fn drop(&mut self) {
            let until = Instant::now() + Duration::from_millis(2);
            while Instant::now() < until {}
            self.0.all.fetch_add(1, Ordering::SeqCst);
            let in_a_row = self.0.in_a_row.fetch_add(1, Ordering::SeqCst) + 1;
            self.0.most_in_a_row.fetch_max(in_a_row, Ordering::SeqCst);
        }
    }
    let (dial, drops) = (Dial::new(1), Arc::new(Drops::default()));
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let settings =
        |n: Lease<u64>| -> BTreeMap<u64, u64> { (0..100).map(|key| (key, *n)).collect() };
    let of = Arc::clone(&drops);
    let build = async move |_, _| Ok(Slow(Arc::clone(&of)));
    reload.each("slow", &number, settings, build).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(2);
        handle.reload("test").await?;
        while drops.all.load(Ordering::SeqCst) < 100 {
            drops.in_a_row.store(0, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
        assert!(drops.most_in_a_row.load(Ordering::SeqCst) <= 2);
        Ok(())
    });
    in_time(run).await.unwrap();
}

/// Deeper than a stack: each value is built from the one before. Without a reaper, because that has
/// ended or never was.
#[tokio::test]
async fn a_long_chain_that_nobody_reaps_ends_value_after_value() {
    const LENGTH: usize = 5_000;
    let chain = async |reload: &mut Manager, trace: &Trace| {
        let build = {
            let trace = trace.clone();
            move |n: u64| trace.value("", n)
        };
        let make = build.clone();
        let mut last = reload.source("0", async move || Ok(make(0))).await.unwrap();
        for n in 1..LENGTH {
            let make = build.clone();
            let next = async move |_| Ok(make(n as u64));
            last = reload.derive(n.to_string(), &last, next).await.unwrap();
        }
        last
    };
    let backwards: Vec<_> = (0..LENGTH).rev().map(|n| n.to_string()).collect();

    let (mut reload, trace) = (Manager::new(), Trace::default());
    let last = chain(&mut reload, &trace).await;
    drop(reload);
    drop(last);
    assert!(trace.seen() == backwards);

    let (mut reload, trace) = (Manager::new(), Trace::default());
    let last = chain(&mut reload, &trace).await;
    let held = last.lease();
    in_time(reload.run(async |_| ())).await.unwrap();
    drop(last);
    assert!(trace.seen().is_empty());
    drop(held);
    assert!(trace.seen() == backwards);
}

/// An error that passes the barrier when it is dropped.
struct Sticky(Barrier);

impl fmt::Debug for Sticky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sticky")
    }
}

impl fmt::Display for Sticky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sticky")
    }
}

impl std::error::Error for Sticky {}

impl Drop for Sticky {
    fn drop(&mut self) {
        self.0.pass();
    }
}

const NAMED: &str = "the drop of an old value or error of `hook`, running for ";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_that_is_forgotten_and_blocks_its_thread_holds_up_no_reload_and_is_named() {
    let barrier = Barrier::default();
    let mut reload = Manager::new().shutdown_timeout(Duration::from_millis(20));
    let failed = Arc::new(AtomicUsize::new(0));
    let blocks = barrier.clone();
    reload.add(0, "hook", async move |_| {
        match failed.fetch_add(1, Ordering::SeqCst) {
            0 => Err(Sticky(blocks.clone()).into()),
            _ => Ok(()),
        }
    });
    let handle = reload.handle();
    let blocked = barrier.clone();
    let run = reload.run(async move |_| {
        handle.reload("bad").await.unwrap_err();
        blocked.close();
        for _ in 0..20 {
            handle.reload("good").await?;
        }
        blocked.arrival().await;
        Ok(())
    });
    let error = in_time(run).await.unwrap_err().to_string();
    barrier.open();
    assert!(error.contains(NAMED), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_of_a_check_nobody_waits_for_may_block_its_thread_too() {
    let (barrier, latch) = (Barrier::default(), Latch::new());
    let mut reload = Manager::new().shutdown_timeout(Duration::from_millis(20));
    let (blocks, waits) = (barrier.clone(), latch.clone());
    let fails = Arc::new(AtomicBool::new(false));
    let failing = Arc::clone(&fails);
    let source = reload.source("hook", async move || {
        waits.pass().await;
        match failing.swap(false, Ordering::SeqCst) {
            true => Err(Sticky(blocks.clone()).into()),
            false => Ok(()),
        }
    });
    source.await.unwrap();
    let handle = reload.handle();
    let blocked = barrier.clone();
    let run = reload.run(async move |_| {
        fails.store(true, Ordering::SeqCst);
        blocked.close();
        latch.close();
        let asks = handle.clone();
        let asking = tokio::spawn(async move { asks.check().await });
        latch.arrival().await;
        asking.abort();
        asking.await.unwrap_err();
        latch.open();
        blocked.arrival().await;
        handle.reload("good").await?;
        Ok(())
    });
    let error = in_time(run).await.unwrap_err().to_string();
    barrier.open();
    assert!(error.contains(NAMED), "{error}");
}
