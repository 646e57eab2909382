//! What functions of the app's warn of, and which reports say so.

mod support;

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use rekindle::{Lease, Manager, Outcome, Report, warn};
use support::{Dial, in_time};
use tokio::task::yield_now;

fn warnings(report: &Report) -> Vec<&str> {
    report.warnings().collect()
}

#[tokio::test]
async fn warnings_of_all_steps_are_in_the_report() {
    let dial = Dial::new(1);
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let doubled = reload.derive("doubled", &number, async |number: Lease<u64>| {
        // In a task of its own from here on.
        yield_now().await;
        warn(format_args!("{number} is small"));
        Ok(*number * 2)
    });
    doubled.await.unwrap();
    reload
        .each(
            "keys",
            &number,
            |number| BTreeMap::from([(1, *number), (2, 0)]),
            async |key, _| {
                yield_now().await;
                warn(format_args!("key {key}"));
                Ok(())
            },
        )
        .await
        .unwrap();
    let effect = async |_: Lease<u64>| warn("an effect");
    reload.apply("push", &number, effect).await.unwrap();
    reload.add(0, "audit", async |_| warn("a reloader"));

    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(2);
        let check = handle.check().await?;
        assert_eq!(check.outcome(), Outcome::Valid);
        let mut built = warnings(&check);
        built.sort_unstable();
        // The key whose setting stays is left alone.
        assert_eq!(built, ["2 is small", "key 1"]);

        let report = handle.reload("test").await?;
        let mut all = warnings(&report);
        all.sort_unstable();
        assert_eq!(all, ["2 is small", "a reloader", "an effect", "key 1"]);
        assert!(report.to_string().contains(" warnings=4"), "{report}");

        // Nothing is built again; the reloader runs in every reload.
        let report = handle.reload("test").await?;
        assert_eq!(report.outcome(), Outcome::Unchanged);
        assert_eq!(warnings(&report), ["a reloader"]);
        let check = handle.check().await?;
        assert!(!check.to_string().contains("warnings"), "{check}");
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn a_rejected_reload_keeps_its_warnings() {
    let dial = Dial::new(1);
    let mut reload = Manager::new();
    let number = reload.source("number", dial.clone()).await.unwrap();
    let odd = reload.derive("odd", &number, async |number: Lease<u64>| {
        warn(format_args!("{number} was seen"));
        match *number % 2 {
            1 => Ok(()),
            _ => Err("even".into()),
        }
    });
    odd.await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(2);
        let error = handle.reload("test").await.unwrap_err();
        let report = error.report().expect("the reload was made");
        assert_eq!(report.outcome(), Outcome::Rejected);
        assert_eq!(warnings(report), ["2 was seen"]);
        dial.set(3);
        let report = handle.reload("test").await?;
        assert_eq!(warnings(&report), ["3 was seen"]);
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn a_rolled_back_reload_keeps_its_warnings() {
    let dial = Dial::new(1);
    let probe = async || {
        warn("the probe");
        Err("unwell".into())
    };
    let mut reload = Manager::new().probation(Duration::from_millis(1), probe);
    let number = reload.source("number", dial.clone()).await.unwrap();
    let effect = async |number: Lease<u64>| warn(format_args!("effect of {number}"));
    reload.apply("push", &number, effect).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(2);
        let error = handle.reload("test").await.unwrap_err();
        let report = error.report().expect("the reload was made");
        assert_eq!(report.outcome(), Outcome::RolledBack);
        let expected = ["effect of 2", "the probe", "effect of 1"];
        assert_eq!(warnings(report), expected);
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn a_warning_from_elsewhere_is_in_no_report() {
    let mut reload = Manager::new();
    let source = reload.source("source", async || {
        let other = thread::spawn(|| warn("from a thread"));
        other.join().expect("it does not panic");
        Ok(())
    });
    source.await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        warn("from the app");
        assert_eq!(warnings(&*handle.reload("test").await?), [""; 0]);
        Ok(())
    });
    in_time(run).await.unwrap();
}
