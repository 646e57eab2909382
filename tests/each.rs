//! Collections: a reload builds the keys that were added or changed, lets go of those that were removed
//! or changed, and leaves the rest untouched.

mod support;

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rekindle::{BoxError, Keyed, Lease, Live, Manager, Reading, Source, Stamp};
use support::{Latch, eventually, in_time};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

type Settings = BTreeMap<&'static str, u64>;

/// A source whose settings the test sets.
#[derive(Clone, Default)]
struct File(Arc<Mutex<Settings>>);

impl File {
    fn set<const N: usize>(&self, settings: [(&'static str, u64); N]) {
        *self.0.lock().unwrap() = Settings::from(settings);
    }
}

impl Source for File {
    type Value = Settings;

    async fn read(
        &self,
        committed: Option<Stamp>,
    ) -> Result<Reading<Settings>, rekindle::BoxError> {
        let settings = self.0.lock().unwrap().clone();
        let stamp = Stamp::of(format!("{settings:?}").as_bytes());
        Ok(match committed == Some(stamp) {
            true => Reading::Unchanged,
            false => Reading::Stamped(settings, stamp),
        })
    }
}

#[derive(Clone, Default)]
struct Trace(Arc<Mutex<Vec<String>>>);

impl Trace {
    fn note(&self, event: String) {
        self.0.lock().unwrap().push(event);
    }

    /// What happened since the last call, sorted, when it is that much.
    async fn next(&self, count: usize) -> Vec<String> {
        let seen = || self.0.lock().unwrap().len();
        eventually(&format!("{count} events"), || seen() >= count).await;
        let mut events = std::mem::take(&mut *self.0.lock().unwrap());
        events.sort();
        events
    }

    fn is_empty(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }
}

/// Workers that note when they are built, run, and end. A setting of 13 cannot be built.
async fn workers(
    reload: &mut Manager,
    file: &File,
    trace: &Trace,
) -> Live<Keyed<&'static str, u64>> {
    let settings = reload.source("file", file.clone()).await.unwrap();
    let (built, ran, retired) = (trace.clone(), trace.clone(), trace.clone());
    let workers = reload.each(
        "workers",
        &settings,
        |settings: Lease<Settings>| (*settings).clone(),
        async move |name, n| match n {
            13 => Err("thirteen brings bad luck".into()),
            n => {
                built.note(format!("build {name} {n}"));
                Ok(n)
            }
        },
    );
    workers
        .runs(async move |n: Lease<u64>, stop: CancellationToken| {
            ran.note(format!("start {}", *n));
            stop.cancelled().await;
            ran.note(format!("stop {}", *n));
        })
        .retire(async move |n: u64| retired.note(format!("retire {n}")))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_reload_touches_only_the_keys_that_changed() {
    let (file, trace) = (File::default(), Trace::default());
    file.set([("a", 1), ("b", 2), ("c", 3)]);
    let mut reload = Manager::new();
    let workers = workers(&mut reload, &file, &trace).await;
    assert_eq!(trace.next(3).await, ["build a 1", "build b 2", "build c 3"]);
    let handle = reload.handle();
    let seen = trace.clone();
    let run = reload.run(async move |_| {
        assert_eq!(seen.next(3).await, ["start 1", "start 2", "start 3"]);
        let leases: Vec<Lease<u64>> = workers.load().iter().map(|(_, n)| n.clone()).collect();
        let address = |key: &str| std::ptr::from_ref(&**workers.load().get(key).unwrap()).addr();
        let before = address("a");

        file.set([("a", 1), ("b", 20), ("d", 4)]);
        handle.reload("test").await?;
        let changed = [
            "build b 20",
            "build d 4",
            "start 20",
            "start 4",
            "stop 2",
            "stop 3",
        ];
        assert_eq!(seen.next(6).await, changed);
        assert_eq!(address("a"), before, "the same instance");
        let keys: Vec<_> = workers.load().iter().map(|(key, n)| (*key, **n)).collect();
        assert_eq!(keys, [("a", 1), ("b", 20), ("d", 4)]);
        assert!(!workers.load().contains_key("c"));

        // Their leases are held, so they are not retired; and they are told that they are replaced.
        let status = handle.status();
        let draining: Vec<_> = status
            .draining()
            .iter()
            .map(|held| held.component())
            .collect();
        assert_eq!(draining, ["workers[b]", "workers[c]"]);
        for replaced in &leases[1..] {
            in_time(replaced.replaced()).await;
        }
        let still = tokio::time::timeout(Duration::from_millis(20), leases[0].replaced());
        assert!(still.await.is_err(), "nobody has replaced it");
        drop(leases);
        assert_eq!(seen.next(2).await, ["retire 2", "retire 3"]);

        handle.reload("nothing changed").await?;
        file.set([]);
        handle.reload("all gone").await?;
        let gone = [
            "retire 1",
            "retire 20",
            "retire 4",
            "stop 1",
            "stop 20",
            "stop 4",
        ];
        assert_eq!(seen.next(6).await, gone);
        assert!(workers.load().is_empty());
        Ok(())
    });
    in_time(run).await.unwrap();
    assert!(trace.is_empty());
}

#[tokio::test]
async fn one_key_that_cannot_be_built_refuses_the_reload_and_is_named() {
    let (file, trace) = (File::default(), Trace::default());
    file.set([("a", 1), ("b", 2)]);
    let mut reload = Manager::new();
    let workers = workers(&mut reload, &file, &trace).await;
    let handle = reload.handle();
    let seen = trace.clone();
    let run = reload.run(async move |_| {
        seen.next(4).await;
        file.set([("a", 10), ("b", 13), ("c", 3)]);
        let error = handle.reload("bad").await.unwrap_err();
        let expected = "component `workers`: `b` could not be built: thirteen brings bad luck";
        let report = error.report().unwrap();
        let step = report.failure().unwrap();
        let text = format!(
            "component `{}`: {}",
            step.name(),
            step.error().unwrap().chain()
        );
        assert_eq!(text, expected);
        let keys: Vec<_> = workers.load().iter().map(|(key, n)| (*key, **n)).collect();
        assert_eq!(keys, [("a", 1), ("b", 2)]);
        // What was built of the others is retired, and nothing was started or stopped.
        let events = seen.next(2).await;
        let is_of_10_or_3 = |event: &String| event.ends_with("10") || event.ends_with(" 3");
        assert!(events.iter().all(is_of_10_or_3), "{events:?}");

        file.set([("a", 1), ("b", 2), ("c", 3)]);
        handle.reload("good").await?;
        eventually("c runs", || workers.load().contains_key("c")).await;
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn a_key_that_takes_too_long_is_named() {
    let file = File::default();
    file.set([("slow", 1)]);
    let mut reload = Manager::new();
    let file = reload.source("file", file).await.unwrap();
    let hangs = async |_, _| std::future::pending::<Result<(), rekindle::BoxError>>().await;
    let each = reload.each(
        "pools",
        &file,
        |each: Lease<Settings>| (*each).clone(),
        hangs,
    );
    let error = in_time(each.timeout(Duration::from_millis(20)).into_future())
        .await
        .unwrap_err();
    let text = format!("{error:?}");
    assert!(
        text.contains("component `pools` could not be built: `slow` could not be built: "),
        "{text}"
    );
}

#[tokio::test]
async fn keys_are_built_concurrently() {
    let (file, latch) = (File::default(), Latch::new());
    file.set([("a", 1), ("b", 2), ("c", 3)]);
    latch.close();
    let mut reload = Manager::new();
    let settings = reload.source("file", file).await.unwrap();
    let waits = latch.clone();
    let build = async move |_: &'static str, n: u64| {
        waits.pass().await;
        Ok(n)
    };
    let each = reload.each(
        "all",
        &settings,
        |each: Lease<Settings>| (*each).clone(),
        build,
    );
    let all = async {
        for _ in 0..3 {
            latch.arrival().await;
        }
        for _ in 0..3 {
            latch.let_one_go();
        }
    };
    let (each, ()) = in_time(async { tokio::join!(each.into_future(), all) }).await;
    assert_eq!(each.unwrap().load().len(), 3);
}

/// An address that stays keeps its socket: there is no moment in which it refuses.
#[tokio::test]
async fn listeners_come_and_go_and_an_unchanged_one_refuses_nobody() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (stays, moves) = (free.local_addr().unwrap(), File::default());
    drop(free);
    moves.set([]);
    let mut reload = Manager::new();
    let settings = reload.source("file", moves.clone()).await.unwrap();
    let addresses = async |address, _| Ok(TcpListener::bind(address).await?);
    let listeners = reload
        .each(
            "listeners",
            &settings,
            move |settings: Lease<Settings>| {
                let extra = settings.values().map(|_| "127.0.0.1:0".parse().unwrap());
                let all = extra.chain([stays]);
                all.map(|address: std::net::SocketAddr| (address, ()))
                    .collect()
            },
            addresses,
        )
        .runs(
            async |listener: Lease<TcpListener>, stop: CancellationToken| {
                while let Some(Ok((stream, _))) = stop.run_until_cancelled(listener.accept()).await
                {
                    drop(stream);
                }
            },
        )
        .await
        .unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        for round in 0..20 {
            match round % 2 {
                0 => moves.set([("one more", round)]),
                _ => moves.set([]),
            }
            let (report, connected) = tokio::join!(handle.reload("test"), async {
                for _ in 0..20 {
                    TcpStream::connect(stays).await?;
                }
                Ok::<_, std::io::Error>(())
            });
            report?;
            connected?;
            assert_eq!(listeners.load().len(), if round % 2 == 0 { 2 } else { 1 });
        }
        Ok(())
    });
    in_time(run).await.unwrap();
    // Closed with its task, though there are handles.
    let rebind = || std::net::TcpListener::bind(stays).is_ok();
    eventually("the port is free", rebind).await;
}

/// What still waits is told to end, and the second attempt waits for that.
#[tokio::test]
async fn a_collection_that_could_not_be_built_may_be_tried_again_at_once() {
    let mut reload = Manager::new();
    let number = reload.source("number", async || Ok(1)).await.unwrap();
    for attempt in 0..2 {
        let settings = |n: Lease<u64>| BTreeMap::from([1, 2].map(|key| (key, *n)));
        let build = async move |key: u64, n: u64| {
            tokio::task::yield_now().await;
            match key {
                1 if attempt == 0 => Err::<u64, BoxError>("not yet".into()),
                _ if attempt == 0 => pending().await,
                _ => Ok(n),
            }
        };
        let built = reload.each("keys", &number, settings, build).await;
        assert_eq!(built.is_ok(), attempt == 1, "{built:?}");
    }
}

#[tokio::test]
async fn a_report_counts_the_keys_of_a_collection() {
    let (file, trace) = (File::default(), Trace::default());
    file.set([("a", 1), ("b", 2), ("c", 3)]);
    let mut reload = Manager::new();
    workers(&mut reload, &file, &trace).await;
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        file.set([("a", 1), ("b", 20), ("d", 4), ("e", 5)]);
        let report = handle.reload("test").await?;
        let step = report.step("workers").expect("it was rebuilt");
        let keys = step.keys().expect("it is a collection");
        let counts = (keys.added(), keys.changed(), keys.kept(), keys.removed());
        assert_eq!(counts, (2, 1, 1, 1));
        let line = report.to_string();
        let counts = " rebuilt=file,workers(added:2,changed:1,kept:1,removed:1) ";
        assert!(line.contains(counts), "{line}");
        let file_step = report.step("file").expect("it was read");
        assert!(file_step.keys().is_none(), "it is no collection");

        let report = handle.reload("nothing changed").await?;
        assert!(report.step("workers").is_none());

        // A check counts what a reload would do.
        file.set([]);
        let report = handle.check().await?;
        let keys = report.step("workers").and_then(|step| step.keys());
        let keys = keys.expect("it was rebuilt, and thrown away");
        let counts = (keys.added(), keys.changed(), keys.kept(), keys.removed());
        assert_eq!(counts, (0, 0, 0, 4));

        file.set([("a", 13)]);
        let error = handle.reload("bad").await.unwrap_err();
        let failure = error.report().and_then(|report| report.failure());
        assert!(failure.expect("the build failed").keys().is_none());
        Ok(())
    });
    in_time(run).await.unwrap();
}
