//! Several files as one value: which they are, in which order, and when the value counts as changed.
#![cfg(all(feature = "file", unix))]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rekindle::file::{self, Files};
use rekindle::{Reading, Source, Stamp};
use tempfile::TempDir;

/// A directory with these files, each of which contains its own name.
fn directory(names: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in names {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    dir
}

fn set(dir: &TempDir, names: &[&str]) -> file::File<Files> {
    let paths = names.iter().map(|name| dir.path().join(name));
    file::set(paths).quiet(Duration::from_millis(5))
}

async fn read<T: Send + Sync + 'static>(source: &file::File<T>) -> (T, Stamp) {
    match source.read(None).await.unwrap() {
        Reading::Stamped(value, stamp) => (value, stamp),
        _ => panic!("files have a stamp"),
    }
}

async fn refusal<T: Send + Sync + 'static>(source: &file::File<T>) -> String {
    let error = source.read(None).await.err().expect("it is refused");
    assert!(error.is::<file::Error>());
    error.to_string()
}

async fn names(dir: &TempDir, given: &[&str]) -> Vec<String> {
    let (files, _) = read(&set(dir, given)).await;
    let name = |path: &Path| path.strip_prefix(dir.path()).unwrap().display().to_string();
    files.iter().map(|file| name(file.path())).collect()
}

#[tokio::test]
async fn files_come_in_the_order_named_and_those_of_a_pattern_in_the_order_of_their_names() {
    let dir = directory(&["z", "a", "conf.d/10", "conf.d/9", "conf.d/b"]);
    let names = names(&dir, &["z", "conf.d/*", "a"]).await;
    assert_eq!(names, ["z", "conf.d/10", "conf.d/9", "conf.d/b", "a"]);
}

#[tokio::test]
async fn a_file_that_is_named_twice_counts_once() {
    let dir = directory(&["a.x", "b.x"]);
    assert_eq!(names(&dir, &["b.x", "*.x", "a.*"]).await, ["b.x", "a.x"]);
}

#[tokio::test]
async fn a_pattern_matches_as_in_a_shell() {
    let dir = directory(&[
        "a.toml",
        "b.toml~",
        ".c.toml",
        "d.toml/file",
        "e[1].toml",
        "f",
    ]);
    assert_eq!(names(&dir, &["*.toml"]).await, ["a.toml", "e[1].toml"]);
    assert_eq!(names(&dir, &["?.toml"]).await, ["a.toml"]);
    assert_eq!(names(&dir, &[".*"]).await, [".c.toml"]);
    assert_eq!(names(&dir, &["[a-f]"]).await, ["f"]);
    assert_eq!(names(&dir, &["e[[]*"]).await, ["e[1].toml"]);
}

/// A fragment that is left out without a word is worse than one that is refused.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_pattern_matches_names_that_are_not_utf_8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let dir = directory(&["a.conf"]);
    fs::write(dir.path().join(OsStr::from_bytes(b"b\xe9.conf")), "b").unwrap();
    let (files, _) = read(&set(&dir, &["*.conf"])).await;
    assert_eq!(files.len(), 2);
}

#[tokio::test]
async fn what_is_no_pattern_stands_for_itself() {
    let dir = directory(&["a[b"]);
    assert_eq!(names(&dir, &["a[b"]).await, ["a[b"]);
}

#[tokio::test]
async fn a_single_file_is_never_a_pattern() {
    let dir = directory(&["a1", "a*"]);
    let (text, _) = read(&file::text(dir.path().join("a*"))).await;
    assert_eq!(text, "a*");
}

