//! What watching costs: nothing while nothing happens, and no more after ten thousand saves.
//!
//! Open files, threads and wake-ups belong to a process, so most tests here have one of their own,
//! and they take turns. They compare with what was before, and know nothing of how many watches a
//! file takes.
// With all formats, so that it runs once and not once for each feature.
#![cfg(all(
    feature = "json",
    feature = "toml",
    feature = "yaml",
    target_os = "linux"
))]

use std::collections::BTreeMap;
use std::fs;
use std::future::poll_fn;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rekindle::file::{self, File};
use rekindle::{BoxError, Live, Manager, Notifier, Reading, Source, Stamp, Trigger, Watch};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

mod process;

use process::Process;

/// Far longer than anything takes, also on a machine that is busy.
const DEADLINE: Duration = Duration::from_secs(30);

/// Whether this is the process in which the test of this name is alone. If not, it has been run, as
/// such a process, and has passed. A long test prints in between that a stage of it is done.
fn is_alone(test: &str, stages: u32) -> bool {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(mut process) = Process::of(test) else {
        return true;
    };
    (1..=stages).for_each(|stage| process.waits_for(&format!("stage {stage}")));
    let (code, stderr) = process.ends();
    assert_eq!(code, Some(0), "{stderr}");
    // What a test has to tell is shown with `--nocapture`.
    _ = io::stderr().write_all(stderr.as_bytes());
    false
}

fn directory() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.conf");
    fs::write(&path, "start").unwrap();
    (dir, path)
}

fn files(dir: &TempDir, count: usize) -> Vec<PathBuf> {
    (0..count)
        .map(|number| dir.path().join(format!("{number}.conf")))
        .collect()
}

fn replace(path: &Path, contents: &str) {
    let new = path.with_extension("new");
    fs::write(&new, contents).unwrap();
    fs::rename(new, path).unwrap();
}

/// The runtime of an app. The threads of its blocking pool do not outlive their work for long.
fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_keep_alive(Duration::from_millis(20))
        .enable_time()
        .build()
        .unwrap()
}

/// Watched files for which nobody has to wait for long.
fn sources(paths: &[PathBuf]) -> impl Iterator<Item = File<String>> {
    paths.iter().map(|path| {
        fs::write(path, "start").unwrap();
        file::text(path).watch().quiet(Duration::from_millis(1))
    })
}

#[track_caller]
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "not within {DEADLINE:?}: {what}");
        sleep(Duration::from_micros(100));
    }
}

/// An app that runs beside the test, until it is told to end.
struct App {
    lives: Vec<Live<String>>,
    stop: oneshot::Sender<()>,
    run: JoinHandle<Result<(), BoxError>>,
}

impl App {
    fn start(runtime: &Runtime, manager: Manager, lives: Vec<Live<String>>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let app = async move |_stop| {
            _ = stopped.await;
        };
        let run = runtime.spawn(manager.run(app));
        Self { lives, stop, run }
    }

    fn with(runtime: &Runtime, source: impl Source<Value = String>) -> Self {
        let (manager, lives) = manager(runtime, [source]);
        Self::start(runtime, manager, lives)
    }

    #[track_caller]
    fn sees(&self, contents: &str) {
        eventually(contents, || {
            self.lives.iter().all(|live| *live.load() == contents)
        });
    }

    fn end(self, runtime: &Runtime) {
        drop(self.stop);
        runtime.block_on(self.run).unwrap().unwrap();
    }
}

fn manager<S: Source<Value = String>>(
    runtime: &Runtime,
    sources: impl IntoIterator<Item = S>,
) -> (Manager, Vec<Live<String>>) {
    let mut manager = Manager::new();
    let mut lives = Vec::new();
    for (number, source) in sources.into_iter().enumerate() {
        let name = format!("file {number}");
        let live = runtime.block_on(async { manager.source(name, source).await });
        lives.push(live.unwrap());
    }
    (manager, lives)
}

/// When a watch was polled, which is once and then whenever something has woken it.
type Polls = Arc<Mutex<Vec<tokio::time::Instant>>>;

fn count(polls: &Polls) -> usize {
    polls.lock().unwrap().len()
}

/// A file whose watch takes note of its polls.
struct Noted {
    file: File<String>,
    polls: Polls,
}

impl Noted {
    fn new(file: File<String>) -> (Self, Polls) {
        let polls = Polls::default();
        let noted = Self {
            file,
            polls: Arc::clone(&polls),
        };
        (noted, polls)
    }
}

