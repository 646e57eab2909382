//! A file is saved while no thread can be started, or nothing be opened: the reload says so, and what
//! was saved is read soon after it can be.
// With all formats, so that it runs once and not once for each feature.
#![cfg(all(
    feature = "json",
    feature = "toml",
    feature = "yaml",
    target_os = "linux"
))]

use std::fs::{self, File};
use std::future::Future;
use std::panic;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rekindle::{Handle, Manager, Outcome, Report, Reports, Source, file};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Builder;
use tokio::time::timeout;

use process::Process;
use saves::{directory, replace};

mod process;
mod saves;

/// Far longer than anything takes, also on a machine that is busy. No file here is polled, so without
/// another attempt nothing would ever come.
const DEADLINE: Duration = Duration::from_secs(20);

const NO_THREAD: &str = "cannot start a thread: Resource temporarily unavailable (os error 11)";
const NO_DESCRIPTOR: &str = "cannot be read: Too many open files (os error 24)";

/// Runs `test` in a process of its own, and of a user who has no other: the limit on threads counts
/// those of all processes of a user, and does not hold for root. Nothing may panic in it.
fn as_user<F: Future<Output = ()>>(user: u32, name: &str, test: impl FnOnce() -> F) {
    if let Some(process) = Process::as_user(user, name) {
        process.passes();
        return;
    }
    let panics = Arc::new(AtomicUsize::new(0));
    let (count, hook) = (Arc::clone(&panics), panic::take_hook());
    panic::set_hook(Box::new(move |info| {
        count.fetch_add(1, Ordering::Relaxed);
        hook(info);
    }));
    // Its pool keeps no thread from before.
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .thread_keep_alive(Duration::from_millis(1))
        .enable_all()
        .build();
    runtime.unwrap().block_on(test());
    assert_eq!(panics.load(Ordering::Relaxed), 0, "panics");
}

fn limit(resource: Resource, current: Option<u64>) {
    let limit = getrlimit(resource);
    setrlimit(resource, Rlimit { current, ..limit }).unwrap();
}

/// No thread can be started until this is dropped, or no more than these at a time.
struct Threads;

impl Threads {
    fn none() -> Self {
        limit(Resource::Nproc, Some(1));
        let started = thread::Builder::new().spawn(|| {});
        assert!(started.is_err(), "the limit holds");
        Self
    }

    fn at_most(number: u64) -> Self {
        let mut most = 1;
        loop {
            limit(Resource::Nproc, Some(most));
            match thread::Builder::new().spawn(|| {}) {
                Ok(thread) => break thread.join().unwrap(),
                Err(_) => most += 1,
            }
        }
        limit(Resource::Nproc, Some(most + number - 1));
        Self
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        limit(Resource::Nproc, getrlimit(Resource::Nproc).maximum);
    }
}

/// Nothing can be opened until this is dropped, or no more than these at a time.
struct Descriptors {
    limit: Rlimit,
    _held: Vec<File>,
}

impl Descriptors {
    fn at_most(number: usize) -> Self {
        let before = getrlimit(Resource::Nofile);
        limit(Resource::Nofile, Some(64));
        let mut held: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        assert!(held.len() > number, "the limit holds");
        held.truncate(held.len() - number);
        Self {
            limit: before,
            _held: held,
        }
    }
}

impl Drop for Descriptors {
    fn drop(&mut self) {
        setrlimit(Resource::Nofile, self.limit).unwrap();
    }
}

/// A file that is watched and not polled, in a manager that runs.
struct Watched {
    handle: Handle,
    reports: Reports,
    value: rekindle::Live<String>,
}

impl Watched {
    async fn new(path: &Path) -> Self {
        let mut manager = Manager::new();
        let source = file::text(path).watch().poll(None);
        let value = manager.source("file", source).await.unwrap();
        let handle = manager.handle();
        let reports = handle.subscribe();
        tokio::spawn(manager.run(async |stop| stop.cancelled().await));
        Self {
            handle,
            reports,
            value,
        }
    }

    async fn report(&mut self) -> Arc<Report> {
        let report = timeout(DEADLINE, self.reports.next()).await;
        report.expect("a reload comes").unwrap()
    }

    /// The next reload is refused for this reason, which is that of the file at this path.
    async fn refuses(&mut self, path: &Path, why: &str) {
        let report = self.report().await;
        assert_eq!(report.outcome(), Outcome::Rejected, "{report}");
        let why = format!("{}: {why}", path.display());
        assert!(report.to_string().contains(&why), "{report}");
    }

    /// A reload makes this the value. Those before it were refused for this reason, or came too late.
    async fn becomes(&mut self, value: &str, unless: &str) {
        loop {
            let report = self.report().await;
            match report.outcome() {
                Outcome::Applied => break,
                Outcome::Rejected => assert!(report.to_string().contains(unless), "{report}"),
                outcome => assert_eq!(outcome, Outcome::Unchanged, "{report}"),
            }
        }
        assert_eq!(*self.value.load(), value);
    }
}