#[tokio::test]
async fn that_nothing_matches_is_an_empty_set() {
    let dir = directory(&["a"]);
    assert!(names(&dir, &["*.toml", "missing/*"]).await.is_empty());
    assert!(names(&dir, &[]).await.is_empty());
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_named() {
    let dir = directory(&["tls.crt"]);
    let error = refusal(&set(&dir, &["tls.crt", "tls.key"])).await;
    assert!(error.contains("tls.key: not found"), "{error}");

    symlink("nowhere", dir.path().join("tls.key")).unwrap();
    let error = refusal(&set(&dir, &["tls.*"])).await;
    assert!(error.contains("tls.key: leads by symbolic link"), "{error}");
}

#[tokio::test]
async fn that_only_the_last_part_may_be_a_pattern_is_said() {
    let dir = directory(&["sites/a/app.toml"]);
    let error = refusal(&set(&dir, &["sites/*/app.toml"])).await;
    assert!(error.contains("only the last part"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_too_large_is_named() {
    let dir = directory(&["a", "longer"]);
    let error = refusal(&set(&dir, &["*"]).max_size(5)).await;
    assert!(error.contains("longer: larger than 5 bytes"), "{error}");
}

#[cfg(feature = "toml")]
#[tokio::test]
async fn an_error_in_one_of_them_has_its_path_line_and_column_and_no_value() {
    let dir = directory(&[]);
    fs::write(dir.path().join("a.toml"), "port = 1").unwrap();
    fs::write(dir.path().join("b.toml"), "\nport = 'hunter2'").unwrap();
    let (files, _) = read(&set(&dir, &["*.toml"])).await;
    type Ports = std::collections::BTreeMap<String, u16>;
    assert_eq!(files[0].toml::<Ports>().unwrap()["port"], 1);
    let error = files[1].toml::<Ports>().unwrap_err();
    assert_eq!(error.path(), dir.path().join("b.toml"));
    assert_eq!((error.line(), error.column()), (Some(2), Some(8)));
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
}

#[tokio::test]
async fn debug_shows_no_contents() {
    let dir = directory(&["key"]);
    fs::write(dir.path().join("key"), "hunter2").unwrap();
    let (files, _) = read(&set(&dir, &["key"])).await;
    let debug = format!("{files:?}");
    assert!(debug.contains("size: 7"), "{debug}");
    assert!(!debug.contains("hunter2"), "{debug}");
    assert!(!debug.contains(&format!("{:?}", b"hunter2")), "{debug}");
}

#[tokio::test]
async fn every_difference_counts_and_nothing_else_does() {
    let dir = directory(&["a", "b"]);
    let path = |name: &str| dir.path().join(name);
    let source = set(&dir, &["*"]);
    let (_, mut live) = read(&source).await;
    let changes: [(&str, &dyn Fn()); 6] = [
        ("one is written", &|| fs::write(path("a"), "new").unwrap()),
        ("one is added", &|| fs::write(path("c"), "").unwrap()),
        ("one has another name", &|| {
            fs::rename(path("c"), path("d")).unwrap();
        }),
        ("two are exchanged", &|| {
            fs::rename(path("a"), path(".x")).unwrap();
            fs::rename(path("b"), path("a")).unwrap();
            fs::rename(path(".x"), path("b")).unwrap();
        }),
        ("one is removed", &|| fs::remove_file(path("d")).unwrap()),
        ("bytes move from one to the next", &|| {
            fs::write(path("a"), "bn").unwrap();
            fs::write(path("b"), "ew").unwrap();
        }),
    ];
    for (what, change) in changes {
        let same = |reading| matches!(reading, Reading::Unchanged);
        assert!(
            same(source.read(Some(live)).await.unwrap()),
            "before {what}"
        );
        let old = fs::read(path("a")).unwrap();
        fs::write(path("a"), old).unwrap();
        assert!(
            same(source.read(Some(live)).await.unwrap()),
            "rewritten before {what}"
        );
        change();
        match source.read(Some(live)).await.unwrap() {
            Reading::Stamped(_, stamp) => live = stamp,
            _ => panic!("{what}"),
        }
    }
}

#[tokio::test]
async fn an_optional_set_is_none_only_if_all_of_it_is_absent() {
    let dir = directory(&[]);
    let source = set(&dir, &["tls.crt", "tls.key"]).optional();
    assert_eq!(read(&source).await.0, None);
    fs::write(dir.path().join("tls.crt"), "certificate").unwrap();
    let error = refusal(&source).await;
    assert!(error.contains("tls.key: not found"), "{error}");
    fs::write(dir.path().join("tls.key"), "key").unwrap();
    assert_eq!(read(&source).await.0.unwrap().len(), 2);
}

/// Whoever replaces it by removing it first leaves no trace of that.
#[tokio::test]
async fn a_file_that_is_absent_for_a_moment_is_not_taken_for_absent() {
    let dir = directory(&["app.conf"]);
    let path: PathBuf = dir.path().join("app.conf");
    let source = file::text(&path)
        .optional()
        .quiet(Duration::from_millis(100));
    assert_eq!(read(&source).await.0.unwrap(), "app.conf");
    fs::remove_file(&path).unwrap();
    let create = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        fs::write(&path, "new").unwrap();
    };
    let (read, ()) = tokio::join!(read(&source), create);
    assert_eq!(read.0.unwrap(), "new");
}

#[tokio::test]
async fn what_looks_like_a_pattern_and_is_none_is_pointed_out() {
    let dir = tempfile::tempdir().unwrap();
    let hint = "(taken as it is: only sets and includes know patterns";
    for (name, hint) in [
        (
            "*/app.toml",
            "(only the last part of a path may be a pattern)",
        ),
        ("**.toml", hint),
        ("[a.toml", hint),
    ] {
        let error = file::set([dir.path().join(name)]).read(None).await;
        let error = error.err().unwrap().to_string();
        assert!(error.contains(hint), "{error}");
    }
    let error = file::text(dir.path().join("*.toml")).read(None).await;
    assert!(error.err().unwrap().to_string().contains(hint));
}
