//! A watched file, written in every way in which programs write files: each save is one reload.
// With all formats, so that it runs once and not once for each feature.
#![cfg(all(feature = "json", feature = "toml", feature = "yaml", unix))]

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rekindle::file;
use tokio::time::sleep;

use saves::{Saves, directory, replace};

mod saves;

const CONTENTS: [&str; 3] = ["one", "two", "three"];

#[tokio::test(flavor = "multi_thread")]
async fn each_write_in_place_is_one_reload() {
    let (_dir, path) = directory();
    let mut saves = Saves::of(file::text(&path).watch().poll(None)).await;
    for contents in CONTENTS {
        fs::write(&path, contents).unwrap();
        saves.becomes(contents).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_rename_over_the_file_is_one_reload() {
    let (_dir, path) = directory();
    let mut saves = Saves::of(file::text(&path).watch().poll(None)).await;
    for contents in CONTENTS {
        replace(&path, contents);
        saves.becomes(contents).await;
    }
}

/// The pauses are far shorter than the quiet time, so that a machine that is busy does not make them
/// longer than it.
#[tokio::test(flavor = "multi_thread")]
async fn each_slow_write_is_one_reload_of_the_whole() {
    let (_dir, path) = directory();
    let file = file::text(&path).watch().poll(None);
    let mut saves = Saves::after(Duration::from_millis(400), file).await;
    for contents in CONTENTS {
        let whole = format!("first {contents}\nsecond {contents}\nthird {contents}\n");
        let mut file = fs::File::create(&path).unwrap();
        for chunk in whole.as_bytes().chunks(7) {
            file.write_all(chunk).unwrap();
            sleep(Duration::from_millis(20)).await;
        }
        drop(file);
        saves.becomes(whole).await;
    }
}

/// Without its end the file is as good a file, and so it is without anything in it.
#[cfg(any(feature = "toml", feature = "yaml"))]
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
#[serde(default)]
struct Settings {
    name: String,
    workers: u32,
}

/// Truncates the file, pauses, writes a part, pauses, and writes the rest; three times.
#[cfg(any(feature = "toml", feature = "yaml"))]
async fn truncate_pause_and_write(path: &Path, file: file::File<Settings>, is: &str) {
    const QUIET: Duration = Duration::from_millis(300);
    let mut saves = Saves::after(QUIET, file.watch().poll(None)).await;
    for (workers, name) in (1..).zip(CONTENTS) {
        let mut file = fs::File::create(path).unwrap();
        // Longer than any other file has to rest, and shorter than an empty one has.
        sleep(QUIET * 3).await;
        writeln!(file, "name{is}\"{name}\"").unwrap();
        sleep(QUIET / 10).await;
        writeln!(file, "workers{is}{workers}").unwrap();
        drop(file);
        let name = name.to_owned();
        saves.becomes(Settings { name, workers }).await;
    }
}

#[cfg(feature = "toml")]
#[tokio::test(flavor = "multi_thread")]
async fn a_toml_file_is_not_loaded_while_it_is_empty_or_half_written() {
    let (_dir, path) = directory();
    fs::write(&path, "workers = 7").unwrap();
    truncate_pause_and_write(&path, file::toml(&path), " = ").await;
}

#[cfg(feature = "yaml")]
#[tokio::test(flavor = "multi_thread")]
async fn a_yaml_file_is_not_loaded_while_it_is_empty_or_half_written() {
    let (_dir, path) = directory();
    fs::write(&path, "workers: 7").unwrap();
    truncate_pause_and_write(&path, file::yaml(&path), ": ").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sed_in_place_is_one_reload() {
    let (_dir, path) = directory();
    let mut saves = Saves::of(file::text(&path).watch().poll(None)).await;
    for (from, to) in [("start", "one"), ("one", "two"), ("two", "three")] {
        let sed = Command::new("sed")
            // With a suffix it is the same for all the `sed`s there are.
            .arg("-i.bak")
            .arg(format!("s/{from}/{to}/"))
            .arg(&path)
            .status();
        assert!(sed.unwrap().success());
        saves.becomes(to).await;
    }
}

/// The editor itself, under one of the names that it has.
fn vim() -> &'static str {
    let is_vim = |name: &&str| {
        let version = Command::new(name).arg("--version").output();
        version.is_ok_and(|version| version.stdout.starts_with(b"VIM - "))
    };
    let names = ["vim", "vim.tiny", "vi"];
    names
        .into_iter()
        .find(is_vim)
        .expect("this test needs vim; install the package `vim-tiny` or `vim`")
}

/// Replaces the first line and saves, with a backup of the old file.
fn edit(path: &Path, contents: &str, backupcopy: &str) {
    let status = Command::new(vim())
        .args(["-Nu", "NONE", "-i", "NONE", "-es"])
        // By itself it makes no backups in `/tmp`.
        .arg("-c")
        .arg(format!(
            "set backup writebackup backupskip= backupcopy={backupcopy}"
        ))
        .arg("-c")
        .arg(format!("1s/.*/{contents}/"))
        .args(["-c", "wq"])
        .arg(path)
        .stdin(Stdio::null())
        .status();
    assert!(status.unwrap().success());
}

/// The old file becomes the backup, and for a moment there is no file.
#[tokio::test(flavor = "multi_thread")]
async fn each_save_of_vim_that_moves_the_old_file_away_is_one_reload() {
    let (_dir, path) = directory();
    let mut saves = Saves::of(file::text(&path).watch().poll(None)).await;
    for contents in CONTENTS {
        let old = fs::metadata(&path).unwrap().ino();
        edit(&path, contents, "no");
        let backup = path.with_extension("conf~");
        assert_eq!(fs::metadata(backup).unwrap().ino(), old);
        saves.becomes_across_a_gap(format!("{contents}\n")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_save_of_vim_that_copies_the_old_file_is_one_reload() {
    let (_dir, path) = directory();
    let mut saves = Saves::of(file::text(&path).watch().poll(None)).await;
    let inode = fs::metadata(&path).unwrap().ino();
    for contents in CONTENTS {
        edit(&path, contents, "yes");
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
        assert!(path.with_extension("conf~").exists());
        saves.becomes(format!("{contents}\n")).await;
    }
}
