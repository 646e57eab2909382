//! Files that include others: all are read at one moment, and watched as long as they are included.
#![cfg(all(feature = "file", unix))]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rekindle::file::{self, Contents, File, Includes};
use rekindle::{BoxError, Notifier, Reading, Source, Stamp, Watch};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::timeout;

mod support;

use support::Barrier;

/// Far longer than anything takes, also on a machine that is busy.
const DEADLINE: Duration = Duration::from_secs(20);

fn write(dir: &TempDir, name: &str, contents: &str) {
    let path = dir.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let new = path.with_file_name(".new");
    fs::write(&new, contents).unwrap();
    fs::rename(new, path).unwrap();
}

/// The words of a file, where `<name` stands for those of the files of that name.
fn expand(text: &str, includes: &Includes) -> Result<String, BoxError> {
    let (included, mut words): (Vec<_>, Vec<_>) = text
        .split_whitespace()
        .partition(|word| word.starts_with('<'));
    let files = includes.set(included.iter().map(|word| &word[1..]))?;
    let inner: Result<Vec<_>, BoxError> = files
        .iter()
        .map(|file| expand(file.text()?, includes))
        .collect();
    let inner = inner?;
    words.extend(inner.iter().map(String::as_str));
    if words.contains(&"bad") {
        return Err("a bad word".into());
    }
    Ok(words.join(" "))
}

fn expanded(path: &Path) -> File<String> {
    file::text(path)
        .include(|text, includes| expand(&text, includes))
        .quiet(Duration::from_millis(5))
}

async fn read(source: &File<String>) -> (String, Stamp) {
    match source.read(None).await.unwrap() {
        Reading::Stamped(value, stamp) => (value, stamp),
        _ => panic!("files have a stamp"),
    }
}

async fn refusal(source: &File<String>) -> String {
    source.read(None).await.err().unwrap().to_string()
}

/// Watched without the safety poll, and read once, as at the start of an app.
struct Watched {
    source: File<String>,
    watch: Watch,
}

impl Watched {
    async fn new(dir: &TempDir) -> Self {
        let mut source = expanded(&dir.path().join("main")).watch().poll(None);
        let watch = Source::watch(&mut source).unwrap().unwrap();
        _ = source.read(None).await;
        Self { source, watch }
    }

    async fn reported(&mut self) {
        let trigger = timeout(DEADLINE, self.watch.notify()).await;
        trigger.expect("a report comes").unwrap();
    }

    /// The next report is one of this: none came for what was before. And none follows it.
    async fn reports(&mut self, words: &str) {
        self.reported().await;
        assert_eq!(read(&self.source).await.0, words);
        self.rests().await;
    }

    async fn rests(&mut self) {
        let report = timeout(Duration::from_millis(100), self.watch.notify()).await;
        assert!(report.is_err(), "reported, but nothing has changed");
    }
}

#[tokio::test]
async fn included_files_are_read_from_beside_the_file_and_from_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    write(&other, "far", "far");
    let far = other.path().join("far");
    write(
        &dir,
        "main",
        &format!("main <near <conf.d/* <{}", far.display()),
    );
    write(&dir, "near", "near <deep/er");
    write(&dir, "deep/er", "deeper");
    write(&dir, "conf.d/1", "one");
    write(&dir, "conf.d/2", "two");
    let (words, _) = read(&expanded(&dir.path().join("main"))).await;
    assert_eq!(words, "main near deeper one two far");
}

#[tokio::test]
async fn every_change_of_what_is_included_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "main", "main <near <conf.d/*");
    write(&dir, "near", "near <deep/er");
    write(&dir, "deep/er", "deeper");
    let mut watched = Watched::new(&dir).await;
    watched.rests().await;
    for round in ["1", "2", "3"] {
        write(&dir, "deep/er", round);
        watched.reports(&format!("main near {round}")).await;
        write(&dir, "conf.d/a", "a");
        watched.reports(&format!("main near {round} a")).await;
        fs::remove_dir_all(dir.path().join("conf.d")).unwrap();
        watched.reports(&format!("main near {round}")).await;
    }
}

#[tokio::test]
async fn what_is_newly_included_is_watched_and_what_is_not_any_more_is_not() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "main", "main <a");
    write(&dir, "a", "a");
    write(&dir, "b", "b");
    let mut watched = Watched::new(&dir).await;
    watched.rests().await;
    for round in 0..3 {
        write(&dir, "main", "main <b");
        watched.reports("main b").await;
        write(&dir, "b", &format!("b{round}"));
        watched.reports(&format!("main b{round}")).await;
        write(&dir, "a", &format!("a{round}"));
        watched.rests().await;
        write(&dir, "main", "main <a");
        watched.reports(&format!("main a{round}")).await;
        write(&dir, "b", "b");
        watched.rests().await;
    }
}