impl Source for Noted {
    type Value = String;

    async fn read(&self, committed: Option<Stamp>) -> Result<Reading<String>, BoxError> {
        self.file.read(committed).await
    }

    fn watch(&mut self) -> Result<Option<Watch>, BoxError> {
        let watch = Source::watch(&mut self.file)?.expect("it is watched");
        let polls = Arc::clone(&self.polls);
        Ok(Some(Watch::new(NotedWatch { watch, polls })))
    }
}

struct NotedWatch {
    watch: Watch,
    polls: Polls,
}

impl Notifier for NotedWatch {
    async fn notify(&mut self) -> Result<Trigger, BoxError> {
        let mut notify = pin!(self.watch.notify());
        let polls = &self.polls;
        poll_fn(|cx| {
            polls.lock().unwrap().push(tokio::time::Instant::now());
            notify.as_mut().poll(cx)
        })
        .await
    }
}

/// How often each thread but this one went to sleep: it grows when one of them is woken.
fn sleeps() -> BTreeMap<String, u64> {
    let this = fs::read_link("/proc/thread-self").unwrap();
    let mut sleeps = BTreeMap::new();
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let task = task.unwrap();
        if Some(&*task.file_name()) == this.file_name() {
            continue;
        }
        // A thread may have ended meanwhile.
        let Ok(status) = fs::read_to_string(task.path().join("status")) else {
            continue;
        };
        let field = |name| {
            let mut lines = status.lines();
            let value = lines.find_map(|line| line.strip_prefix(name)).unwrap();
            value.trim().to_owned()
        };
        let thread = format!("{} {}", field("Name:"), task.file_name().display());
        sleeps.insert(thread, field("voluntary_ctxt_switches:").parse().unwrap());
    }
    sleeps
}

/// Waits until all that was to be done is done: no thread was woken for several quiet times.
fn settle() {
    let several = Duration::from_millis(300);
    eventually("nothing goes on", || {
        let before = sleeps();
        sleep(several);
        sleeps() == before
    });
}

/// What a process has, and might have ever more of.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    files: usize,
    watches: usize,
    threads: usize,
    tasks: usize,
}

impl Counts {
    fn of(runtime: &Runtime) -> Self {
        let entries = |dir: &str| {
            fs::read_dir(dir)
                .unwrap()
                .map(|entry| entry.unwrap().path())
        };
        let watches = |fd: PathBuf| {
            // Among them is the one by which the directory is read, and it is closed by now.
            let info = fs::read_to_string(fd).unwrap_or_default();
            let lines = info.lines();
            lines.filter(|line| line.starts_with("inotify ")).count()
        };
        // One for the process, from the first reload on.
        let is_alarm = |task: &PathBuf| {
            fs::read_to_string(task.join("comm")).is_ok_and(|name| name == "rekindle-alarm\n")
        };
        Self {
            files: entries("/proc/self/fd").count(),
            watches: entries("/proc/self/fdinfo").map(watches).sum(),
            threads: entries("/proc/self/task")
                .filter(|task| !is_alarm(task))
                .count(),
            tasks: runtime.metrics().num_alive_tasks(),
        }
    }

    /// Waits until they are these again: a thread takes a moment to end.
    #[track_caller]
    fn come_back(&self, runtime: &Runtime) {
        let mut now = Self::of(runtime);
        let end = Instant::now() + DEADLINE;
        while now != *self && Instant::now() < end {
            sleep(Duration::from_millis(1));
            now = Self::of(runtime);
        }
        assert_eq!(now, *self, "now, and before");
    }
}

#[test]
fn an_app_that_watches_wakes_nobody_while_nothing_happens() {
    if !is_alone("an_app_that_watches_wakes_nobody_while_nothing_happens", 0) {
        return;
    }
    let (_dir, path) = directory();
    let runtime = runtime();
    let (source, polls) = Noted::new(file::text(&path).watch().poll(None));
    let app = App::with(&runtime, source);
    for contents in ["one", "two", "three"] {
        fs::write(&path, contents).unwrap();
        app.sees(contents);
        settle();
        let before = (count(&polls), sleeps());
        sleep(Duration::from_secs(1));
        assert_eq!((count(&polls), sleeps()), before, "now, and before");
    }
    app.end(&runtime);
}

