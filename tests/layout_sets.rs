//! Files that belong together: whoever swaps their directory, at whatever moment, none is ever live
//! beside one of another version.
// With all formats, so that it runs once and not once for each feature.
#![cfg(all(feature = "json", feature = "toml", feature = "yaml", unix))]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rekindle::file::{self, Files};
use rekindle::{Manager, Outcome};

use saves::kubelet::Volume;
use saves::{Running, record};

mod saves;

const DEADLINE: Duration = Duration::from_secs(60);

/// The names and contents of the files, which all say the same.
fn contents(files: &Files) -> Vec<(String, String)> {
    let contents = files.iter().map(|file| {
        let name = file.path().file_name().unwrap().to_str().unwrap();
        (name.to_owned(), file.text().unwrap().to_owned())
    });
    contents.collect()
}

/// All that is read is of one version, while a thread makes one version after the other.
async fn no_mixed_set_is_ever_live(
    dir: &Path,
    refusals: &[&str],
    mut swap: impl FnMut(usize) + Send + 'static,
) {
    swap(0);
    let names = ["tls.crt", "tls.key", "ca/*.crt"].map(|name| dir.join(name));
    // Shorter than most pauses between two swaps, and longer than some.
    let files = file::set(names).watch().quiet(Duration::from_millis(2));
    let mut manager = Manager::new();
    let value = manager.source("tls", files.poll(None)).await.unwrap();
    let live = record(&mut manager, &value).await;
    let handle = Running::new(manager).handle;

    let swaps = Arc::new(AtomicUsize::new(1));
    let enough = Arc::new(AtomicBool::new(false));
    let swapper = thread::spawn({
        let (swaps, enough) = (Arc::clone(&swaps), Arc::clone(&enough));
        move || {
            while !enough.load(Ordering::Relaxed) {
                let number = swaps.fetch_add(1, Ordering::Relaxed);
                swap(number);
                thread::sleep(Duration::from_millis(number as u64 % 8));
            }
        }
    });
    let start = Instant::now();
    while swaps.load(Ordering::Relaxed) < 300 || live.lock().unwrap().len() < 20 {
        if let Err(error) = handle.reload("test").await {
            let report = error.report().unwrap().to_string();
            assert!(refusals.iter().any(|why| report.contains(why)), "{report}");
        }
        assert!(start.elapsed() < DEADLINE, "nothing is read");
    }
    enough.store(true, Ordering::Relaxed);
    swapper.join().unwrap();
    let report = handle.reload("test").await.unwrap();
    assert_ne!(report.outcome(), Outcome::Rejected);

    let live = live.lock().unwrap();
    for files in live.iter().map(contents) {
        let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["tls.crt", "tls.key", "a.crt", "b.crt"]);
        let [(_, first), rest @ ..] = &files[..] else {
            unreachable!("there are four")
        };
        assert!(rest.iter().all(|(_, text)| text == first), "{files:?}");
    }
    let last = format!("version {}", swaps.load(Ordering::Relaxed) - 1);
    assert_eq!(contents(live.last().unwrap())[0].1, last);
}

const NAMES: [&str; 4] = ["tls.crt", "tls.key", "ca/a.crt", "ca/b.crt"];

#[tokio::test(flavor = "multi_thread")]
async fn no_set_is_mixed_while_the_kubelet_writes_it() {
    let temp = tempfile::tempdir().unwrap();
    let mount = temp.path().join("mount");
    let mut volume = Volume::new(mount.clone());
    // The directory that is read may be removed at any moment, but the files are never absent.
    no_mixed_set_is_ever_live(&mount, &["still being written"], move |number| {
        let text = format!("version {number}");
        volume.sync(&NAMES.map(|name| (name, text.as_str())));
    })
    .await;
}

/// For a moment there is no directory.
#[tokio::test(flavor = "multi_thread")]
async fn no_set_is_mixed_while_its_directory_is_renamed() {
    let temp = tempfile::tempdir().unwrap();
    let [current, next, old] = ["current", "next", "old"].map(|name| temp.path().join(name));
    let dir = current.clone();
    let refusals = ["still being written", "not found"];
    no_mixed_set_is_ever_live(&dir, &refusals, move |number| {
        fs::create_dir_all(next.join("ca")).unwrap();
        for name in NAMES {
            fs::write(next.join(name), format!("version {number}")).unwrap();
        }
        if number > 0 {
            fs::rename(&current, &old).unwrap();
        }
        fs::rename(&next, &current).unwrap();
        if number > 0 {
            fs::remove_dir_all(&old).unwrap();
        }
    })
    .await;
}

/// Fragments that are added, edited and removed; and what no pattern stands for does not count.
#[tokio::test(flavor = "multi_thread")]
async fn each_change_of_a_directory_of_fragments_is_one_reload() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("conf.d");
    fs::create_dir(&dir).unwrap();
    fs::write(temp.path().join("app.conf"), "main").unwrap();
    let files = file::set([temp.path().join("app.conf"), dir.join("*.conf")]);
    let mut manager = Manager::new();
    let value = manager.source("files", files.watch().poll(None)).await;
    let value = value.unwrap();
    let read = async |files: rekindle::Lease<Files>| Ok(contents(&files));
    let value = manager.derive("contents", &value, read).await.unwrap();
    let live = record(&mut manager, &value).await;
    let mut running = Running::new(manager);
    let is_now = |expected: &[(&str, &str)]| {
        let live = live.lock().unwrap();
        let live = live.last().unwrap().iter();
        let live: Vec<_> = live.map(|(name, text)| (&name[..], &text[..])).collect();
        assert_eq!(live, expected);
    };
    is_now(&[("app.conf", "main")]);
    for text in ["one", "two", "three"] {
        fs::write(dir.join("b.conf"), text).unwrap();
        running.reloads(Outcome::Applied).await;
        running.rests().await;
        is_now(&[("app.conf", "main"), ("b.conf", text)]);

        fs::write(dir.join("a.conf"), text).unwrap();
        running.reloads(Outcome::Applied).await;
        running.rests().await;
        is_now(&[("app.conf", "main"), ("a.conf", text), ("b.conf", text)]);

        fs::write(dir.join("a.txt"), text).unwrap();
        running.rests().await;

        for name in ["a.conf", "b.conf"] {
            fs::remove_file(dir.join(name)).unwrap();
        }
        running.reloads(Outcome::Applied).await;
        running.rests().await;
        is_now(&[("app.conf", "main")]);
    }
}
