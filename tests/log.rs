//! The log: it may fail without anything else failing, and each event is one line.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rekindle::{BoxError, Manager, Notifier, OnExit, Outcome, Trigger, run};
use tokio::runtime::Builder;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

mod support;

use support::{Dial, eventually};

/// Collects the events of this thread; what happens with each is up to `then`.
struct Log {
    events: Mutex<Vec<(Level, String)>>,
    then: fn(),
}

/// The end of a [`Log`] that is handed to `tracing`.
struct Attached(Arc<Log>);

impl Log {
    fn attach(then: fn()) -> (Arc<Self>, tracing::subscriber::DefaultGuard) {
        let log = Arc::new(Self {
            events: Mutex::default(),
            then,
        });
        let attached = Attached(Arc::clone(&log));
        (log, tracing::subscriber::set_default(attached))
    }

    fn events(&self) -> Vec<(Level, String)> {
        self.events.lock().unwrap().clone()
    }

    fn said(&self, text: &str) -> bool {
        self.events().iter().any(|(_, line)| line.contains(text))
    }

    #[track_caller]
    fn has(&self, level: Level, text: &str) {
        let events = self.events();
        let found = events
            .iter()
            .any(|(at, line)| *at == level && line.contains(text));
        assert!(found, "no {level} with `{text}` in {events:#?}");
    }
}

impl Subscriber for Attached {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        assert!(!metadata.is_span());
        if !metadata.target().starts_with("rekindle") {
            return;
        }
        let mut line = Line::default();
        event.record(&mut line);
        let event = (*metadata.level(), line.0);
        self.0.events.lock().unwrap().push(event);
        (self.0.then)();
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.0.push_str(&format!("{value:?}")),
            name => self.0.push_str(&format!(" {name}={value:?}")),
        }
    }
}

/// As `tracing_subscriber::fmt` does when neither the line nor its complaint can be written.
fn panic() {
    panic!("failed printing to stderr");
}

struct Broken;

impl Notifier for Broken {
    async fn notify(&mut self) -> Result<Trigger, BoxError> {
        Err("no connection".into())
    }

    fn name(&self) -> String {
        "broken".to_owned()
    }
}

/// Panics when it is dropped, which is logged.
#[derive(Clone)]
struct Grumpy;

impl Drop for Grumpy {
    fn drop(&mut self) {
        panic!("not me");
    }
}

/// A manager that logs all that it can: applied, unchanged, rejected, partial; a notifier, a task, a
/// retirement and a drop that fail; and a lease that is held too long.
async fn everything_is_logged(log: Arc<Log>) -> Result<(), BoxError> {
    let (dial, cache) = (Dial::new(1), Dial::new(1));
    let mut reload = Manager::new()
        .drain(Duration::from_millis(1))
        .shutdown_timeout(Duration::from_secs(1));
    let value = reload
        .source("value", dial.clone())
        .retire(async |_| Err("cannot be closed".into()))
        .await?;
    reload
        .derive("task", &value, async |value| Ok(*value))
        .runs(async |_, _| Err("the task failed".into()))
        .on_exit(OnExit::Leave)
        .await?;
    reload
        .derive("grumpy", &value, async |_| Ok(Grumpy))
        .await?;
    let switch = cache.clone();
    reload.add(0, "cache", async move |_| {
        match rekindle::Source::read(&switch, None).await {
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    });
    reload.on(Broken);

    let handle = reload.handle();
    let mut group = run::Group::new();
    group.add_pair("late", std::future::pending::<()>(), |_| {
        panic!("no interrupt")
    });
    group.add("app", async move |_| {
        let held = value.lease();
        for generation in 2..5 {
            dial.set(generation);
            let report = handle.reload("example").await?;
            assert_eq!(report.outcome(), Outcome::Applied);
            assert_eq!(report.generation(), generation);
        }
        assert_eq!(handle.reload("again").await?.outcome(), Outcome::Unchanged);
        dial.set(5);
        assert_eq!(handle.check().await?.outcome(), Outcome::Valid);
        cache.break_with("the cache is gone");
        assert!(handle.reload("partial").await.unwrap_err().is_partial());
        dial.break_with("no value");
        assert!(handle.reload("rejected").await.unwrap_err().is_rejected());
        assert!(handle.check().await.unwrap_err().is_rejected());
        eventually("the lease is overdue", || log.said("still draining")).await;
        drop(held);
        Ok::<(), BoxError>(())
    });
    reload
        .run(async |stop| {
            // The run of the group says in its own way that one actor was late.
            let error = group.run_until(stop).await.unwrap_err();
            assert!(error.is_late() && !error.is_failed(), "{error:?}");
        })
        .await
}

fn current_thread() -> tokio::runtime::Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_subscriber_that_panics_ends_nothing() {
    let (log, _attached) = Log::attach(panic);
    current_thread()
        .block_on(everything_is_logged(Arc::clone(&log)))
        .unwrap();
    for (level, text) in [
        (
            Level::INFO,
            "reload applied: triggers=example generation=2 ",
        ),
        (
            Level::INFO,
            "reload applied: triggers=example generation=4 ",
        ),
        (Level::ERROR, "reload partial: triggers=partial"),
        (Level::ERROR, "reload rejected: triggers=rejected"),
        (Level::WARN, "check rejected: triggers="),
        (Level::ERROR, "notifier `broken` failed"),
        (Level::ERROR, "the task of component `task` failed"),
        (
            Level::ERROR,
            "an old value of component `value` could not be retired",
        ),
        (Level::ERROR, "dropping a value of `grumpy` panicked"),
        (Level::WARN, "still draining: component `value`"),
        (Level::INFO, "the run group ends: actor `app` returned"),
        (Level::ERROR, "the interrupt of actor `late` failed"),
        (
            Level::WARN,
            "still running 540ms after the stop: actor `late` (aborted)",
        ),
    ] {
        log.has(level, text);
    }
}

/// The macro of `src/log.rs` catches what a subscriber does; a call past it would not.
#[test]
fn only_one_place_emits_events() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = vec![src.clone()];
    let mut seen = 0;
    while let Some(path) = sources.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            sources.extend(entries.map(|entry| entry.unwrap().path()));
            continue;
        }
        seen += 1;
        for (line, number) in fs::read_to_string(&path).unwrap().lines().zip(1..) {
            let code = line.trim_start();
            // An output of its own panics when it is closed, as a subscriber does.
            let emits = ["tracing::", "println!", "print!", "dbg!"]
                .iter()
                .any(|what| code.contains(what));
            let is_doc = code.starts_with("//");
            assert!(
                !emits || is_doc || path == src.join("log.rs"),
                "{}:{number}: {code}",
                path.display()
            );
        }
    }
    assert!(seen > 100, "{seen} files");
}