/// The watcher looks at what was read before, while the source is about to read more.
#[tokio::test]
async fn what_is_newly_included_is_watched_though_the_watcher_has_looked_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "main", "main");
    write(&dir, "sub/a", "a");
    let barrier = Barrier::default();
    let mut source = expanded(&dir.path().join("main"))
        .include({
            let barrier = barrier.clone();
            move |words, _| {
                if words != "main" {
                    barrier.pass();
                }
                Ok(words)
            }
        })
        .watch()
        .poll(None);
    let watch = Source::watch(&mut source).unwrap().unwrap();
    _ = source.read(None).await;
    let mut watched = Watched { source, watch };
    watched.rests().await;

    write(&dir, "main", "main <sub/a");
    watched.reported().await;
    barrier.close();
    let Watched { source, mut watch } = watched;
    // On a runtime of its own, because the barrier blocks the thread.
    let reading = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        _ = runtime.unwrap().block_on(source.read(None));
        source
    });
    barrier.arrival().await;
    write(&dir, "main", "main <sub/a");
    let report = timeout(Duration::from_millis(200), watch.notify()).await;
    assert!(report.is_err(), "reported, but nothing has changed");
    barrier.open();
    let source = reading.join().unwrap();

    let mut watched = Watched { source, watch };
    watched.rests().await;
    for round in ["1", "2", "3"] {
        write(&dir, "sub/a", round);
        watched.reports(&format!("main {round}")).await;
    }
}

/// Two files of the kernel make it: one that can never be read, and one that is another each time,
/// so that the watcher has news whenever it looks.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_shortage_lasts_until_all_includes_are_read() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "main", "main");
    let is_short = Arc::new(AtomicBool::new(true));
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let (go, going) = std::sync::mpsc::channel();
    let going = Mutex::new(going);
    let mut source = file::text(dir.path().join("main"))
        .include({
            let is_short = Arc::clone(&is_short);
            move |_, includes| {
                arrived.send(()).unwrap();
                going.lock().unwrap().recv().unwrap();
                let bad = is_short.load(Ordering::Relaxed);
                let bad = bad.then_some("/proc/self/mem");
                includes.set(["/proc/uptime"].into_iter().chain(bad))?;
                Ok(())
            }
        })
        .quiet(Duration::from_millis(5))
        .watch()
        .poll(None);
    let mut watch = Source::watch(&mut source).unwrap().unwrap();
    let source = Arc::new(source);
    // On a runtime of its own, because the closure blocks the thread.
    let read = || {
        let source = Arc::clone(&source);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(source.read(None)).is_ok()
        })
    };
    let read_without_a_stop = || {
        let _ = [(); 2].map(|()| go.send(()).unwrap());
        read().join().unwrap()
    };
    assert!(!read_without_a_stop());
    // The news of the start.
    timeout(DEADLINE, watch.notify()).await.unwrap().unwrap();

    // The pauses before the next attempts are 0.5, 1 and 2 s, a tenth more or less.
    let mut pause = Duration::ZERO;
    for _ in 0..3 {
        while arrivals.try_recv().is_ok() {}
        let reading = read();
        arrivals.recv().await.unwrap();
        let start = Instant::now();
        // The watcher begins to wait between the two rounds of the read, of which only the second fails.
        let mut notify = tokio_test::task::spawn(watch.notify());
        assert!(notify.poll().is_pending());
        let _ = [(); 2].map(|()| go.send(()).unwrap());
        assert!(!reading.join().unwrap());
        timeout(DEADLINE, notify).await.unwrap().unwrap();
        pause = start.elapsed();
    }
    assert!(pause > Duration::from_millis(1_700), "{pause:?}");

    // This one would last for 4 s, but the shortage ends, and the next one begins anew.
    let mut notify = tokio_test::task::spawn(watch.notify());
    assert!(notify.poll().is_pending());
    is_short.store(false, Ordering::Relaxed);
    assert!(read_without_a_stop());
    is_short.store(true, Ordering::Relaxed);
    assert!(!read_without_a_stop());
    // The names have changed.
    timeout(DEADLINE, notify).await.unwrap().unwrap();
    let start = Instant::now();
    timeout(DEADLINE, watch.notify()).await.unwrap().unwrap();
    let pause = start.elapsed();
    assert!(pause < Duration::from_millis(3_000), "{pause:?}");
}

