//! Watching a file: every save is reported, and nothing that is no change.
//!
//! No test waits for nothing to happen. Where nothing may come, a real change follows, and the
//! reports are counted.
#![cfg(all(feature = "file", unix))]

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rekindle::file::{self, File};
use rekindle::{Notifier, Reading, Source, Watch};
use tempfile::TempDir;
use tokio::time::timeout;

/// Far longer than anything takes, also on a machine that is busy.
const DEADLINE: Duration = Duration::from_secs(20);

/// A file that is watched without the safety poll, and was read once, as at the start of an app.
struct Watched {
    source: File<String>,
    watch: Watch,
}

impl Watched {
    async fn new(path: &Path) -> Self {
        Self::of(file::text(path).watch().poll(None)).await
    }

    async fn of(mut source: File<String>) -> Self {
        let watch = Source::watch(&mut source).unwrap().expect("it is watched");
        _ = source.read(None).await;
        Self { source, watch }
    }

    async fn text(&self) -> String {
        match self.source.read(None).await.unwrap() {
            Reading::Stamped(text, _) => text,
            _ => panic!("a file has a stamp"),
        }
    }

    async fn reported(&mut self) {
        let trigger = timeout(DEADLINE, self.watch.notify())
            .await
            .expect("a report comes");
        assert_eq!(trigger.unwrap().as_str(), "file");
    }

    /// The next report is one of these contents: none came for what was before.
    async fn reports(&mut self, contents: &str) {
        self.reported().await;
        assert_eq!(self.text().await, contents);
    }

    /// The next report is one of a file that cannot be read.
    async fn reports_refusal(&mut self, why: &str) {
        self.reported().await;
        let error = self
            .source
            .read(None)
            .await
            .expect_err("it is refused")
            .to_string();
        assert!(error.contains(why), "{error}");
    }

    /// Looks at what happened until now, of which nothing may be worth a report.
    ///
    /// The runtime is driven while the watcher waits, and polls of the watcher are the only thing
    /// that happens, so what it would report, it reports here or before the next change.
    async fn reports_nothing_for(&mut self, time: Duration) {
        let report = timeout(time, self.watch.notify()).await;
        assert!(report.is_err(), "reported, but nothing has changed");
    }
}

fn directory() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.conf");
    fs::write(&path, "start").unwrap();
    (dir, path)
}

fn replace(path: &Path, contents: &str) {
    let new = path.with_extension("new");
    fs::write(&new, contents).unwrap();
    fs::rename(new, path).unwrap();
}

#[tokio::test]
async fn every_write_in_place_is_reported() {
    let (_dir, path) = directory();
    let mut watched = Watched::new(&path).await;
    for contents in ["one", "two", "three"] {
        fs::write(&path, contents).unwrap();
        watched.reports(contents).await;
    }
}

#[tokio::test]
async fn every_save_by_rename_is_reported() {
    let (_dir, path) = directory();
    let mut watched = Watched::new(&path).await;
    for contents in ["one", "two", "three"] {
        replace(&path, contents);
        watched.reports(contents).await;
    }
}

#[tokio::test]
async fn every_sed_in_place_is_reported() {
    let (_dir, path) = directory();
    let mut watched = Watched::new(&path).await;
    for (from, to) in [("start", "one"), ("one", "two"), ("two", "three")] {
        let sed = Command::new("sed")
            .arg("-i")
            .arg(format!("s/{from}/{to}/"))
            .arg(&path)
            .status();
        assert!(sed.unwrap().success());
        watched.reports(to).await;
    }
}

/// As vim does without `backupcopy`: the old file is moved away, and a new one is written.
#[tokio::test]
async fn every_save_with_a_backup_is_reported() {
    let (_dir, path) = directory();
    let mut watched = Watched::new(&path).await;
    for contents in ["one", "two", "three"] {
        let backup = path.with_extension("conf~");
        fs::rename(&path, &backup).unwrap();
        fs::write(&path, contents).unwrap();
        fs::remove_file(backup).unwrap();
        watched.reports(contents).await;
    }
}

#[tokio::test]
async fn a_link_pointed_elsewhere_is_reported_and_so_is_what_happens_there() {
    let (dir, path) = directory();
    let places = ["a", "b", "c"].map(|place| dir.path().join(place).join("real.conf"));
    for place in &places {
        fs::create_dir(place.parent().unwrap()).unwrap();
        fs::write(place, format!("at {}", place.display())).unwrap();
    }
    let link = dir.path().join("link.conf");
    symlink(&path, &link).unwrap();
    let mut watched = Watched::new(&link).await;
    for place in &places {
        let new = dir.path().join("link.new");
        symlink(place, &new).unwrap();
        fs::rename(new, &link).unwrap();
        watched.reports(&format!("at {}", place.display())).await;
        fs::write(place, "written there").unwrap();
        watched.reports("written there").await;
        replace(place, "replaced there");
        watched.reports("replaced there").await;
    }
}