/// Ends a line, begins one that looks like ours, clears the screen, and turns the direction of text.
const HOSTILE: &str =
    "a\nERROR rekindle: reload rejected\r\x1b[2J\x07\u{9b}1m\u{85}\u{2028}\u{202e}b";

/// A part of how that is shown.
const SHOWN: &str = r"a\nERROR rekindle: reload rejected\r\u{1b}[2J";

#[track_caller]
fn is_one_line(shown: &str) {
    let torn = |c: char| c.is_control() || "\u{2028}\u{2029}\u{202e}".contains(c);
    assert!(!shown.contains(torn), "{shown:?}");
    assert!(shown.contains(SHOWN), "{shown:?}");
}

#[derive(Debug)]
struct Hostile(Option<Box<Hostile>>);

impl fmt::Display for Hostile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HOSTILE)
    }
}

impl std::error::Error for Hostile {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.as_ref().map(|cause| &**cause as _)
    }
}

fn hostile() -> BoxError {
    Hostile(Some(Box::new(Hostile(None)))).into()
}

struct HostileNotifier;

impl Notifier for HostileNotifier {
    async fn notify(&mut self) -> Result<Trigger, BoxError> {
        Err(hostile())
    }

    fn name(&self) -> String {
        HOSTILE.to_owned()
    }
}

#[test]
fn text_from_outside_is_shown_in_one_line() {
    let (log, _attached) = Log::attach(|| {});
    current_thread()
        .block_on(all_is_hostile(Arc::clone(&log)))
        .unwrap();
    let events = log.events();
    for (_, line) in &events {
        assert!(!line.contains(char::is_control), "{line:?}");
    }
    for text in [
        "reload applied: triggers=a\\nERROR",
        "reload rejected: triggers=a\\nERROR",
        "check rejected",
        "reload partial: triggers=a\\nERROR",
        "notifier `a\\nERROR",
        "still draining: component `pools[a\\nERROR",
        "an old value of component `pools[a\\nERROR",
        "the run group ends: actor `first` failed: a\\nERROR",
        "actor `second` failed while it ended: a\\nERROR",
        "the task of component `pools[a\\nERROR",
    ] {
        let found = events.iter().any(|(_, line)| line.contains(text));
        assert!(found, "no line with `{text}` in {events:#?}");
    }
}

