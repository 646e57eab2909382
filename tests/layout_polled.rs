//! The kernel is not asked for events, and the safety poll finds every save.
//!
//! It is alone in its file, so that nobody else has inotify instances in its process.
// With all formats, so that it runs once and not once for each feature.
#![cfg(all(feature = "json", feature = "toml", feature = "yaml", unix))]

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use rekindle::file;

use saves::{Saves, directory, replace};

mod saves;

#[tokio::test(flavor = "multi_thread")]
async fn without_events_the_poll_finds_every_save() {
    let (dir, path) = directory();
    let link = dir.path().join("link.conf");
    symlink(&path, &link).unwrap();
    let every = Duration::from_millis(50);
    let file = file::text(&link).watch().events(false).poll(every);
    let mut saves = Saves::of(file).await;
    for contents in ["one", "two", "three"] {
        fs::write(&path, contents).unwrap();
        saves.becomes(contents).await;
        replace(&path, "renamed");
        saves.becomes("renamed").await;
        fs::remove_file(&path).unwrap();
        saves.refuses("does not exist").await;
        fs::write(&path, "back").unwrap();
        saves.becomes("back").await;
        #[cfg(target_os = "linux")]
        assert!(!asks_the_kernel());
    }
}

#[cfg(target_os = "linux")]
fn asks_the_kernel() -> bool {
    let files = fs::read_dir("/proc/self/fd").unwrap();
    let mut targets = files.flat_map(|file| fs::read_link(file.unwrap().path()));
    targets.any(|target| target.ends_with("anon_inode:inotify"))
}
