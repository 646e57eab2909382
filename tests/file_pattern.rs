//! Patterns that are watched: whatever comes to match is seen.
#![cfg(all(feature = "file", unix))]

use std::fs;
use std::time::Duration;

use rekindle::file;
use rekindle::{Notifier, Reading, Source};
use tokio::time::timeout;

mod support;

use support::in_time;

/// One more than a pattern may stand for.
const TOO_MANY: usize = 10_001;

#[tokio::test]
async fn a_pattern_that_was_refused_is_reported_when_it_is_good_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = |number: usize| dir.path().join(format!("{number}.conf"));
    fs::write(path(0), "").unwrap();
    let mut source = file::set([dir.path().join("*.conf")])
        .quiet(Duration::from_millis(5))
        .watch()
        .poll(None);
    let mut watch = Source::watch(&mut source).unwrap().unwrap();
    _ = source.read(None).await;
    for _ in 0..3 {
        for number in 1..TOO_MANY {
            fs::hard_link(path(0), path(number)).unwrap();
        }
        while source.read(None).await.is_ok() {
            in_time(watch.notify()).await.unwrap();
        }
        // What there is to report of the creation is reported.
        while timeout(Duration::from_millis(200), watch.notify())
            .await
            .is_ok()
        {}
        let Err(error) = source.read(None).await else {
            panic!("it is not refused");
        };
        assert!(error.to_string().contains("more than 10000"), "{error}");

        for number in 1..TOO_MANY {
            fs::remove_file(path(number)).unwrap();
        }
        in_time(watch.notify()).await.unwrap();
        match source.read(None).await {
            Ok(Reading::Stamped(files, _)) => assert_eq!(files.len(), 1),
            Ok(_) => panic!("files have a stamp"),
            Err(error) => panic!("{error}"),
        }
    }
}