#[test]
fn a_save_without_threads_is_read_when_there_are_some() {
    let name = "a_save_without_threads_is_read_when_there_are_some";
    as_user(63_003, name, async || {
        let (_dir, path) = directory();
        let mut watched = Watched::new(&path).await;
        for round in ["one", "two"] {
            let none = Threads::none();
            replace(&path, round);
            watched.refuses(&path, NO_THREAD).await;
            for _ in 0..2 {
                assert!(watched.handle.reload("test").await.is_err());
                watched.refuses(&path, NO_THREAD).await;
            }
            drop(none);
            watched.becomes(round, NO_THREAD).await;
        }
        replace(&path, "three");
        watched.becomes("three", NO_THREAD).await;
    });
}

/// The watcher has nothing to tell here, and reads the file all the same: the reload may have been
/// one that it had asked for.
#[test]
fn a_reload_that_could_not_read_is_made_up_for() {
    let name = "a_reload_that_could_not_read_is_made_up_for";
    as_user(63_004, name, async || {
        let (_dir, path) = directory();
        let mut watched = Watched::new(&path).await;
        replace(&path, "one");
        watched.becomes("one", NO_THREAD).await;
        let none = Threads::none();
        assert!(watched.handle.reload("test").await.is_err());
        watched.refuses(&path, NO_THREAD).await;
        drop(none);
        loop {
            let report = watched.report().await;
            if report.outcome() == Outcome::Unchanged {
                assert!(report.triggers().contains("file"), "{report}");
                break;
            }
        }
    });
}

#[test]
fn sources_share_the_threads_that_are_left() {
    let name = "sources_share_the_threads_that_are_left";
    as_user(63_008, name, async || {
        let (dir, _) = directory();
        let mut manager = Manager::new();
        let mut values = Vec::new();
        for number in 0..100 {
            let path = dir.path().join(number.to_string());
            fs::write(&path, "start").unwrap();
            let source = file::text(&path);
            values.push(manager.source(number.to_string(), source).await.unwrap());
        }
        let handle = manager.handle();
        tokio::spawn(manager.run(async |stop| stop.cancelled().await));
        // The first one starts a thread that stays.
        handle.reload("test").await.unwrap();
        let _few = Threads::at_most(3);
        for number in 0..100 {
            fs::write(dir.path().join(number.to_string()), "saved").unwrap();
        }
        let report = handle.reload("test").await.unwrap();
        assert_eq!(report.outcome(), Outcome::Applied, "{report}");
        assert!(values.iter().all(|value| *value.load() == "saved"));
    });
}

#[test]
fn a_save_without_descriptors_is_read_when_there_are_some() {
    let name = "a_save_without_descriptors_is_read_when_there_are_some";
    as_user(63_005, name, async || {
        let (_dir, path) = directory();
        let mut watched = Watched::new(&path).await;
        for round in ["one", "two"] {
            let new = path.with_extension("new");
            fs::write(&new, round).unwrap();
            let none = Descriptors::at_most(0);
            fs::rename(new, &path).unwrap();
            watched.refuses(&path, NO_DESCRIPTOR).await;
            drop(none);
            watched.becomes(round, NO_DESCRIPTOR).await;
        }
    });
}

#[test]
fn a_file_is_polled_until_events_can_be_had() {
    let name = "a_file_is_polled_until_events_can_be_had";
    as_user(63_006, name, async || {
        let (dir, path) = directory();
        let log = dir.path().join("log");
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(File::create(&log).unwrap())
            .init();
        let log = || fs::read_to_string(&log).unwrap();
        // Enough to read a file, and too few for inotify; then too few threads.
        let descriptors = Descriptors::at_most(2);
        let mut watched = Watched::new(&path).await;
        replace(&path, "one");
        watched.becomes("one", NO_DESCRIPTOR).await;
        let threads = Threads::at_most(1);
        drop(descriptors);
        replace(&path, "two");
        watched.becomes("two", NO_THREAD).await;
        drop(threads);
        let again = async {
            while !log().contains("watching the file again") {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(DEADLINE, again).await.expect("it is watched again");
        assert_eq!(log().matches("cannot be watched").count(), 1, "{}", log());
        replace(&path, "three");
        watched.becomes("three", NO_THREAD).await;
    });
}

/// Others take and give back the threads that are left, so that now and then there is one for the read
/// and none for its watcher.
#[test]
fn a_watcher_whose_thread_is_refused_does_not_panic() {
    let name = "a_watcher_whose_thread_is_refused_does_not_panic";
    as_user(63_007, name, async || {
        let (_dir, path) = directory();
        let done = Arc::new(AtomicBool::new(false));
        let others = [0, 1].map(|_| {
            let done = Arc::clone(&done);
            thread::spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    _ = thread::Builder::new().spawn(|| {}).map(|it| it.join());
                }
            })
        });
        let threads = Threads::at_most(2);
        for _ in 0..300 {
            let mut source = file::text(&path).watch();
            let watch = Source::watch(&mut source).unwrap();
            _ = source.read(None).await;
            drop(watch);
        }
        drop(threads);
        done.store(true, Ordering::Relaxed);
        for other in others {
            other.join().unwrap();
        }
    });
}