/// A shortage would have the watcher look again, and `/proc/uptime` is news then.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_path_that_cannot_be_followed_is_no_shortage() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::os::unix::fs::symlink("loop", path("loop")).unwrap();
    write(&dir, "file", "");
    for bad in [path("loop"), path("file/a"), path(&"a".repeat(300))] {
        let mut source = file::set([Path::new("/proc/uptime"), &bad])
            .quiet(Duration::from_millis(5))
            .watch()
            .poll(None);
        let mut watch = Source::watch(&mut source).unwrap().unwrap();
        assert!(source.read(None).await.is_err());
        // The first look may have news, or be too soon for any.
        let pause = Duration::from_millis(800);
        _ = timeout(pause, watch.notify()).await;
        let again = timeout(pause, watch.notify()).await;
        assert!(again.is_err(), "{} is a shortage", bad.display());
    }
}

#[tokio::test]
async fn an_include_may_be_removed_together_with_its_file() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "main", "main <a");
    write(&dir, "a", "a");
    let mut watched = Watched::new(&dir).await;
    for _ in 0..3 {
        fs::remove_file(dir.path().join("a")).unwrap();
        write(&dir, "main", "main");
        watched.reports("main").await;
        write(&dir, "a", "a");
        write(&dir, "main", "main <a");
        watched.reports("main a").await;
    }
}

#[tokio::test]
async fn an_include_that_is_refused_is_reported_once_and_again_when_it_is_good() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "main", "main <a");
    write(&dir, "a", "a");
    let mut watched = Watched::new(&dir).await;
    for _ in 0..3 {
        write(&dir, "a", "bad");
        watched.reported().await;
        assert_eq!(refusal(&watched.source).await, "a bad word");
        watched.rests().await;
        fs::remove_file(dir.path().join("a")).unwrap();
        watched.reported().await;
        assert!(refusal(&watched.source).await.contains("a: not found"));
        watched.rests().await;
        write(&dir, "a", "a");
        watched.reports("main a").await;
    }
}

/// The file itself is bad, so nobody knows what it includes; an edit of what it did include may be
/// part of the cure.
#[tokio::test]
async fn while_a_file_is_refused_what_it_included_is_watched_still() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "main", "main <a");
    write(&dir, "a", "a");
    let mut watched = Watched::new(&dir).await;
    write(&dir, "main", "bad");
    watched.reported().await;
    assert_eq!(refusal(&watched.source).await, "a bad word");
    watched.rests().await;
    write(&dir, "a", "edited");
    watched.reported().await;
}

#[tokio::test]
async fn nothing_is_built_where_nothing_has_changed() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "main", "main <a");
    write(&dir, "a", "a");
    let built = Arc::new(AtomicUsize::new(0));
    let source = file::text(dir.path().join("main"))
        .include({
            let built = Arc::clone(&built);
            move |text, includes| {
                let words = expand(&text, includes)?;
                built.fetch_add(1, Ordering::SeqCst);
                Ok(words)
            }
        })
        .quiet(Duration::from_millis(5));
    let (_, live) = read(&source).await;
    let once = built.load(Ordering::SeqCst);
    let again = source.read(Some(live)).await.unwrap();
    assert!(matches!(again, Reading::Unchanged));
    assert_eq!(built.load(Ordering::SeqCst), once);
    write(&dir, "a", "b");
    let again = source.read(Some(live)).await.unwrap();
    assert!(matches!(again, Reading::Stamped(words, _) if words == "main b"));
}

/// The error that a file is not read yet is no error of the file's.
#[tokio::test]
async fn a_closure_that_swallows_errors_gets_all_files_nevertheless() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "main", "main");
    write(&dir, "a", "a");
    let source = file::text(dir.path().join("main")).include(|_, includes| {
        let files = includes.set(["a"]);
        let text = files.map(|files| files[0].text().unwrap().to_owned());
        Ok(text.unwrap_or_else(|_| "a default".to_owned()))
    });
    assert_eq!(read(&source).await.0, "a");
}

