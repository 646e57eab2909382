//! Reading a file: what is read, what is refused, and what counts as changed.
#![cfg(feature = "file")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rekindle::{Reading, Source, Stamp, file};
use tempfile::TempDir;

/// A file in a directory of its own, last modified a minute ago.
fn rested(contents: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.conf");
    fs::write(&path, contents).unwrap();
    set_age(&path, Duration::from_secs(60));
    (dir, path)
}

fn set_age(path: &Path, age: Duration) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
}

async fn stamped<S: Source>(source: &S) -> (S::Value, Stamp) {
    match source.read(None).await.unwrap() {
        Reading::Stamped(value, stamp) => (value, stamp),
        _ => panic!("a file has a stamp"),
    }
}

async fn refusal<S: Source>(source: S) -> String {
    let error = source.read(None).await.err().expect("it is refused");
    assert!(error.is::<file::Error>());
    error.to_string()
}

#[tokio::test]
async fn text_and_bytes_are_read_as_they_are() {
    let (_dir, path) = rested("grüße\n");
    assert_eq!(stamped(&file::text(&path)).await.0, "grüße\n");
    assert_eq!(stamped(&file::bytes(&path)).await.0, "grüße\n".as_bytes());
}

#[tokio::test]
async fn the_committed_contents_are_unchanged_whatever_the_modification_time() {
    let (_dir, path) = rested("one");
    let source = file::text(&path);
    let (_, stamp) = stamped(&source).await;
    set_age(&path, Duration::from_secs(30));
    assert!(matches!(
        source.read(Some(stamp)).await.unwrap(),
        Reading::Unchanged
    ));

    fs::write(&path, "two").unwrap();
    let reading = source.read(Some(stamp)).await.unwrap();
    assert!(matches!(reading, Reading::Stamped(text, new) if text == "two" && new != stamp));
}

#[tokio::test]
async fn a_file_written_just_now_is_read_when_it_has_rested() {
    let (_dir, path) = rested("old");
    let quiet = Duration::from_millis(300);
    fs::write(&path, "new").unwrap();
    let written = fs::metadata(&path).unwrap().modified().unwrap();
    assert_eq!(stamped(&file::text(&path).quiet(quiet)).await.0, "new");
    assert!(written.elapsed().unwrap() >= quiet);
}

/// It is neither waited for nor taken for a sign that the file has rested.
#[tokio::test]
async fn a_modification_time_in_the_future_is_neither_waited_for_nor_trusted() {
    let hour = Duration::from_secs(3600);
    half_a_file_is_not_loaded(SystemTime::now() + hour).await;
}

/// As on a file system that knows whole seconds only.
#[tokio::test]
async fn a_modification_time_of_a_moment_ago_is_not_trusted() {
    half_a_file_is_not_loaded(SystemTime::now() - Duration::from_millis(999)).await;
}

/// A writer pauses half-way for less than the quiet time, and the file always has this time.
async fn half_a_file_is_not_loaded(modified: SystemTime) {
    let (_dir, path) = rested("");
    let write = |text: &str| {
        fs::write(&path, text).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(modified).unwrap();
    };
    write("half");
    let source = file::text(&path).quiet(Duration::from_millis(500));
    let rest = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        write("half and the rest");
    };
    let (read, ()) = tokio::join!(stamped(&source), rest);
    assert_eq!(read.0, "half and the rest");
}

#[tokio::test]
async fn what_is_truncated_and_written_a_moment_later_is_read_whole() {
    let (_dir, path) = rested("old");
    let source = file::text(&path).quiet(Duration::from_millis(500));
    for round in 0..2 {
        let new = format!("first line {round}\nsecond line\n");
        let mut writer = fs::File::create(&path).unwrap();
        let reader = source.read(None);
        let write = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            writer.write_all(&new.as_bytes()[..5]).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
            writer.write_all(&new.as_bytes()[5..]).unwrap();
        };
        let (reading, ()) = tokio::join!(reader, write);
        assert!(matches!(reading.unwrap(), Reading::Stamped(text, _) if text == new));
    }
}

