//! Many readers of one file, and many files of which one changes.
// With all formats, so that it runs once and not once for each feature.
#![cfg(all(feature = "json", feature = "toml", feature = "yaml", unix))]

use std::fs;
use std::time::Duration;

use rekindle::{Action, Manager, Outcome, file};

use saves::{Running, directory, replace};

mod saves;

/// Both are in the same generation. Each has a watcher of its own, so that the second may ask for a
/// reload when the first one's has brought both up to date; it finds nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn two_components_of_one_file_change_in_one_generation() {
    let (_dir, path) = directory();
    let mut manager = Manager::new();
    let text = file::text(&path).watch().poll(None);
    let text = manager.source("text", text).await.unwrap();
    let bytes = file::bytes(&path).watch().poll(None);
    let bytes = manager.source("bytes", bytes).await.unwrap();
    let both = async |(text, bytes): (rekindle::Lease<String>, rekindle::Lease<Vec<u8>>)| {
        Ok((String::clone(&text), bytes.to_vec()))
    };
    let both = manager.derive("both", (&text, &bytes), both).await.unwrap();
    let ever = saves::record(&mut manager, &both).await;
    let mut running = Running::new(manager);
    let mut expected = ever.lock().unwrap().clone();
    for contents in ["one", "two", "three"] {
        replace(&path, contents);
        let report = running.applies_once().await;
        for name in ["text", "bytes"] {
            assert_eq!(report.step(name).unwrap().action(), Action::Rebuilt);
        }
        expected.push((contents.to_owned(), contents.as_bytes().to_vec()));
        assert_eq!(*ever.lock().unwrap(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hundred_files_only_the_one_that_changed_is_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    let path = |number: usize| dir.path().join(format!("{number}.conf"));
    let mut manager = Manager::new();
    let mut values = Vec::new();
    for number in 0..200 {
        fs::write(path(number), "start").unwrap();
        // The files are replaced as a whole, so there is nothing to wait for.
        let file = file::text(path(number)).watch().poll(None);
        let name = format!("file {number}");
        let file = file.quiet(Duration::from_millis(2)).trigger(name.clone());
        values.push(manager.source(name, file).await.unwrap());
    }
    // For when there are more files than inotify instances, and some are polled once a second.
    let mut running = Running::new(manager).resting_for(Duration::from_millis(1200));
    for number in [3, 150, 199] {
        replace(&path(number), "changed");
        let report = running.report().await;
        assert_eq!(report.outcome(), Outcome::Applied, "{report}");
        assert_eq!(report.triggers().to_string(), format!("file {number}"));
        let steps = report.steps().iter();
        let rebuilt = steps.filter(|step| step.action() == Action::Rebuilt);
        let rebuilt: Vec<_> = rebuilt.map(|step| step.name()).collect();
        assert_eq!(rebuilt, [format!("file {number}")]);
        running.rests().await;
        assert_eq!(*values[number].load(), "changed");
    }
    let untouched = values.iter().filter(|value| *value.load() == "start");
    assert_eq!(untouched.count(), 197);
}
