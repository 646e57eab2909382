//! The twins of the programs in `tests/compile_fail/`: the same without the mistake.
//!
//! They compile and run, so those that do not compile fail for their mistake and for nothing else.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use rekindle::{BoxError, Error, Lease, Manager, Notifier, Reloader, Trigger, Triggers};
use tokio::sync::{Mutex, mpsc, watch};

struct Printer(String);

#[derive(Clone)]
struct Client;

struct Curler(Client, String);

#[tokio::test]
async fn plain_value_derive() -> Result<(), Error> {
    let mut reload = Manager::new();
    let text = reload
        .source("text", async || Ok("hello".to_owned()))
        .await?;
    let printer = reload
        .derive("printer", &text, async |text| Ok(Printer(text.to_string())))
        .await?;
    assert_eq!(printer.load().0, "hello");
    Ok(())
}

#[tokio::test]
async fn plain_value_source() -> Result<(), Error> {
    let mut reload = Manager::new();
    let text = reload
        .source("text", async || Ok("hello".to_owned()))
        .await?;
    assert_eq!(*text.load(), "hello");
    Ok(())
}

#[tokio::test]
async fn wrong_error_derive() -> Result<(), Error> {
    async fn build(text: Lease<String>) -> Result<Printer, io::Error> {
        Ok(Printer(text.to_string()))
    }

    let mut reload = Manager::new();
    let text = reload
        .source("text", async || Ok("hello".to_owned()))
        .await?;
    let printer = reload
        .derive("printer", &text, async |input| Ok(build(input).await?))
        .await?;
    assert_eq!(printer.load().0, "hello");
    Ok(())
}

#[tokio::test]
async fn wrong_error_source() -> Result<(), Error> {
    async fn read() -> Result<String, io::Error> {
        Ok("hello".to_owned())
    }

    let mut reload = Manager::new();
    let text = reload.source("text", async || Ok(read().await?)).await?;
    assert_eq!(*text.load(), "hello");
    Ok(())
}

#[tokio::test]
async fn wrong_error_apply() -> Result<(), Error> {
    async fn push(_: Lease<String>) -> Result<(), io::Error> {
        Ok(())
    }

    let mut reload = Manager::new();
    let level = reload
        .source("level", async || Ok("info".to_owned()))
        .await?;
    reload
        .apply("log level", &level, async |input| Ok(push(input).await?))
        .await
}

#[test]
fn wrong_error_reloader() {
    async fn audit(_: Triggers) -> Result<(), io::Error> {
        Ok(())
    }

    Manager::new().add(0, "audit", async |triggers| Ok(audit(triggers).await?));
}

#[tokio::test]
async fn no_handle() -> Result<(), Error> {
    let mut reload = Manager::new();
    let text = "hello".to_owned();
    let text = reload
        .source("text", async move || Ok(text.clone()))
        .await?;
    let loud = reload
        .derive("loud", &text, async |text| Ok(text.to_uppercase()))
        .await?;
    assert_eq!(*loud.load(), "HELLO");
    Ok(())
}

#[tokio::test]
async fn no_handle_in_tuple() -> Result<(), Error> {
    let mut reload = Manager::new();
    let times = 2;
    let text = reload
        .source("text", async || Ok("hello".to_owned()))
        .await?;
    let long = reload
        .derive("long", &text, async move |text| Ok(text.repeat(times)))
        .await?;
    assert_eq!(*long.load(), "hellohello");
    Ok(())
}

#[tokio::test]
async fn missing_await_input() -> Result<(), Error> {
    let mut reload = Manager::new();
    let text = reload
        .source("text", async || Ok("hello".to_owned()))
        .await?;
    let loud = reload
        .derive("loud", &text, async |text| Ok(text.to_uppercase()))
        .await?;
    assert_eq!(*loud.load(), "HELLO");
    Ok(())
}

#[tokio::test]
async fn missing_question_mark_input() -> Result<(), Error> {
    let mut reload = Manager::new();
    let text = reload
        .source("text", async || Ok("hello".to_owned()))
        .await?;
    let loud = reload
        .derive("loud", &text, async |text| Ok(text.to_uppercase()))
        .await?;
    assert_eq!(*loud.load(), "HELLO");
    Ok(())
}

#[tokio::test]
#[deny(unused_must_use)]
async fn missing_await_dropped() -> Result<(), Error> {
    let mut reload = Manager::new();
    let level = reload
        .source("level", async || Ok("info".to_owned()))
        .await?;
    reload
        .derive("loud", &level, async |level| Ok(level.to_uppercase()))
        .await?;
    reload.apply("log level", &level, async |_| ()).await?;
    Ok(())
}

#[test]
fn reloader_returns_number() {
    Manager::new().add(0, "audit", async |_| {
        let _ = 5;
    });
}

#[test]
fn no_reloader() {
    struct Audit;

    impl Reloader for Audit {
        async fn reload(&self, _: Triggers) -> Result<(), BoxError> {
            Ok(())
        }
    }

    Manager::new().add(0, "audit", Audit);
}

#[tokio::test]
async fn not_clone() -> Result<(), Error> {
    let mut reload = Manager::new();
    let client = Client;
    let url = reload
        .source("url", async || Ok("http://localhost".to_owned()))
        .await?;
    let curler = reload
        .derive("curler", &url, async move |url| {
            Ok(Curler(client, url.to_string()))
        })
        .await?;
    assert_eq!(curler.load().1, "http://localhost");
    Ok(())
}

#[tokio::test]
async fn not_send_value() -> Result<(), Error> {
    let mut reload = Manager::new();
    let text = reload
        .source("text", async || Ok("hello".to_owned()))
        .await?;
    let shared = reload
        .derive("shared", &text, async |text| Ok(Arc::new(text.len())))
        .await?;
    assert_eq!(**shared.load(), 5);
    Ok(())
}

