//! The fields of the admin endpoints' answers are those that their documentation lists.

#![cfg(feature = "http")]

mod support;

use std::collections::BTreeSet;
use std::fmt;
use std::future::pending;
use std::time::Duration;

use http::Request;
use http_body_util::BodyExt;
use rekindle::http::Admin;
use rekindle::{BoxError, Manager, Notifier, OnExit, Trigger};
use serde_json::Value;
use support::{Dial, Latch, eventually, in_time};
use tower_service::Service;

/// The documentation of the module `http`.
const DOCS: &str = include_str!("../src/http.rs");

/// An error with a cause.
#[derive(Debug)]
struct Failure(fmt::Error);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it failed")
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

fn failure<T>() -> Result<T, BoxError> {
    Err(Failure(fmt::Error).into())
}

/// Fails once.
struct Fails(bool);

impl Notifier for Fails {
    async fn notify(&mut self) -> Result<Trigger, BoxError> {
        match std::mem::take(&mut self.0) {
            true => failure(),
            false => pending().await,
        }
    }
}

async fn ask(admin: &Admin, method: &str, path: &str) -> Value {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .body(())
        .unwrap();
    let response = admin.clone().call(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

/// The names that the table below this heading has in its first column.
fn documented(heading: &str) -> BTreeSet<String> {
    let (_, below) = DOCS.split_once(heading).expect("there is the heading");
    let rows = below
        .lines()
        .map(|line| line.trim_start_matches("//!").trim())
        .skip_while(|line| !line.starts_with("| `"))
        .take_while(|line| line.starts_with("| `"));
    let columns = rows.filter_map(|row| row.split('|').nth(1));
    let names = columns.flat_map(|column| column.split(','));
    names
        .map(|name| name.trim().trim_matches('`').to_owned())
        .collect()
}

/// The paths of the values of an answer. Those of `opaque` lists are not gone into.
fn sent(value: &Value, path: &str, opaque: &[&str], paths: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let path = match path {
                    "" => name.clone(),
                    _ => format!("{path}.{name}"),
                };
                sent(value, &path, opaque, paths);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) && !opaque.contains(&path) => {
            for item in items {
                sent(item, &format!("{path}[]"), opaque, paths);
            }
        }
        _ => _ = paths.insert(path.to_owned()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fields_of_the_answers_are_those_of_the_documentation() {
    let (dial, latch) = (Dial::new(1), Latch::new());
    let mut reload = Manager::new().drain(Duration::from_millis(1));
    let number = reload.source("number", dial.clone()).await.unwrap();
    reload.pin("pinned", number.map(|n| *n)).await.unwrap();
    let pool = reload.derive("pool", &number, async |n| Ok(*n));
    let pool = pool.retire(async |_| ()).await.unwrap();
    let user = reload
        .derive("user", &pool, async |n| Ok(*n))
        .await
        .unwrap();
    let closes = latch.clone();
    let closing = reload.derive("closing", &number, async |n| Ok(*n));
    let closing = closing.retire(async move |_| closes.pass().await);
    closing.await.unwrap();
    let keys = |n: rekindle::Lease<u64>| [(*n, ())].into();
    let many = reload.each("many", &number, keys, async |_, ()| Ok(()));
    many.await.unwrap();
    let task = reload.source("task", async || Ok(()));
    let task = task.runs(async |_, _| failure::<()>());
    task.on_exit(OnExit::Leave).await.unwrap();
    let hangs = Latch::new();
    let waits = hangs.clone();
    let last = reload.derive("last", &number, async move |n| {
        waits.pass().await;
        match *n {
            3 => failure(),
            n => Ok(n),
        }
    });
    last.await.unwrap();
    reload.on(Fails(true));

    let admin = Admin::new(reload.handle());
    let handle = reload.handle();
    let (mut reports, mut status) = (Vec::new(), Value::Null);
    let run = reload.run(async |stop| {
        let held = user.lease();
        latch.close();
        dial.set(2);
        reports.push(ask(&admin, "POST", "/reload").await);
        latch.arrival().await;
        eventually("all that the status can list is there", || {
            let status = handle.status();
            status.tasks().any(|task| task.error().is_some())
                && status.notifiers()[0].error().is_some()
                && status.draining().iter().any(|old| old.is_overdue())
        })
        .await;
        dial.set(3);
        reports.push(ask(&admin, "POST", "/reload").await);
        status = ask(&admin, "GET", "/status").await;

        // The last one is interrupted.
        hangs.close();
        let interrupted = ask(&admin, "POST", "/reload");
        let stops = async {
            hangs.arrival().await;
            stop.cancel();
        };
        let (interrupted, ()) = tokio::join!(interrupted, stops);
        reports.push(interrupted);
        latch.open();
        (0..10).for_each(|_| latch.let_one_go());
        drop(held);
    });
    in_time(run).await.unwrap();

    let mut fields = BTreeSet::new();
    for report in &reports {
        sent(report, "", &["overdue"], &mut fields);
    }
    assert_eq!(fields, documented("## The fields of a report"));
    let mut fields = BTreeSet::new();
    sent(&status, "", &["reports"], &mut fields);
    assert_eq!(fields, documented("## The fields of the status"));

    // What the two lists refer to is as they say.
    let (mut overdue, mut draining) = (BTreeSet::new(), BTreeSet::new());
    sent(&reports[1]["overdue"][0], "", &[], &mut overdue);
    sent(&status["draining"][0], "", &[], &mut draining);
    assert_eq!(overdue, draining);
    let mut listed = BTreeSet::new();
    for report in status["reports"].as_array().unwrap() {
        sent(report, "", &["overdue"], &mut listed);
    }
    listed.extend(["error", "committed"].map(str::to_owned));
    assert_eq!(listed, documented("## The fields of a report"));
}

/// The example of the documentation has no field that the list below it has not.
#[test]
fn the_example_of_a_report_has_documented_fields() {
    let (_, example) = DOCS.split_once("```json").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let example: Value = serde_json::from_str(&example.replace("//!", "")).unwrap();
    let mut fields = BTreeSet::new();
    sent(&example, "", &[], &mut fields);
    let documented = documented("## The fields of a report");
    let unknown: Vec<_> = fields.difference(&documented).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
