//! What is no change is no reload, what stays bad is refused once, and what is edited while somebody
//! looks is not forgotten.
// With all formats, so that it runs once and not once for each feature.
#![cfg(all(feature = "json", feature = "toml", feature = "yaml", unix))]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rekindle::{Manager, Outcome, file};

use saves::kubelet::Volume;
use saves::{Running, Saves, directory, replace};
use support::Latch;

mod saves;
mod support;

const CONTENTS: [&str; 3] = ["one", "two", "three"];

fn touch(path: &Path) {
    assert!(Command::new("touch").arg(path).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_no_byte_is_no_reload() {
    let (dir, path) = directory();
    // It is looked at all the time, too.
    let file = file::text(&path).watch().poll(Duration::from_millis(50));
    let mut saves = Saves::of(file).await;
    for contents in CONTENTS {
        touch(&path);
        saves.rests().await;
        let old = fs::read_to_string(&path).unwrap();
        fs::write(&path, &old).unwrap();
        saves.rests().await;
        replace(&path, &old);
        saves.rests().await;
        fs::write(dir.path().join("another.conf"), contents).unwrap();
        saves.rests().await;
        fs::write(&path, contents).unwrap();
        saves.becomes(contents).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resync_of_the_kubelet_is_no_reload() {
    let dir = tempfile::tempdir().unwrap();
    let mut volume = Volume::new(dir.path().join("mount"));
    volume.sync(&[("app.conf", "start")]);
    let path = dir.path().join("mount/app.conf");
    let file = file::text(path).watch().poll(Duration::from_millis(50));
    let mut saves = Saves::of(file).await;
    for contents in CONTENTS {
        volume.sync(&[("app.conf", contents)]);
        saves.becomes(contents).await;
        for _ in 0..3 {
            volume.sync(&[("app.conf", contents)]);
        }
        saves.rests().await;
    }
}

#[cfg(feature = "toml")]
mod bad {
    use std::collections::BTreeMap;

    use super::*;

    type Table = BTreeMap<String, u8>;

    async fn watch(path: &Path) -> Saves<Table> {
        fs::write(path, "a = 1").unwrap();
        Saves::of(file::toml(path).watch().poll(Duration::from_millis(50))).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_file_that_stays_bad_is_refused_once() {
        let (_dir, path) = directory();
        let mut saves = watch(&path).await;
        for number in 2..5 {
            let bad = format!("a = bad {number}");
            fs::write(&path, &bad).unwrap();
            saves.refuses("app.conf:1").await;
            touch(&path);
            saves.rests().await;
            fs::write(&path, &bad).unwrap();
            saves.rests().await;
            replace(&path, &bad);
            saves.rests().await;
            fs::write(&path, format!("a = {number}")).unwrap();
            saves.becomes(Table::from([("a".to_owned(), number)])).await;
        }
    }

    /// The good contents are live already, so that there is nothing to apply; but somebody has been
    /// told that the file is bad.
    #[tokio::test(flavor = "multi_thread")]
    async fn the_old_contents_after_bad_ones_are_said_to_be_good_again() {
        let (_dir, path) = directory();
        let mut saves = watch(&path).await;
        for _ in 0..3 {
            fs::write(&path, "a = bad").unwrap();
            saves.refuses("app.conf:1").await;
            fs::write(&path, "a = 1").unwrap();
            saves.is_good_again().await;
        }
    }
}

const QUIET: Duration = Duration::from_millis(300);

/// A file whose reader can be held up between the read and the commit.
async fn held_up(path: &Path) -> (Running, Latch, impl Fn() -> Vec<String>) {
    let mut manager = Manager::new();
    // Long enough for the test to be first where it has to be.
    let text = file::text(path).watch().poll(None).quiet(QUIET);
    let text = manager.source("text", text).await.unwrap();
    let latch = Latch::new();
    let build = {
        let latch = latch.clone();
        async move |text: rekindle::Lease<String>| {
            latch.pass().await;
            Ok(String::clone(&text))
        }
    };
    let held_up = manager.derive("held up", &text, build).await.unwrap();
    let live = saves::record(&mut manager, &held_up).await;
    let live = move || live.lock().unwrap().clone();
    let running = Running::new(manager).resting_for(QUIET * 2);
    (running, latch, live)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_just_after_the_read_is_one_more_reload() {
    let (_dir, path) = directory();
    let (mut running, latch, live) = held_up(&path).await;
    let mut expected = live();
    for contents in CONTENTS {
        latch.close();
        fs::write(&path, format!("{contents}, too late")).unwrap();
        latch.arrival().await;
        fs::write(&path, contents).unwrap();
        latch.open();
        running.reloads(Outcome::Applied).await;
        running.reloads(Outcome::Applied).await;
        running.rests().await;
        expected.extend([format!("{contents}, too late"), contents.to_owned()]);
        assert_eq!(live(), expected);
    }
}

/// The reload that the first edit asked for waits for the dry run, and finds the second edit. The
/// second one's own may then find nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_between_a_dry_run_and_now_is_one_more_reload() {
    let (_dir, path) = directory();
    let (mut running, latch, live) = held_up(&path).await;
    let handle = running.handle.clone();
    let mut expected = live();
    for contents in CONTENTS {
        latch.close();
        fs::write(&path, format!("{contents}, tried")).unwrap();
        let edit = async {
            latch.arrival().await;
            fs::write(&path, contents).unwrap();
            latch.open();
        };
        let both = async { tokio::join!(handle.check(), edit).0 };
        let check = support::in_time(both).await.unwrap();
        assert_eq!(check.outcome(), Outcome::Valid, "{check}");

        running.applies_once().await;
        expected.push(contents.to_owned());
        assert_eq!(live(), expected);
    }
}