#[tokio::test]
async fn not_send_value_source() -> Result<(), Error> {
    let mut reload = Manager::new();
    let shared = reload.source("shared", async || Ok(Arc::new(5))).await?;
    assert_eq!(**shared.load(), 5);
    Ok(())
}

#[tokio::test]
async fn not_send_capture() -> Result<(), Error> {
    let mut reload = Manager::new();
    let times = Arc::new(2);
    let text = reload
        .source("text", async || Ok("hello".to_owned()))
        .await?;
    let long = reload
        .derive("long", &text, async move |text| Ok(text.repeat(*times)))
        .await?;
    assert_eq!(*long.load(), "hellohello");
    Ok(())
}

#[test]
fn no_notifier() {
    let period = std::time::Duration::from_secs(60);
    Manager::new().on(rekindle::notify::interval(period));
}

#[test]
fn notifier_returns_text() {
    Manager::new().on(async || Ok("tick".into()));
}

#[test]
fn notifier_returns_ok_text() {
    Manager::new().on(async || Ok("tick".into()));
}

#[test]
fn notifier_changes_capture() {
    struct Changes(mpsc::Receiver<u32>);

    impl Notifier for Changes {
        async fn notify(&mut self) -> Result<Trigger, BoxError> {
            self.0.recv().await;
            Ok("changed".into())
        }
    }

    Manager::new().on(Changes(mpsc::channel(1).1));
}

#[test]
fn wrong_channel() {
    struct Key(&'static str);

    impl From<Key> for Trigger {
        fn from(key: Key) -> Self {
            key.0.into()
        }
    }

    Manager::new().on(mpsc::channel::<Key>(1).1);
}

#[tokio::test]
async fn app_returns_number() -> Result<(), BoxError> {
    Manager::new()
        .run(async |_stop| {
            let _ = 5;
        })
        .await
}

#[test]
fn counter_reloader() {
    let reloads = Arc::new(AtomicU32::new(0));
    Manager::new().add(0, "counter", async move |_| {
        let before = reloads.fetch_add(1, Relaxed);
        assert_eq!(before, 0);
    });
}

#[test]
fn counter_plain_closure() {
    let reloads = Arc::new(AtomicU32::new(0));
    Manager::new().add(0, "counter", move |_| {
        let before = reloads.fetch_add(1, Relaxed);
        async move { assert_eq!(before, 0) }
    });
}

#[tokio::test]
async fn counter_source() -> Result<(), Error> {
    let mut reload = Manager::new();
    let reads = Arc::new(AtomicU32::new(0));
    let number = reload
        .source("number", async move || Ok(reads.fetch_add(1, Relaxed) + 1))
        .await?;
    assert_eq!(*number.load(), 1);
    Ok(())
}

#[test]
fn counter_probe() {
    let failures = Arc::new(AtomicU32::new(0));
    let reload = Manager::new().probation(Duration::from_secs(30), async move || {
        match failures.fetch_add(1, Relaxed) {
            0..2 => Ok(()),
            _ => Err("not well".into()),
        }
    });
    drop(reload);
}

#[test]
fn counter_notifier() {
    let triggers = Arc::new(AtomicU32::new(0));
    Manager::new().on(async move || {
        let before = triggers.fetch_add(1, Relaxed);
        Ok(format!("number {}", before + 1).into())
    });
}

#[test]
fn receiver_in_reloader() {
    let health = Arc::new(Mutex::new(watch::channel(true).1));
    Manager::new().add(0, "health", async move |_| {
        health.lock().await.changed().await?;
        Ok(())
    });
}

#[test]
fn receiver_in_notifier() {
    struct Changes(watch::Receiver<u32>);

    impl Notifier for Changes {
        async fn notify(&mut self) -> Result<Trigger, BoxError> {
            self.0.changed().await?;
            Ok("changed".into())
        }
    }

    Manager::new().on(Changes(watch::channel(0).1));
}

#[tokio::test]
async fn capture_moved_out() -> Result<(), Error> {
    let mut reload = Manager::new();
    let text = "hello".to_owned();
    let text = reload
        .source("text", async move || Ok(text.clone()))
        .await?;
    assert_eq!(*text.load(), "hello");
    Ok(())
}

#[test]
fn cell_notifier() {
    let triggers = Arc::new(AtomicU32::new(0));
    Manager::new().on(async move || {
        triggers.fetch_add(1, Relaxed);
        Ok("again".into())
    });
}

#[tokio::test]
async fn cell_source() -> Result<(), Error> {
    let mut reload = Manager::new();
    let reads = Arc::new(AtomicU32::new(0));
    reload
        .source("reads", async move || {
            reads.fetch_add(1, Relaxed);
            Ok(reads.load(Relaxed))
        })
        .await?;
    Ok(())
}

#[test]
fn cell_reloader() {
    let reloads = Arc::new(AtomicU32::new(0));
    Manager::new().add(0, "counter", async move |_| {
        reloads.fetch_add(1, Relaxed);
    });
}

#[test]
fn cell_probe() {
    let calls = Arc::new(AtomicU32::new(0));
    let reload = Manager::new().probation(Duration::from_secs(30), async move || {
        calls.fetch_add(1, Relaxed);
    });
    drop(reload);
}

#[tokio::test]
async fn no_source() -> Result<(), Error> {
    let mut reload = Manager::new();
    let text = reload.source("text", async || Ok("hello")).await?;
    assert_eq!(*text.load(), "hello");
    Ok(())
}

#[test]
fn no_probe() {
    let reload = Manager::new().probation(Duration::from_secs(30), async || Ok(()));
    drop(reload);
}