async fn all_is_hostile(log: Arc<Log>) -> Result<(), BoxError> {
    let (keys, cache) = (Dial::new(1), Dial::new(1));
    let mut reload = Manager::new().drain(Duration::from_millis(1));
    let numbers = reload.source("keys", keys.clone()).await?;
    let pools = reload
        .each(
            "pools",
            &numbers,
            |number| std::collections::BTreeMap::from([(HOSTILE.to_owned(), *number)]),
            async |_, number| match number {
                9 => Err(hostile()),
                _ => Ok(number),
            },
        )
        .runs(async |_, _| Err(hostile()))
        .on_exit(OnExit::Leave)
        .retire(async |_| Err(hostile()))
        .await?;
    let switch = cache.clone();
    reload.add(0, "cache", async move |_| {
        match rekindle::Source::read(&switch, None).await {
            Ok(_) => Ok(()),
            Err(_) => Err(hostile()),
        }
    });
    reload.on(HostileNotifier);
    let handle = reload.handle();
    let app = async move |_| {
        let held = pools.load().get(HOSTILE).expect("it is the key").clone();
        keys.set(2);
        let report = handle.reload(HOSTILE.to_owned()).await?;
        is_one_line(&report.to_string());
        is_one_line(&report.triggers().to_string());
        is_one_line(&format!("{:?}", report.triggers()));
        let trigger = report.triggers().iter().next().expect("there is one");
        assert_eq!(trigger.as_str(), HOSTILE);
        is_one_line(&format!("{trigger} {trigger:?}"));

        eventually("the lease is overdue", || log.said("still draining")).await;
        let status = handle.status();
        is_one_line(&status.draining()[0].to_string());
        eventually("the task has failed", || {
            handle.status().tasks().any(|task| task.error().is_some())
        })
        .await;
        let status = handle.status();
        let task = status
            .tasks()
            .find(|task| task.error().is_some())
            .expect("it was seen");
        is_one_line(task.component());
        is_one_line(&task.error().expect("it was seen").chain());
        is_one_line(status.notifiers()[0].name());
        is_one_line(&format!("{:?}", status.notifiers()));

        keys.set(9);
        let error = handle.reload(HOSTILE.to_owned()).await.unwrap_err();
        is_one_line(&format!("{error:?}"));
        let step = error
            .report()
            .and_then(|report| report.failure())
            .expect("a step failed");
        let error = step.error().expect("it failed");
        is_one_line(&error.to_string());
        is_one_line(&format!("{error:?}"));
        error.causes().for_each(is_one_line);
        is_one_line(&format!("{:?}", handle.check().await.unwrap_err()));
        keys.set(2);
        cache.break_with("no cache");
        let error = handle.reload(HOSTILE.to_owned()).await.unwrap_err();
        is_one_line(&error.report().expect("it was made").to_string());
        drop(held);
        Err::<(), _>(hostile())
    };
    let mut group = run::Group::new();
    group.add("first", app);
    group.add("second", async |stop| {
        stop.cancelled().await;
        Err::<(), _>(hostile())
    });
    reload
        .run(async |stop| {
            let error = group.run_until(stop).await.unwrap_err();
            is_one_line(&format!("{error:?}"));
        })
        .await
}

#[tokio::test]
async fn names_with_control_characters_are_refused() {
    let mut reload = Manager::new();
    let value = reload.source("value", async || Ok(1)).await.unwrap();
    let errors = [
        reload.source(HOSTILE, async || Ok(1)).await.unwrap_err(),
        reload
            .derive(HOSTILE, &value, async |value| Ok(*value))
            .await
            .unwrap_err(),
        reload
            .apply(HOSTILE, &value, async |_| ())
            .await
            .unwrap_err(),
        reload
            .each(
                HOSTILE,
                &value,
                |value| [(*value, ())].into(),
                async |key, ()| Ok(key),
            )
            .await
            .unwrap_err(),
    ];
    for error in errors {
        is_one_line(&error.to_string());
        assert!(
            error
                .to_string()
                .ends_with("has control characters; give it one of printable text")
        );
    }
    assert_eq!(reload.handle().status().components(), 1);
    // Printable text of any language is a name.
    reload
        .source("wartość „日本” 'x' \\n", async || Ok(1))
        .await
        .unwrap();
}

#[test]
#[should_panic = "has control characters"]
fn a_reloader_name_with_control_characters_panics() {
    Manager::new().add(0, HOSTILE, async |_| ());
}

#[test]
#[should_panic = "has control characters"]
fn an_actor_name_with_control_characters_panics() {
    run::Group::new().add(HOSTILE, async |_| ());
}

#[cfg(feature = "file")]
#[tokio::test]
async fn a_file_name_is_shown_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(HOSTILE);
    let mut reload = Manager::new();
    let error = reload
        .source("missing", rekindle::file::text(&path))
        .await
        .unwrap_err();
    is_one_line(&format!("{error:?}"));
    let inner = std::error::Error::source(&error).expect("it has a cause");
    is_one_line(&inner.to_string());

    // A watched file is a notifier of that name.
    fs::write(&path, "text").unwrap();
    reload
        .source("file", rekindle::file::text(&path).watch())
        .await
        .unwrap();
    is_one_line(reload.handle().status().notifiers()[0].name());
}

#[tokio::test]
async fn what_changed_nothing_is_logged_at_debug() {
    let (log, _attached) = Log::attach(|| {});
    let dial = Dial::new(1);
    let mut reload = Manager::new();
    reload.source("dial", dial.clone()).await.unwrap();
    let handle = reload.handle();
    reload
        .run(async move |_| {
            handle.reload("unchanged").await?;
            handle.check().await?;
            dial.set(2);
            handle.check().await?;
            handle.reload("changed").await?;
            Ok(())
        })
        .await
        .unwrap();
    log.has(Level::DEBUG, "reload unchanged: ");
    log.has(Level::DEBUG, "check unchanged: ");
    log.has(Level::DEBUG, "check valid: ");
    let above: Vec<_> = log
        .events()
        .into_iter()
        .filter(|(level, _)| *level < Level::DEBUG)
        .collect();
    assert!(
        matches!(&above[..], [(Level::INFO, line)] if line.starts_with("reload applied: ")),
        "{above:?}"
    );
}