/// As an app does that has them in a `HashMap`, whose order is another one each time.
#[tokio::test]
async fn includes_may_be_asked_for_in_any_order() {
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<_> = (0..8).map(|number| format!("part {number}")).collect();
    write(&dir, "main", "");
    names.iter().for_each(|name| write(&dir, name, name));
    for all_together in [true, false] {
        let rotation = AtomicUsize::new(0);
        let names = names.clone();
        let source = file::text(dir.path().join("main")).include(move |_, includes| {
            let mut names = names.clone();
            names.rotate_left(rotation.fetch_add(1, Ordering::SeqCst) % 8);
            if all_together {
                return Ok(includes.set(&names)?.len());
            }
            for name in &names {
                includes.set([name])?;
            }
            Ok(names.len())
        });
        match source.read(None).await.unwrap() {
            Reading::Stamped(count, _) => assert_eq!(count, 8),
            _ => panic!("files have a stamp"),
        }
    }
}

#[tokio::test]
async fn includes_without_end_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "main", "main");
    let asked = AtomicUsize::new(0);
    let source = file::text(dir.path().join("main")).include(move |text, includes| {
        let next = asked.fetch_add(1, Ordering::SeqCst);
        _ = includes.set([format!("{next}")]);
        Ok(text)
    });
    let error = refusal(&source).await;
    assert!(
        error.contains("main: its includes do not come to an end"),
        "{error}"
    );
}

/// As [`expand`], with names that are relative to the file in which they stand.
fn expand_beside(file: &Contents, includes: &Includes) -> Result<String, BoxError> {
    let mut words = Vec::new();
    for word in file.text()?.split_whitespace() {
        let Some(name) = word.strip_prefix('<') else {
            words.push(word.to_owned());
            continue;
        };
        for file in includes.beside(file, [name])? {
            words.push(expand_beside(&file, includes)?);
        }
    }
    Ok(words.join(" "))
}

fn expanded_beside(path: &Path) -> File<String> {
    file::set([path])
        .include(|files, includes| expand_beside(&files[0], includes))
        .quiet(Duration::from_millis(5))
}

/// The same path, relative to the working directory.
fn relative(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap();
    let up: PathBuf = here.ancestors().skip(1).map(|_| "..").collect();
    up.join(path.strip_prefix("/").unwrap())
}

#[tokio::test]
async fn an_included_file_may_include_what_is_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "app/main", "main <conf.d/* <common");
    write(&dir, "app/common", "common");
    write(&dir, "app/conf.d/1", "one <parts/a <../common");
    write(&dir, "app/conf.d/2", "two <parts/*");
    write(&dir, "app/conf.d/parts/a", "a <b");
    write(&dir, "app/conf.d/parts/b", "b");
    let path = dir.path().join("app/main");
    for path in [relative(&path), path] {
        let (words, _) = read(&expanded_beside(&path)).await;
        assert_eq!(words, "main one a b common two a b b common");
    }
}

#[tokio::test]
async fn files_that_include_each_other_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "conf.d/self", "<self");
    write(&dir, "conf.d/all", "<*");
    write(&dir, "conf.d/a", "<b");
    write(&dir, "conf.d/b", "<c");
    write(&dir, "conf.d/c", "<a");
    write(&dir, "conf.d/up", "<../conf.d/down");
    write(&dir, "conf.d/down", "<../conf.d/up");
    write(&dir, "main", "<child");
    write(&dir, "child", "<main");
    for (first, error) in [
        ("conf.d/self", "conf.d/self: includes itself"),
        ("conf.d/a", "conf.d/c: includes "),
        ("conf.d/up", "conf.d/down: includes "),
        ("main", "child: includes "),
        ("conf.d/all", "conf.d/all: includes itself"),
    ] {
        let refusal = refusal(&expanded_beside(&dir.path().join(first))).await;
        assert!(refusal.contains(error), "{refusal}");
    }
    let by_root = file::text(dir.path().join("main")).include(|_, includes| {
        let children = includes.set(["child"])?;
        expand_beside(&children[0], includes)
    });
    let refusal = refusal(&by_root).await;
    assert!(
        refusal.ends_with("main, which includes it in turn"),
        "{refusal}"
    );
}

#[cfg(feature = "toml")]
#[tokio::test]
async fn an_error_in_an_included_file_has_its_path_and_line() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "main", "");
    write(&dir, "conf.d/a.toml", "port = 1\nhost = ");
    let source = file::text(dir.path().join("main"))
        .optional()
        .include(|_, includes| {
            for file in &includes.set(["conf.d/*.toml"])? {
                file.toml::<std::collections::BTreeMap<String, u16>>()?;
            }
            Ok(String::new())
        });
    let error = refusal(&source).await;
    assert!(error.contains("conf.d/a.toml:2:8: "), "{error}");
}