/// The steps of the kubelet: a new directory, a new link `..data_tmp`, renamed over `..data`, and
/// the old directory removed.
#[tokio::test]
async fn every_swap_of_a_kubernetes_volume_is_reported() {
    let (dir, _path) = directory();
    let mount = dir.path().join("mount");
    fs::create_dir(&mount).unwrap();
    let swap = |version: &str, old: Option<&str>| {
        let new = mount.join(format!("..{version}"));
        fs::create_dir(&new).unwrap();
        fs::write(new.join("app.conf"), version).unwrap();
        symlink(format!("..{version}"), mount.join("..data_tmp")).unwrap();
        fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
        if let Some(old) = old {
            fs::remove_dir_all(mount.join(format!("..{old}"))).unwrap();
        }
    };
    swap("v1", None);
    let path = mount.join("app.conf");
    symlink("..data/app.conf", &path).unwrap();
    let mut watched = Watched::new(&path).await;
    for (old, new) in [("v1", "v2"), ("v2", "v3"), ("v3", "v4")] {
        swap(new, Some(old));
        watched.reports(new).await;
    }
}

#[tokio::test]
async fn a_file_that_is_removed_and_created_again_is_reported_each_time() {
    let (_dir, path) = directory();
    let mut watched = Watched::new(&path).await;
    for contents in ["one", "two", "three"] {
        fs::remove_file(&path).unwrap();
        watched.reports_refusal("not found").await;
        fs::write(&path, contents).unwrap();
        watched.reports(contents).await;
    }
}

#[tokio::test]
async fn a_directory_that_goes_is_waited_for() {
    let (dir, _path) = directory();
    let parent = dir.path().join("etc/app");
    let path = parent.join("app.conf");
    fs::create_dir_all(&parent).unwrap();
    fs::write(&path, "start").unwrap();
    let mut watched = Watched::new(&path).await;
    for contents in ["one", "two", "three"] {
        fs::remove_dir_all(dir.path().join("etc")).unwrap();
        watched.reports_refusal("not found").await;
        fs::create_dir_all(&parent).unwrap();
        fs::write(&path, contents).unwrap();
        watched.reports(contents).await;
    }
}

#[tokio::test]
async fn a_directory_swapped_for_another_is_reported() {
    let (dir, _path) = directory();
    let current = dir.path().join("current");
    fs::create_dir(&current).unwrap();
    let path = current.join("app.conf");
    fs::write(&path, "start").unwrap();
    let mut watched = Watched::new(&path).await;
    for contents in ["one", "two", "three"] {
        let next = dir.path().join("next");
        fs::create_dir(&next).unwrap();
        fs::write(next.join("app.conf"), contents).unwrap();
        fs::rename(&current, dir.path().join(format!("before-{contents}"))).unwrap();
        fs::rename(next, &current).unwrap();
        watched.reports(contents).await;
    }
}

#[tokio::test]
async fn what_changes_no_byte_is_not_reported() {
    let (dir, path) = directory();
    let mut watched = Watched::new(&path).await;
    for round in ["one", "two", "three"] {
        let old = fs::read(&path).unwrap();
        assert!(Command::new("touch").arg(&path).status().unwrap().success());
        watched
            .reports_nothing_for(Duration::from_millis(200))
            .await;
        fs::write(&path, &old).unwrap();
        replace(&path, str::from_utf8(&old).unwrap());
        fs::write(dir.path().join("another.conf"), round).unwrap();
        watched
            .reports_nothing_for(Duration::from_millis(200))
            .await;
        fs::write(&path, round).unwrap();
        watched.reports(round).await;
    }
}

#[tokio::test]
async fn a_file_that_is_truncated_and_written_slowly_is_reported_when_it_is_whole() {
    let (_dir, path) = directory();
    let source = file::text(&path)
        .watch()
        .poll(None)
        .quiet(Duration::from_millis(400));
    let mut watched = Watched::of(source).await;
    for round in 0..2 {
        let whole = format!("first {round}\nsecond\n");
        let write = async {
            let mut file = fs::File::create(&path).unwrap();
            for chunk in whole.as_bytes().chunks(4) {
                tokio::time::sleep(Duration::from_millis(20)).await;
                file.write_all(chunk).unwrap();
            }
        };
        tokio::join!(write, watched.reported());
        assert_eq!(watched.text().await, whole);
    }
}

