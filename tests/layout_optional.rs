//! A watched file that may be absent: it is there or not, and each change of that is one reload.
// With all formats, so that it runs once and not once for each feature.
#![cfg(all(feature = "json", feature = "toml", feature = "yaml", unix))]

use std::fs;

use rekindle::file;

use saves::{Saves, directory};

mod saves;

const CONTENTS: [&str; 3] = ["one", "two", "three"];

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_absent_at_first_comes_and_goes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.conf");
    let file = file::text(&path).optional().watch().poll(None);
    let mut saves = Saves::of(file).await;
    saves.rests().await;
    for contents in CONTENTS {
        fs::write(&path, contents).unwrap();
        saves.becomes(text(contents)).await;
        fs::write(&path, "edited").unwrap();
        saves.becomes(text("edited")).await;
        fs::remove_file(&path).unwrap();
        saves.becomes(None).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_comes_and_goes_with_its_directories() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().join("etc");
    let path = top.join("app/app.conf");
    let file = file::text(&path).optional().watch().poll(None);
    let mut saves = Saves::of(file).await;
    saves.rests().await;
    for contents in CONTENTS {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        saves.rests().await;
        fs::write(&path, contents).unwrap();
        saves.becomes(text(contents)).await;
        fs::remove_dir_all(&top).unwrap();
        saves.becomes(None).await;
    }
}

/// Absence has to rest far longer than contents, so what is replaced step by step is never absent.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_removed_and_at_once_created_again_is_never_absent() {
    let (_dir, path) = directory();
    let file = file::text(&path).optional().watch().poll(None);
    let mut saves = Saves::of(file).await;
    for contents in CONTENTS {
        fs::remove_file(&path).unwrap();
        fs::write(&path, contents).unwrap();
        saves.becomes(text(contents)).await;
    }
}
