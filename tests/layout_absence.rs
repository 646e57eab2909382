//! A watched file that goes and comes back: refused once while it cannot be read, and one reload
//! when it can be again.
// With all formats, so that it runs once and not once for each feature.
#![cfg(all(feature = "json", feature = "toml", feature = "yaml", unix))]

use std::fs;
use std::path::Path;

use rekindle::file;

use saves::{Saves, directory};

#[cfg(target_os = "linux")]
mod process;
mod saves;

const CONTENTS: [&str; 3] = ["one", "two", "three"];

async fn watch(path: &Path) -> Saves<String> {
    Saves::of(file::text(path).watch().poll(None)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_removed_is_refused_until_it_is_created_again() {
    let (_dir, path) = directory();
    let mut saves = watch(&path).await;
    for contents in CONTENTS {
        fs::remove_file(&path).unwrap();
        saves.refuses("not found").await;
        fs::write(&path, contents).unwrap();
        saves.becomes(contents).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_removed_and_at_once_created_again_is_one_reload() {
    let (_dir, path) = directory();
    let mut saves = watch(&path).await;
    for contents in CONTENTS {
        fs::remove_file(&path).unwrap();
        fs::write(&path, contents).unwrap();
        saves.becomes_across_a_gap(contents).await;
    }
}

/// Nothing that was watched is left, and what comes back is built up step by step.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_refused_until_its_directories_are_there_again() {
    let (dir, _path) = directory();
    let top = dir.path().join("etc");
    let path = top.join("app/conf/app.conf");
    let parent = path.parent().unwrap();
    fs::create_dir_all(parent).unwrap();
    fs::write(&path, "start").unwrap();
    let mut saves = watch(&path).await;
    for (contents, removed) in CONTENTS.into_iter().zip([parent, &top, parent]) {
        fs::remove_dir_all(removed).unwrap();
        saves.refuses("not found").await;
        for dir in [&top, &top.join("app"), parent] {
            if fs::create_dir(dir).is_ok() {
                saves.rests().await;
            }
        }
        fs::write(&path, contents).unwrap();
        saves.becomes(contents).await;
    }
}

/// As `git checkout` and `rsync --delete` do.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_removed_and_at_once_created_again_is_one_reload() {
    let (dir, _path) = directory();
    let parent = dir.path().join("app");
    let path = parent.join("app.conf");
    fs::create_dir(&parent).unwrap();
    fs::write(&path, "start").unwrap();
    let mut saves = watch(&path).await;
    for contents in CONTENTS {
        fs::remove_dir_all(&parent).unwrap();
        fs::create_dir(&parent).unwrap();
        fs::write(&path, contents).unwrap();
        saves.becomes_across_a_gap(contents).await;
    }
}

/// Root may read everything, so this is tried as somebody else.
#[cfg(target_os = "linux")]
mod permission {
    use tokio::runtime;

    use super::*;
    use crate::process::Process;
    use crate::saves::kubelet::chmod;
    use crate::saves::replace;

    /// Runs the body of the test of this name in a process that is not root's.
    fn as_nobody(test: &str, body: impl Future<Output = ()>) {
        match Process::as_user(65534, &format!("permission::{test}")) {
            Some(process) => process.passes(),
            None => runtime::Builder::new_multi_thread()
                .enable_all()
                .build()
                .unwrap()
                .block_on(body),
        }
    }

    #[test]
    fn a_file_that_may_not_be_read_is_refused_until_it_may() {
        as_nobody(
            "a_file_that_may_not_be_read_is_refused_until_it_may",
            async {
                let (_dir, path) = directory();
                let mut saves = watch(&path).await;
                for contents in CONTENTS {
                    chmod(&path, 0o000);
                    saves.refuses("permission denied").await;
                    chmod(&path, 0o600);
                    saves.is_good_again().await;
                    chmod(&path, 0o200);
                    saves.refuses("permission denied").await;
                    replace(&path, contents);
                    saves.becomes(contents).await;
                }
            },
        );
    }

    /// Without the right to search it, the files in it are out of reach; without the right to read
    /// it, the kernel does not watch it either.
    #[test]
    fn a_directory_that_may_not_be_searched_is_refused_until_it_may() {
        as_nobody(
            "a_directory_that_may_not_be_searched_is_refused_until_it_may",
            async {
                let (dir, path) = directory();
                let mut saves = watch(&path).await;
                for (contents, mode) in CONTENTS.into_iter().zip([0o600, 0o000, 0o600]) {
                    chmod(dir.path(), mode);
                    saves.refuses("permission denied").await;
                    chmod(dir.path(), 0o700);
                    saves.is_good_again().await;
                    fs::write(&path, contents).unwrap();
                    saves.becomes(contents).await;
                }
            },
        );
    }
}