/// Many saves within the quiet time are one report.
#[tokio::test]
async fn a_burst_of_saves_is_reported_once() {
    let (_dir, path) = directory();
    let source = file::text(&path)
        .watch()
        .poll(None)
        .quiet(Duration::from_millis(300));
    let mut watched = Watched::of(source).await;
    for save in 0..50 {
        replace(&path, &format!("save {save}"));
    }
    watched.reports("save 49").await;
    fs::write(&path, "after").unwrap();
    watched.reports("after").await;
}

/// Writing that never ceases does not put off the report for ever.
#[tokio::test]
async fn saves_without_end_are_reported_all_the_same() {
    let (_dir, path) = directory();
    let mut watched = Watched::new(&path).await;
    let saves = {
        let path = path.clone();
        tokio::spawn(async move {
            for save in 0_u64.. {
                replace(&path, &format!("save {save}"));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
    };
    watched.reported().await;
    saves.abort();
    _ = saves.await;
    replace(&path, "last");
    watched.reports("last").await;
}

/// It is armed before the first read.
#[tokio::test]
async fn an_edit_before_the_first_read_is_in_it() {
    let (_dir, path) = directory();
    let mut source = file::text(&path).watch().poll(None);
    let watch = Source::watch(&mut source).unwrap().unwrap();
    fs::write(&path, "early").unwrap();
    let mut watched = Watched { source, watch };
    assert_eq!(watched.text().await, "early");
    watched
        .reports_nothing_for(Duration::from_millis(200))
        .await;
    fs::write(&path, "later").unwrap();
    watched.reports("later").await;
}

/// The notifier is asked for the first time when the app runs, which may be long after the read.
#[tokio::test]
async fn an_edit_after_the_first_read_is_reported_when_the_notifier_is_asked() {
    let (_dir, path) = directory();
    let mut watched = Watched::new(&path).await;
    fs::write(&path, "meanwhile").unwrap();
    watched.reports("meanwhile").await;
    fs::write(&path, "later").unwrap();
    watched.reports("later").await;
}

#[tokio::test]
async fn a_file_that_was_missing_at_first_is_reported_when_it_is_there() {
    let (dir, _path) = directory();
    let path = dir.path().join("missing/app.conf");
    let mut watched = Watched::new(&path).await;
    watched
        .reports_nothing_for(Duration::from_millis(100))
        .await;
    fs::create_dir(path.parent().unwrap()).unwrap();
    fs::write(&path, "there").unwrap();
    watched.reports("there").await;
}

/// A reload for another reason, or a dry run, may read what the watcher has not seen yet. Were that
/// taken for reported, going back to the old contents would go unnoticed.
#[tokio::test]
async fn contents_read_in_between_hide_no_change() {
    let (_dir, path) = directory();
    let mut watched = Watched::new(&path).await;
    watched
        .reports_nothing_for(Duration::from_millis(100))
        .await;
    fs::write(&path, "other").unwrap();
    assert_eq!(watched.text().await, "other");
    fs::write(&path, "start").unwrap();
    watched.reports("start").await;
}

#[cfg(feature = "toml")]
#[tokio::test]
async fn a_bad_file_is_reported_once_and_so_are_the_old_contents_after_it() {
    let (_dir, path) = directory();
    fs::write(&path, "a = 1").unwrap();
    type Table = std::collections::BTreeMap<String, u8>;
    let mut source = file::toml::<Table>(&path).watch().poll(None);
    let mut watch = Source::watch(&mut source).unwrap().unwrap();
    assert!(source.read(None).await.is_ok());
    for _ in 0..3 {
        fs::write(&path, "a = bad").unwrap();
        timeout(DEADLINE, watch.notify()).await.unwrap().unwrap();
        assert!(source.read(None).await.is_err());
        assert!(Command::new("touch").arg(&path).status().unwrap().success());
        assert!(
            timeout(Duration::from_millis(200), watch.notify())
                .await
                .is_err()
        );
        fs::write(&path, "a = 1").unwrap();
        timeout(DEADLINE, watch.notify()).await.unwrap().unwrap();
        assert!(source.read(None).await.is_ok());
    }
}

/// The reload that read them ran into its deadline, so they are not live.
#[tokio::test]
async fn contents_whose_read_was_given_up_are_reported_again() {
    let (_dir, path) = directory();
    let source = file::text(&path)
        .watch()
        .poll(Duration::from_millis(20))
        .quiet(Duration::from_millis(500));
    let mut watched = Watched::of(source).await;
    fs::write(&path, "new").unwrap();
    watched.reported().await;
    // Written once more, so that the read has to wait.
    fs::write(&path, "new").unwrap();
    let read = timeout(Duration::from_millis(5), watched.source.read(None)).await;
    assert!(read.is_err(), "it was given up");
    watched.reports("new").await;
}

/// What the watcher has seen come to rest does not have to rest again.
#[tokio::test]
async fn the_read_after_a_report_does_not_wait_for_the_quiet_time_again() {
    let (_dir, path) = directory();
    let quiet = Duration::from_secs(2);
    let source = file::text(&path).watch().poll(None).quiet(quiet);
    let mut watched = Watched::of(source).await;
    fs::write(&path, "new").unwrap();
    watched.reported().await;
    let read = timeout(quiet / 2, watched.text()).await;
    assert_eq!(read.expect("it is read at once"), "new");
}

/// A future that is dropped has swallowed no event.
#[tokio::test]
async fn a_dropped_wait_loses_nothing() {
    let (_dir, path) = directory();
    let source = file::text(&path).watch().poll(None);
    let mut watched = Watched::of(source.quiet(Duration::from_millis(500))).await;
    for contents in ["one", "two", "three"] {
        fs::write(&path, contents).unwrap();
        for _ in 0..5 {
            let wait = timeout(Duration::from_millis(7), watched.watch.notify()).await;
            assert!(wait.is_err(), "not before the quiet time is over");
        }
        watched.reports(contents).await;
    }
}

#[tokio::test]
async fn the_poll_finds_what_no_event_told() {
    let (_dir, path) = directory();
    let other = tempfile::tempdir().unwrap();
    // Written by way of a hard link in another directory: inotify tells nobody in this one.
    let twin = other.path().join("twin");
    if fs::hard_link(&path, &twin).is_err() {
        return;
    }
    let source = file::text(&path).watch().poll(Duration::from_millis(50));
    let mut watched = Watched::of(source).await;
    watched
        .reports_nothing_for(Duration::from_millis(100))
        .await;
    for contents in ["one", "two", "three"] {
        fs::write(&twin, contents).unwrap();
        watched.reports(contents).await;
    }
}

#[tokio::test]
async fn the_trigger_has_the_name_that_was_asked_for() {
    let (_dir, path) = directory();
    let mut source = file::text(&path).watch().trigger("certificates");
    let mut watch = Source::watch(&mut source).unwrap().unwrap();
    assert!(watch.name().contains("app.conf"), "{}", watch.name());
    assert!(source.read(None).await.is_ok());
    fs::write(&path, "new").unwrap();
    let trigger = timeout(DEADLINE, watch.notify()).await.unwrap().unwrap();
    assert_eq!(trigger.as_str(), "certificates");
}

/// The kernel limits how much may be watched. In a user namespace of its own the limit can be lowered
/// without being in anybody's way; where none can be had, there is nothing to test.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_kernel_that_refuses_to_watch_is_said_once_and_polled() {
    const NAME: &str = "a_kernel_that_refuses_to_watch_is_said_once_and_polled";
    if std::env::var_os("REFUSED").is_none() {
        let namespace = Command::new("unshare").args(["-Ur", "true"]).status();
        if !namespace.is_ok_and(|status| status.success()) {
            return;
        }
        for limit in ["max_inotify_instances", "max_inotify_watches"] {
            let script = format!("echo 0 > /proc/sys/user/{limit} && exec \"$0\" --exact {NAME}");
            let test = std::env::current_exe().unwrap();
            let mut shell = Command::new("unshare");
            shell
                .args(["-Ur", "sh", "-c", &script])
                .arg(test)
                .env("REFUSED", limit);
            assert!(shell.status().unwrap().success(), "{limit}");
        }
        return;
    }
    let (dir, path) = directory();
    let log = dir.path().join("log");
    let writer = fs::File::create(&log).unwrap();
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(writer)
        .init();
    let mut watched = Watched::new(&path).await;
    for contents in ["one", "two", "three"] {
        replace(&path, contents);
        watched.reports(contents).await;
    }
    let log = fs::read_to_string(log).unwrap();
    assert_eq!(log.matches("WARN").count(), 1, "{log}");
    assert!(log.contains("cannot be watched and is polled"), "{log}");
}

/// Threads, open files and watches are where they were.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn nothing_is_left_of_a_watch_that_was_dropped() {
    // In a process of its own, because the other tests have threads and files too.
    if std::env::var_os("ALONE").is_none() {
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "nothing_is_left_of_a_watch_that_was_dropped"])
            .env("ALONE", "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let inotify = || {
        let targets = fs::read_dir("/proc/self/fd")
            .unwrap()
            .map(|fd| fs::read_link(fd.unwrap().path()));
        targets
            .flatten()
            .filter(|target| target.ends_with("anon_inode:inotify"))
            .count()
    };
    let (_dir, path) = directory();
    for _ in 0..5 {
        let mut watched = Watched::new(&path).await;
        assert_eq!(inotify(), 1);
        replace(&path, &format!("{:?}", std::time::Instant::now()));
        watched.reported().await;
        drop(watched);
        let end = std::time::Instant::now() + DEADLINE;
        while inotify() != 0 {
            assert!(std::time::Instant::now() < end, "still watching");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