#[test]
fn what_happens_to_other_files_wakes_no_watch() {
    if !is_alone("what_happens_to_other_files_wakes_no_watch", 0) {
        return;
    }
    let (dir, path) = directory();
    let runtime = runtime();
    let (source, polls) = Noted::new(file::text(&path).watch().poll(None));
    let app = App::with(&runtime, source);
    for contents in ["one", "two", "three"] {
        fs::write(&path, contents).unwrap();
        app.sees(contents);
        settle();
        let before = count(&polls);
        let other = dir.path().join("other.conf");
        for write in 0..1_000 {
            fs::write(&other, format!("write {write}")).unwrap();
        }
        replace(&other, "replaced");
        assert_eq!(fs::read_to_string(&path).unwrap(), contents);
        fs::remove_file(other).unwrap();
        settle();
        assert_eq!(count(&polls), before);
    }
    app.end(&runtime);
}

/// In the time of a clock that is not real, so what is waited for takes no time.
#[tokio::test(start_paused = true)]
async fn a_file_that_rests_is_looked_at_every_half_minute_and_left_alone_in_between() {
    let (_dir, path) = directory();
    let (mut source, polls) = Noted::new(file::text(&path).watch());
    let mut watch = Source::watch(&mut source).unwrap().unwrap();
    assert!(source.read(None).await.is_ok());
    // A task of its own, so that nothing else polls it.
    let watching = tokio::spawn(async move { watch.notify().await.map(drop) });
    let minutes = 60;
    tokio::time::sleep(Duration::from_secs(60 * minutes)).await;
    assert!(!watching.is_finished(), "reported, but nothing has changed");

    let polls = polls.lock().unwrap();
    let far = |pair: &&[_]| pair[1] - pair[0] > Duration::from_secs(1);
    let gaps = polls.windows(2).filter(far);
    // The period may vary a little.
    let half = |pair: &[tokio::time::Instant]| (20..40).contains(&(pair[1] - pair[0]).as_secs());
    assert!(gaps.clone().all(half), "{polls:?}");
    let looks = gaps.count() as u64 + 1;
    assert!((minutes..4 * minutes).contains(&looks), "{looks} looks");
    assert!(polls.len() as u64 <= 10 * looks, "{} polls", polls.len());
}

/// Each of them is seen. There are ten files, because one takes ten times as long.
#[test]
fn ten_thousand_saves_leave_everything_where_it_was() {
    const STAGES: u32 = 5;
    if !is_alone("ten_thousand_saves_leave_everything_where_it_was", STAGES) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let paths = files(&dir, 10);
    let runtime = runtime();
    let (manager, lives) = manager(&runtime, sources(&paths));
    let app = App::start(&runtime, manager, lives);
    let saves = |number: u32| {
        let contents = format!("save {number}");
        for path in &paths {
            match number % 2 {
                0 => fs::write(path, &contents).unwrap(),
                _ => replace(path, &contents),
            }
        }
        app.sees(&contents);
    };
    (0..10).for_each(saves);
    settle();
    let (before, memory_before) = (Counts::of(&runtime), memory());
    for stage in 1..=STAGES {
        (200 * stage - 190..200 * stage + 10).for_each(saves);
        writeln!(io::stdout(), "stage {stage}").unwrap();
    }
    before.come_back(&runtime);
    let now = memory();
    _ = writeln!(
        io::stderr(),
        "{before:?}, {memory_before} before, {now} now"
    );
    app.end(&runtime);
}

#[test]
fn two_hundred_watched_files_leave_nothing_behind() {
    if !is_alone("two_hundred_watched_files_leave_nothing_behind", 0) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let paths = files(&dir, 200);
    let runtime = runtime();
    settle();
    let before = Counts::of(&runtime);
    for round in ["one", "two", "three"] {
        let (manager, lives) = manager(&runtime, sources(&paths));
        let watching = Counts::of(&runtime);
        assert!(watching.watches > before.watches, "{watching:?}");
        // One is dropped before it runs.
        if round != "one" {
            let app = App::start(&runtime, manager, lives);
            for path in &paths {
                fs::write(path, round).unwrap();
            }
            app.sees(round);
            app.end(&runtime);
        } else {
            drop((manager, lives));
        }
        before.come_back(&runtime);
    }
}

/// What of the process is in memory, with the unit.
fn memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix("VmRSS:"));
    line.unwrap().trim().to_owned()
}
