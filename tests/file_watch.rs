//! The notifier of a watched file by itself: what it does with bursts, with waits that are dropped,
//! and with reads that it knows nothing of. What comes of each way to save a file is in `layout_*`.
//!
//! No test waits for nothing to happen. Where nothing may come, a real change follows, and the
//! reports are counted.
#![cfg(all(feature = "file", unix))]

use std::fs;
use std::path::Path;
use std::time::Duration;

use rekindle::file::{self, File};
use rekindle::{Notifier, Reading, Source, Watch};
use tokio::time::timeout;

use saves::{directory, replace};

#[cfg(target_os = "linux")]
mod process;
mod saves;

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

    /// Looks at what happened until now, of which nothing may be worth a report.
    ///
    /// The runtime is driven while the watcher waits, and polls of the watcher are the only thing
    /// that happens, so what it would report, it reports here or before the next change.
    async fn reports_nothing_for(&mut self, time: Duration) {
        let report = timeout(time, self.watch.notify()).await;
        assert!(report.is_err(), "reported, but nothing has changed");
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

/// The reload that read them ran into its deadline, so they are not live.
#[tokio::test]
async fn contents_whose_read_was_given_up_are_reported_again() {
    let (_dir, path) = directory();
    let file = file::text(&path).watch().poll(Duration::from_millis(20));
    let mut watched = Watched::of(file.quiet(Duration::from_millis(300))).await;
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
    let file = file::text(&path).watch().poll(None);
    let mut watched = Watched::of(file.quiet(Duration::from_millis(300))).await;
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
async fn a_poll_that_is_never_due_does_no_harm() {
    let (_dir, path) = directory();
    let source = file::text(&path).watch().poll(Duration::MAX);
    let mut watched = Watched::of(source).await;
    watched
        .reports_nothing_for(Duration::from_millis(150))
        .await;
    // The length of each wait is a matter of chance.
    for _ in 0..20 {
        watched.reports_nothing_for(Duration::from_millis(1)).await;
    }
    for contents in ["one", "two", "three"] {
        fs::write(&path, contents).unwrap();
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

/// In a process of its own, because the other tests have open files too; and as a user whom nobody
/// else is, because the kernel counts what a user may watch.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn nothing_is_left_of_a_watch_that_was_dropped() {
    let test = "nothing_is_left_of_a_watch_that_was_dropped";
    if let Some(process) = process::Process::as_user(63_003, test) {
        process.passes();
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
