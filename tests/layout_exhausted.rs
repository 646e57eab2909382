//! The kernel refuses to watch: it is said once, and polling finds every save.
// With all formats, so that it runs once and not once for each feature.
#![cfg(all(
    feature = "json",
    feature = "toml",
    feature = "yaml",
    target_os = "linux"
))]

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rekindle::file;
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, geteuid, getrlimit, setrlimit};

use process::Process;
use saves::{Saves, directory, replace};

mod process;
mod saves;

/// The limits are per user. As root, each test is somebody whom nobody else is. Everybody else shares
/// them with what else they run, for a moment, and with one test at a time.
static LIMITS: Mutex<()> = Mutex::new(());

#[test]
fn a_user_without_inotify_instances_polls() {
    every_save_is_found_without(63_001, "a_user_without_inotify_instances_polls", |_| {
        instances(usize::MAX)
    });
}

#[test]
fn a_user_without_inotify_watches_polls() {
    every_save_is_found_without(63_002, "a_user_without_inotify_watches_polls", |dir| {
        // They can watch the same directories, so that there need not be as many of those as the
        // limit allows; but few of them, because the kernel takes its time to close one.
        let held = instances(16);
        assert!(!held.is_empty());
        for number in 0.. {
            let dir = dir.join(number.to_string());
            fs::create_dir(&dir).unwrap();
            for instance in &held {
                match add_watch(instance, &dir, WatchFlags::DELETE_SELF) {
                    Ok(_) => {}
                    Err(error) => {
                        assert_eq!(error, Errno::NOSPC);
                        return held;
                    }
                }
            }
        }
        unreachable!("there is a limit")
    });
}

/// As many instances as there are, but not more than these.
fn instances(most: usize) -> Vec<OwnedFd> {
    // Each is an open file, and there have to be enough of those left.
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    let new = || init(CreateFlags::CLOEXEC);
    let held = std::iter::from_fn(|| new().ok()).take(most).collect();
    assert!(fs::File::open("/dev/null").is_ok(), "a limit on open files");
    held
}

fn every_save_is_found_without(user: u32, test: &str, exhaust: impl FnOnce(&Path) -> Vec<OwnedFd>) {
    let lock = || LIMITS.lock().unwrap_or_else(PoisonError::into_inner);
    let _alone = (!geteuid().is_root()).then(lock);
    if let Some(process) = Process::as_user(user, test) {
        process.passes();
        return;
    }
    let (dir, path) = directory();
    let log = dir.path().join("log");
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(fs::File::create(&log).unwrap())
        .init();
    let elsewhere = tempfile::tempdir().unwrap();
    let held = exhaust(elsewhere.path());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let mut saves = Saves::of(file::text(&path).watch().poll(None)).await;
        // It is polled once a second.
        saves.running = saves.running.resting_for(Duration::from_millis(1200));
        for contents in ["one", "two", "three"] {
            replace(&path, contents);
            saves.becomes(contents).await;
        }
    });
    drop(held);
    let log = fs::read_to_string(log).unwrap();
    assert_eq!(log.matches("WARN").count(), 1, "{log}");
    assert!(log.contains("polled"), "{log}");
}
