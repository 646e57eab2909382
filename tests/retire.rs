//! Invariant 8: values are retired exactly once, by move, after the last holder let go, dependants
//! before what they were built from; after a refusal, a dry run, a failed start and at the end too.

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rekindle::{BoxError, Error, Lease, Live, Manager, Trigger};
use support::{Dial, Latch, eventually, in_time, tasks};
use tokio::time::sleep;

/// A value that knows its name, and must not be dropped before it was retired.
struct Pool {
    name: String,
    trace: Trace,
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.trace.note(format!("dropped {}", self.name));
    }
}

#[derive(Clone, Default)]
struct Trace(Arc<Mutex<Vec<String>>>);

impl Trace {
    fn note(&self, event: String) {
        self.0.lock().unwrap().push(event);
    }

    fn pool(&self, name: &str, n: u64) -> Pool {
        Pool {
            name: format!("{name}{n}"),
            trace: self.clone(),
        }
    }

    fn seen(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    async fn becomes(&self, expected: &[&str]) {
        let len = expected.len();
        eventually(&format!("{expected:?}"), || self.seen().len() >= len).await;
        assert_eq!(self.seen(), expected);
    }

    fn place(&self, event: &str) -> usize {
        let seen = self.seen();
        assert_eq!(
            seen.iter().filter(|seen| *seen == event).count(),
            1,
            "{event} in {seen:?}"
        );
        seen.iter().position(|seen| seen == event).unwrap()
    }
}

/// Retires with two pauses, so that an order is one of ends and not of beginnings.
async fn retire(pool: Pool) {
    pool.trace.note(format!("retiring {}", pool.name));
    sleep(Duration::from_millis(2)).await;
    tokio::task::yield_now().await;
    pool.trace.note(format!("retired {}", pool.name));
}

/// `bottom` from the dial, `top` from `bottom`; the build of `top` does not keep its lease, and
/// refuses all that ends with 13.
async fn tower(reload: &mut Manager, dial: &Dial, trace: &Trace) -> (Live<Pool>, Live<Pool>) {
    let number = reload.source("number", dial.clone()).await.unwrap();
    let of = trace.clone();
    let bottom = reload
        .derive("bottom", &number, async move |n: Lease<u64>| {
            Ok(of.pool("bottom", *n))
        })
        .retire(retire)
        .await
        .unwrap();
    let of = trace.clone();
    let top = reload
        .derive(
            "top",
            (&bottom, &number),
            async move |(_, n): (Lease<Pool>, Lease<u64>)| match *n {
                n if n % 100 == 13 => Err("thirteen brings bad luck".into()),
                n => Ok(of.pool("top", n)),
            },
        )
        .retire(retire)
        .await
        .unwrap();
    (bottom, top)
}

const FIRST: [&str; 6] = [
    "retiring top1",
    "retired top1",
    "dropped top1",
    "retiring bottom1",
    "retired bottom1",
    "dropped bottom1",
];

#[tokio::test]
async fn a_replaced_value_is_retired_when_the_last_holder_lets_go() {
    let (dial, trace) = (Dial::new(1), Trace::default());
    let mut reload = Manager::new();
    let (bottom, top) = tower(&mut reload, &dial, &trace).await;
    let handle = reload.handle();
    let seen = trace.clone();
    let run = reload.run(async move |_| {
        for held in 0..4 {
            let n = held + 1;
            let (guard, lease) = (top.load(), top.lease());
            let (clone, snapshot) = (guard.clone(), handle.snapshot());
            let before = seen.seen().len();
            dial.set(n + 1);
            handle.reload("test").await?;
            assert_eq!(top.load().name, format!("top{}", n + 1));
            // Let go in another order each time; the last one counts.
            let mut holders: Vec<Box<dyn Send>> = vec![
                Box::new(guard),
                Box::new(lease),
                Box::new(clone),
                Box::new(snapshot),
            ];
            holders.rotate_left(usize::try_from(held)?);
            while let Some(holder) = holders.pop() {
                tokio::task::yield_now().await;
                assert_eq!(
                    seen.seen().len(),
                    before,
                    "it is held by {}",
                    holders.len() + 1
                );
                drop(holder);
            }
            eventually("both are retired", || seen.seen().len() == before + 6).await;
            let expected = FIRST.map(|event| event.replace('1', &n.to_string()));
            assert_eq!(seen.seen()[before..], expected);
        }
        drop((bottom, top));
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn at_the_end_everything_is_retired_though_handles_are_held() {
    let (dial, trace) = (Dial::new(1), Trace::default());
    let mut reload = Manager::new();
    let (bottom, top) = tower(&mut reload, &dial, &trace).await;
    let number = reload.source("plain", async || Ok(5)).await.unwrap();
    let handle = reload.handle();
    in_time(reload.run(async |_| ())).await.unwrap();
    assert_eq!(trace.seen(), FIRST);
    assert_eq!(*number.load(), 5, "what is not retired stays readable");
    assert_eq!(handle.status().generation(), 1);
    let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| top.load().name.len()));
    let panic = read.unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert_eq!(
        text,
        "component `top` is closed: the run of its manager has ended"
    );
    drop((bottom, top));
    assert_eq!(trace.seen(), FIRST);
}

#[tokio::test]
#[should_panic(expected = "component `pool` is retired, and a reader would hold an old value")]
async fn a_reader_of_what_is_retired_is_refused() {
    let mut reload = Manager::new();
    let pool = reload.source("pool", async || Ok(5)).retire(async |_| ());
    pool.await.unwrap().reader();
}

#[tokio::test]
async fn a_lease_is_told_when_its_component_is_closed() {
    let mut reload = Manager::new();
    let pool = reload.source("pool", async || Ok(5)).retire(async |_| ());
    let pool = pool.await.unwrap();
    let lease = pool.lease();
    let stream = tokio::spawn(async move {
        lease.replaced().await;
        *lease
    });
    in_time(reload.run(async |_| ())).await.unwrap();
    assert_eq!(in_time(stream).await.unwrap(), 5);
}

#[tokio::test]
async fn what_a_refused_reload_or_a_check_had_prepared_is_retired_and_nothing_else() {
    let (dial, trace) = (Dial::new(1), Trace::default());
    let mut reload = Manager::new();
    let (bottom, top) = tower(&mut reload, &dial, &trace).await;
    let handle = reload.handle();
    let seen = trace.clone();
    let run = reload.run(async move |_| {
        dial.set(2);
        handle.check().await?;
        let of_2 = FIRST.map(|event| event.replace('1', "2"));
        seen.becomes(&of_2.each_ref().map(String::as_str)).await;

        dial.set(13);
        handle.reload("bad").await.unwrap_err();
        eventually("bottom13 is gone", || seen.seen().len() == 9).await;
        assert_eq!(
            seen.seen()[6..],
            ["retiring bottom13", "retired bottom13", "dropped bottom13"]
        );
        assert_eq!(
            (&*bottom.load().name, &*top.load().name),
            ("bottom1", "top1")
        );
        Ok(())
    });
    in_time(run).await.unwrap();
    assert_eq!(trace.seen()[9..], FIRST);
}

#[tokio::test]
async fn a_start_that_failed_is_cleared_away() {
    let (dial, trace) = (Dial::new(1), Trace::default());
    let before = tasks();
    let mut reload = Manager::new();
    reload.on(async || std::future::pending::<Result<Trigger, BoxError>>().await);
    let (_bottom, top) = tower(&mut reload, &dial, &trace).await;
    let failed = reload.derive("users", &top, async |_| Err::<(), _>("no table".into()));
    failed.await.unwrap_err();
    let handle = reload.handle();
    handle.trigger("before it ever ran");
    in_time(reload.abandon()).await.unwrap();
    assert_eq!(trace.seen(), FIRST);
    assert!(handle.status().is_stopping());
    assert_eq!(handle.status().reports().len(), 0);
    eventually("no task is left", || tasks() == before).await;
}

/// A slow retirement holds up what it was built from, and nothing else.
#[tokio::test]
async fn retirements_run_side_by_side() {
    let (dial, trace, latch) = (Dial::new(1), Trace::default(), Latch::new());
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let mut pools = Vec::new();
    for name in ["slow", "quick"] {
        let (of, waits) = (trace.clone(), latch.clone());
        let pool = reload
            .derive(name, &number, async move |n: Lease<u64>| {
                Ok(of.pool(name, *n))
            })
            .retire(async move |pool: Pool| {
                if pool.name == "slow1" {
                    waits.pass().await;
                }
                retire(pool).await;
            });
        pools.push(pool.await.unwrap());
    }
    let handle = reload.handle();
    let seen = trace.clone();
    latch.close();
    let run = reload.run(async move |_| {
        dial.set(2);
        handle.reload("test").await?;
        latch.arrival().await;
        seen.becomes(&["retiring quick1", "retired quick1", "dropped quick1"])
            .await;
        latch.open();
        eventually("slow1 is retired", || seen.seen().len() == 6).await;
        Ok(())
    });
    in_time(run).await.unwrap();
    assert_eq!(trace.seen().len(), 12);
}

#[tokio::test]
async fn a_retirement_that_fails_or_panics_is_over_and_what_it_was_built_from_goes_too() {
    let (dial, trace) = (Dial::new(1), Trace::default());
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let of = trace.clone();
    let bottom = reload
        .derive("bottom", &number, async move |n: Lease<u64>| {
            Ok(of.pool("bottom", *n))
        })
        .retire(async |pool: Pool| {
            retire(pool).await;
            Err("the socket is gone".into())
        })
        .await
        .unwrap();
    let of = trace.clone();
    let top = reload.derive("top", &bottom, async move |_| Ok(of.pool("top", 0)));
    let top = top
        .retire(async |pool: Pool| assert!(pool.name.is_empty(), "in retire"))
        .await
        .unwrap();
    let handle = reload.handle();
    let seen = trace.clone();
    let run = reload.run(async move |_| {
        dial.set(2);
        handle.reload("test").await?;
        let first = [
            "dropped top0",
            "retiring bottom1",
            "retired bottom1",
            "dropped bottom1",
        ];
        seen.becomes(&first).await;
        assert_eq!(bottom.load().name, "bottom2");
        assert_eq!(top.load().name, "top0");
        Ok(())
    });
    in_time(run).await.unwrap();
    assert_eq!(trace.seen().len(), 8);
}

#[tokio::test]
async fn what_is_held_for_too_long_is_named_and_not_taken_away() {
    let dial = Dial::new(1);
    let mut reload = Manager::new().drain(Duration::from_millis(20));
    let number = reload.source("number", dial.clone()).await.unwrap();
    let trace = Trace::default();
    let of = trace.clone();
    let pool = reload
        .derive("pool", &number, async move |n: Lease<u64>| {
            Ok(of.pool("pool", *n))
        })
        .retire(retire)
        .await
        .unwrap();
    let users = reload
        .derive("users", &pool, async |pool| Ok(pool.name.clone()))
        .await
        .unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        let (guard, lease) = (pool.load(), users.lease());
        let more = guard.clone();
        dial.set(2);
        handle.reload("test").await?;
        let overdue = || {
            handle
                .status()
                .draining()
                .iter()
                .any(|held| held.is_overdue())
        };
        eventually("it is overdue", overdue).await;
        let status = handle.status();
        let [held, above] = status.draining() else {
            panic!("{status:?}")
        };
        assert_eq!((held.component(), held.generation()), ("pool", 1));
        assert_eq!((held.guards(), held.leases()), (2, 1));
        assert_eq!(held.dependants().collect::<Vec<_>>(), ["users"]);
        assert_eq!(
            (above.component(), above.guards(), above.leases()),
            ("users", 2, 1)
        );
        assert_eq!((&*guard.name, &**lease), ("pool1", "pool1"));
        assert_eq!(trace.seen(), Vec::<String>::new());

        let report = handle.reload("again").await?;
        let named: Vec<_> = report
            .overdue()
            .iter()
            .map(|held| held.component())
            .collect();
        assert_eq!(named, ["pool", "users"]);
        assert!(
            report.to_string().contains(" overdue=pool,users"),
            "{report}"
        );

        drop((guard, more, lease));
        eventually("it is retired", || {
            trace.seen().contains(&"retired pool1".into())
        })
        .await;
        assert_eq!(handle.status().draining().len(), 0);
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn a_guard_that_is_leaked_is_named_at_the_end() {
    let mut reload = Manager::new().shutdown_timeout(Duration::from_millis(50));
    let pool = reload.source("pool", async || Ok(5)).retire(async |_| ());
    let pool = pool.await.unwrap();
    let mut leaked = None;
    let run = reload.run(async |_| {
        leaked = Some(pool.load());
        tokio::task::yield_now().await;
    });
    let error = in_time(run).await.unwrap_err();
    let error = error.downcast::<Error>().unwrap();
    assert!(error.is_still_running());
    let text = error.to_string();
    assert!(
        text.contains("component `pool` of generation 1, held for "),
        "{text}"
    );
    assert!(text.contains("by 1 guard and 0 leases"), "{text}");
    assert_eq!(*leaked.unwrap(), 5);
}

#[tokio::test]
async fn a_retirement_that_hangs_is_named_at_the_end() {
    let mut reload = Manager::new().shutdown_timeout(Duration::from_millis(50));
    let hangs = async |_| std::future::pending::<()>().await;
    reload
        .source("pool", async || Ok(5))
        .retire(hangs)
        .await
        .unwrap();
    let error = in_time(reload.run(async |_| ())).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("the retirement of an old value of `pool`"),
        "{text}"
    );
}

/// Random towers and random edits, with holders that come and go.
mod properties {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Edit {
        Reload,
        Refuse,
        Check,
        Hold(usize),
        LetGo,
    }

    fn edit() -> impl Strategy<Value = Edit> {
        prop_oneof![
            4 => Just(Edit::Reload),
            1 => Just(Edit::Refuse),
            1 => Just(Edit::Check),
            2 => (0..2_usize).prop_map(Edit::Hold),
            2 => Just(Edit::LetGo),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn each_value_is_retired_once_never_while_held_and_after_its_dependants(
            edits in vec(edit(), 1..12),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(check(edits));
        }
    }

    async fn check(edits: Vec<Edit>) {
        let (dial, trace) = (Dial::new(1), Trace::default());
        let mut reload = Manager::new();
        let (bottom, top) = tower(&mut reload, &dial, &trace).await;
        let handle = reload.handle();
        let seen = trace.clone();
        let mut next = 20;
        let run = reload.run(async move |_| {
            let mut held: Vec<Lease<Pool>> = Vec::new();
            for edit in edits {
                next += 1;
                match edit {
                    Edit::Reload | Edit::Check => dial.set(next),
                    Edit::Refuse => dial.set(next * 100 + 13),
                    Edit::Hold(0) => held.push(bottom.lease()),
                    Edit::Hold(_) => held.push(top.lease()),
                    Edit::LetGo => drop(held.pop()),
                }
                match edit {
                    Edit::Reload => _ = handle.reload("test").await.unwrap(),
                    Edit::Refuse => _ = handle.reload("test").await.unwrap_err(),
                    Edit::Check => _ = handle.check().await.unwrap(),
                    Edit::Hold(_) | Edit::LetGo => {}
                }
                for lease in &held {
                    assert!(!seen.seen().contains(&format!("retiring {}", lease.name)));
                }
            }
            Ok(())
        });
        in_time(run).await.unwrap();
        for event in trace.seen() {
            let Some(name) = event.strip_prefix("retired ") else {
                continue;
            };
            assert_eq!(
                trace.place(&event) + 1,
                trace.place(&format!("dropped {name}"))
            );
            if let Some(n) = name.strip_prefix("top") {
                let below = format!("retiring bottom{n}");
                assert!(
                    trace.place(&event) < trace.place(&below),
                    "{:?}",
                    trace.seen()
                );
            }
        }
        let retired = trace
            .seen()
            .iter()
            .filter(|event| event.starts_with("retired"))
            .count();
        let dropped = trace
            .seen()
            .iter()
            .filter(|event| event.starts_with("dropped"))
            .count();
        assert_eq!(retired, dropped);
    }
}