#[tokio::test]
async fn a_file_that_does_not_come_to_rest_is_refused() {
    let (_dir, path) = rested("old");
    let writer = {
        let path = path.clone();
        tokio::spawn(async move {
            let mut file = fs::File::options().append(true).open(path).unwrap();
            loop {
                file.write_all(b"x").unwrap();
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
    };
    tokio::time::sleep(Duration::from_millis(10)).await;
    let error = refusal(file::text(&path).quiet(Duration::from_millis(200))).await;
    writer.abort();
    assert!(error.contains("still being written"), "{error}");
}

#[tokio::test]
async fn an_empty_file_is_read_when_it_has_rested_long() {
    let (_dir, path) = rested("");
    assert_eq!(stamped(&file::text(&path)).await.0, "");
    fs::write(&path, "").unwrap();
    let written = fs::metadata(&path).unwrap().modified().unwrap();
    let source = file::text(&path).quiet(Duration::from_millis(20));
    assert_eq!(stamped(&source).await.0, "");
    assert!(written.elapsed().unwrap() >= Duration::from_millis(200));
}

#[tokio::test]
async fn a_file_above_the_limit_is_refused_and_one_at_the_limit_is_read() {
    let (_dir, path) = rested("12345");
    let error = refusal(file::text(&path).max_size(4)).await;
    assert!(
        error.contains("larger than 4 bytes") && error.contains("max_size"),
        "{error}"
    );
    assert_eq!(stamped(&file::text(&path).max_size(5)).await.0, "12345");

    let (_dir, path) = rested(vec![b' '; 8 * 1024 * 1024 + 1]);
    let error = refusal(file::bytes(&path)).await;
    assert!(error.contains("larger than 8388608 bytes"), "{error}");
}

#[tokio::test]
async fn what_is_no_regular_file_is_refused() {
    let (dir, _path) = rested("");
    let error = refusal(file::text(dir.path())).await;
    assert!(error.contains("a directory"), "{error}");
    #[cfg(unix)]
    {
        let error = refusal(file::text("/dev/zero")).await;
        assert!(error.contains("not a regular file"), "{error}");
    }
}

/// Opening one would block for ever.
#[cfg(unix)]
#[tokio::test]
async fn a_pipe_is_refused_and_blocks_nobody() {
    let (dir, _path) = rested("");
    let pipe = dir.path().join("pipe");
    let link = dir.path().join("link");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    std::os::unix::fs::symlink(&pipe, &link).unwrap();
    for path in [pipe, link] {
        let error = refusal(file::text(path)).await;
        assert!(error.contains("not a regular file"), "{error}");
    }
}

/// The superuser may read everything, so there is nothing to see for it.
#[cfg(unix)]
#[tokio::test]
async fn a_file_that_may_not_be_read_says_what_is_needed() {
    use std::os::unix::fs::PermissionsExt;

    let (_dir, path) = rested("text");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&path).is_err() {
        let error = refusal(file::text(path)).await;
        assert!(error.contains("permission denied"), "{error}");
    }
}

#[tokio::test]
async fn a_missing_file_is_refused_with_the_place_where_it_was_looked_for() {
    let missing = "no-such-dir-here/app.conf";
    let error = refusal(file::text(missing)).await;
    let place = std::env::current_dir().unwrap().join(missing);
    assert!(
        error.starts_with("no-such-dir-here/app.conf: not found"),
        "{error}"
    );
    assert!(error.contains(&place.display().to_string()), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_that_leads_nowhere_says_where_it_leads() {
    use std::os::unix::fs::symlink;

    let (dir, _path) = rested("");
    let at = |name: &str| dir.path().join(name);
    symlink("gone", at("last")).unwrap();
    symlink(at("last"), at("first")).unwrap();
    for (path, gone) in [
        (at("last"), at("gone")),
        (at("first"), at("gone")),
        (at("first/app.conf"), at("gone/app.conf")),
    ] {
        let error = refusal(file::text(path)).await;
        let place = format!(": leads by symbolic link to {},", gone.display());
        assert!(error.contains(&place), "{error}");
    }
}

/// Links are followed, also those of Kubernetes.
#[cfg(unix)]
#[tokio::test]
async fn links_are_followed() {
    use std::os::unix::fs::symlink;

    let (dir, path) = rested("text");
    symlink(&path, dir.path().join("..data")).unwrap();
    symlink("..data", dir.path().join("link")).unwrap();
    assert_eq!(
        stamped(&file::text(dir.path().join("link"))).await.0,
        "text"
    );
}

#[tokio::test]
async fn a_file_that_is_not_watched_has_no_notifier() {
    let (_dir, path) = rested("");
    assert!(file::text(&path).watch_now().is_none());
    assert!(file::text(&path).watch().watch_now().is_some());
}

/// `File::watch` (the option) hides `Source::watch`.
trait WatchNow: Source + Sized {
    fn watch_now(mut self) -> Option<rekindle::Watch> {
        Source::watch(&mut self).unwrap()
    }
}

impl<S: Source> WatchNow for S {}

/// A panic in the app's own `Deserialize` reaches whoever reads.
#[cfg(feature = "json")]
#[tokio::test]
async fn a_panic_of_the_type_is_a_panic_of_the_read() {
    struct Panics;
    impl<'de> serde::Deserialize<'de> for Panics {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            panic!("on purpose")
        }
    }
    let (_dir, path) = rested("1");
    let read = tokio::spawn(async move { file::json::<Panics>(path).read(None).await.is_ok() });
    assert!(read.await.unwrap_err().is_panic());
}

/// A parse runs the type's code, so it is seen, named and waited for like a build (invariants 9 and
/// 10).
#[cfg(feature = "json")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parse_that_hangs_is_named_and_refuses_the_next_reload() {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    static HANGS: AtomicBool = AtomicBool::new(false);
    static PARSING: AtomicUsize = AtomicUsize::new(0);

    struct Hangs;
    impl<'de> serde::Deserialize<'de> for Hangs {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            u8::deserialize(deserializer)?;
            PARSING.fetch_add(1, Ordering::SeqCst);
            while HANGS.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            PARSING.fetch_sub(1, Ordering::SeqCst);
            Ok(Self)
        }
    }

    let (_dir, path) = rested("1");
    let mut reload = rekindle::Manager::new();
    let source = file::json::<Hangs>(&path).quiet(Duration::ZERO);
    let timeout = Duration::from_millis(100);
    reload
        .source("config", source)
        .timeout(timeout)
        .await
        .unwrap();
    let handle = reload.handle();
    let app = async || {
        HANGS.store(true, Ordering::SeqCst);
        fs::write(&path, "2").unwrap();
        let first = handle.reload("test").await.unwrap_err();
        fs::write(&path, "3").unwrap();
        let second = handle.reload("test").await.unwrap_err();
        let parsing = PARSING.load(Ordering::SeqCst);
        HANGS.store(false, Ordering::SeqCst);
        (format!("{first:?}"), format!("{second:?}"), parsing)
    };
    let mut seen = None;
    reload
        .run(async |_| seen = Some(app().await))
        .await
        .unwrap();
    let (first, second, parsing) = seen.unwrap();
    assert!(first.contains("it blocks its thread"), "{first}");
    assert!(
        second.contains("an earlier attempt was given up"),
        "{second}"
    );
    assert_eq!(parsing, 1);
}
