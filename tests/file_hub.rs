//! What all watched files of a process share: one watcher for each file system.
// With all formats, so that it runs once and not once for each feature.
#![cfg(all(
    feature = "json",
    feature = "toml",
    feature = "yaml",
    target_os = "linux"
))]

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rekindle::file::{self, File};
use rekindle::{Notifier, Reading, Source, Watch};
use tempfile::TempDir;
use tokio::time::timeout;

mod support;

use support::{eventually, in_time};

const ROUNDS: [&str; 3] = ["one", "two", "three"];

/// A file that is watched without the safety poll, and was read once, as at the start of an app.
struct Watched {
    source: File<String>,
    watch: Watch,
}

impl Watched {
    async fn new(path: impl AsRef<Path>) -> Self {
        let mut source = file::text(path).watch().poll(None);
        let watch = Source::watch(&mut source).unwrap().expect("it is watched");
        _ = source.read(None).await;
        Self { source, watch }
    }

    async fn reported(&mut self) {
        in_time(self.watch.notify()).await.unwrap();
    }

    /// The next report is one of these contents: none came for what was before.
    async fn reports(&mut self, contents: &str) {
        self.reported().await;
        match self.source.read(None).await.unwrap() {
            Reading::Stamped(text, _) => assert_eq!(text, contents),
            _ => panic!("a file has a stamp"),
        }
    }

    /// The next report is one of a file that is not there.
    async fn reports_that_it_is_gone(&mut self) {
        self.reported().await;
        let error = self.source.read(None).await.expect_err("it is refused");
        assert!(error.to_string().contains("not found"), "{error}");
    }

    async fn reports_nothing(&mut self) {
        let report = timeout(Duration::from_millis(150), self.watch.notify()).await;
        assert!(report.is_err(), "reported, but nothing has changed");
    }
}

/// Two files in a directory, which is in one of its own.
fn two_files() -> (TempDir, PathBuf, [PathBuf; 2]) {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("etc/app");
    let paths = ["a", "b"].map(|name| dir.join(name));
    create(&dir, "start");
    (temp, dir, paths)
}

fn create(dir: &Path, contents: &str) {
    fs::create_dir_all(dir).unwrap();
    for name in ["a", "b"] {
        fs::write(dir.join(name), contents).unwrap();
    }
}

/// Puts a directory with other contents in the place of this one, which is kept under another name:
/// nothing happens in it that would be an event.
fn exchange(dir: &Path, inner: &str, contents: &str) {
    let [old, new] = ["old", "new"].map(|name| dir.with_file_name(format!("{name} {contents}")));
    create(&new.join(inner), contents);
    fs::rename(dir, old).unwrap();
    fs::rename(new, dir).unwrap();
}

/// Runs this test again, alone in a process that is started by this command. Whether this is that
/// process.
fn is_alone(name: &str, command: impl FnOnce() -> Command) -> bool {
    if std::env::var_os("ALONE").is_some() {
        return true;
    }
    let status = command()
        .args(["--exact", name])
        .env("ALONE", "1")
        .status()
        .unwrap();
    assert!(status.success());
    false
}

fn this_test() -> PathBuf {
    std::env::current_exe().unwrap()
}

#[tokio::test]
async fn each_of_two_files_in_a_directory_is_reported_by_its_own_source() {
    let (_temp, _dir, paths) = two_files();
    let mut a = Watched::new(&paths[0]).await;
    let mut b = Watched::new(&paths[1]).await;
    a.reports_nothing().await;
    b.reports_nothing().await;
    for contents in ROUNDS {
        fs::write(&paths[0], contents).unwrap();
        a.reports(contents).await;
        b.reports_nothing().await;
        fs::write(&paths[1], contents).unwrap();
        b.reports(contents).await;
        a.reports_nothing().await;
    }
}

#[tokio::test]
async fn a_source_that_goes_does_not_blind_the_other_one() {
    let (temp, _dir, paths) = two_files();
    let elsewhere = temp.path().join("elsewhere");
    fs::write(&elsewhere, "start").unwrap();
    let mut stays = Watched::new(&paths[0]).await;
    for contents in ROUNDS {
        for path in [&paths[0], &paths[1], &elsewhere] {
            let mut goes = Watched::new(path).await;
            fs::write(path, format!("{contents} at {}", path.display())).unwrap();
            goes.reported().await;
        }
        stays.reported().await;
        fs::write(&paths[0], contents).unwrap();
        stays.reports(contents).await;
    }
}

#[tokio::test]
async fn a_directory_that_goes_and_comes_is_reported_by_all_its_sources() {
    let (temp, dir, paths) = two_files();
    let mut a = Watched::new(&paths[0]).await;
    let mut b = Watched::new(&paths[1]).await;
    for (round, contents) in ROUNDS.iter().chain(&ROUNDS).enumerate() {
        let gone = ["etc/app", "etc"][round % 2];
        fs::remove_dir_all(temp.path().join(gone)).unwrap();
        if round < ROUNDS.len() {
            a.reports_that_it_is_gone().await;
            b.reports_that_it_is_gone().await;
        }
        let contents = format!("{contents} {round}");
        create(&dir, &contents);
        a.reports(&contents).await;
        b.reports(&contents).await;
        // In the new directory, too.
        for (watched, path) in [(&mut b, &paths[1]), (&mut a, &paths[0])] {
            fs::write(path, format!("again {round}")).unwrap();
            watched.reports(&format!("again {round}")).await;
        }
    }
}

#[tokio::test]
async fn a_directory_far_above_that_is_exchanged_is_reported_each_time() {
    let temp = tempfile::tempdir().unwrap();
    let app = temp.path().join("app");
    let dir = app.join("some/where/below");
    create(&dir, "start");
    let mut a = Watched::new(dir.join("a")).await;
    let mut b = Watched::new(dir.join("b")).await;
    for contents in ROUNDS {
        exchange(&app, "some/where/below", contents);
        a.reports(contents).await;
        b.reports(contents).await;
        fs::write(dir.join("a"), "in the new one").unwrap();
        a.reports("in the new one").await;
    }
}

/// How many directories the kernel watches for this process.
fn watches() -> usize {
    let files = fs::read_dir("/proc/self/fdinfo").unwrap();
    let files = files.flat_map(|file| fs::read_to_string(file.unwrap().path()));
    files.map(|file| file.matches("inotify wd:").count()).sum()
}

/// Threads, and open files.
fn watchers() -> (usize, usize) {
    let files = fs::read_dir("/proc/self/fd")
        .unwrap()
        .flat_map(|fd| fs::read_link(fd.unwrap().path()))
        .filter(|target| target.ends_with("anon_inode:inotify"));
    let threads = fs::read_dir("/proc/self/task")
        .unwrap()
        .flat_map(|task| fs::read_to_string(task.unwrap().path().join("comm")))
        .filter(|name| name.starts_with("notify-rs"));
    (threads.count(), files.count())
}

#[tokio::test]
async fn many_files_cost_one_watcher_for_each_file_system() {
    const NAME: &str = "many_files_cost_one_watcher_for_each_file_system";
    if !is_alone(NAME, || Command::new(this_test())) {
        return;
    }
    let mut places = vec![tempfile::tempdir().unwrap()];
    places.extend(tempfile::tempdir_in("/dev/shm"));
    let mut paths = Vec::new();
    for number in 0..200 {
        let place = &places[number % places.len()];
        let dir = place.path().join((number / 20).to_string());
        fs::create_dir_all(&dir).unwrap();
        paths.push(dir.join(number.to_string()));
        fs::write(paths.last().unwrap(), "start").unwrap();
    }
    let devices = paths.iter().flat_map(|path| {
        let dir = path.parent().unwrap().canonicalize().unwrap();
        let devices: Vec<_> = dir
            .ancestors()
            // The root and what is right in it is not watched.
            .filter(|dir| dir.components().count() > 2)
            .map(|dir| fs::metadata(dir).unwrap().dev())
            .collect();
        devices
    });
    let devices = devices.collect::<BTreeSet<_>>().len();
    for _ in 0..2 {
        let mut all = Vec::new();
        for path in &paths {
            all.push(Watched::new(path).await);
        }
        assert_eq!(watchers(), (devices, devices));
        for round in 0..3 {
            let chosen = 67 * round;
            let contents = format!("{:?}", std::time::Instant::now());
            fs::write(&paths[chosen], &contents).unwrap();
            all[chosen].reports(&contents).await;
        }
        assert_eq!(watchers(), (devices, devices));
        // What nobody watches any more, the next one who looks unwatches.
        let watched = watches();
        all.truncate(20);
        for (path, one) in paths.iter().zip(&mut all).take(places.len()) {
            let contents = format!("{:?}", std::time::Instant::now());
            fs::write(path, &contents).unwrap();
            one.reports(&contents).await;
        }
        assert_eq!(watched - watches(), 9 * places.len());
        drop(all);
        eventually("nothing is left", || watchers() == (0, 0)).await;
    }
}

/// This test for a user other than root, who may not be able to reach the one that was built, and so
/// gets a copy in this directory.
fn without_root(own: &Path) -> Command {
    let test = own.join("test");
    fs::set_permissions(own, Permissions::from_mode(0o777)).unwrap();
    fs::copy(this_test(), &test).unwrap();
    let setpriv = |program: &Path| {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(program);
        command
    };
    let can_drop = setpriv(Path::new("true")).stderr(Stdio::null()).status();
    let mut command = if can_drop.is_ok_and(|status| status.success()) {
        setpriv(&test)
    } else {
        Command::new(test)
    };
    command.env("TMPDIR", own);
    command
}

/// To go through a directory takes less than to watch it. Root may do both.
#[tokio::test]
async fn a_directory_above_that_may_not_be_watched_does_not_matter() {
    const NAME: &str = "a_directory_above_that_may_not_be_watched_does_not_matter";
    let own = tempfile::tempdir().unwrap();
    if !is_alone(NAME, || without_root(own.path())) {
        return;
    }
    let (temp, dir, paths) = two_files();
    let above = dir.parent().unwrap();
    let log = temp.path().join("log");
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(fs::File::create(&log).unwrap())
        .init();
    let logged = || fs::read_to_string(&log).unwrap();

    fs::set_permissions(above, Permissions::from_mode(0o311)).unwrap();
    if fs::read_dir(above).is_ok() {
        return;
    }
    let mut a = Watched::new(&paths[0]).await;
    let mut b = Watched::new(&paths[1]).await;
    let watched = watches();
    for contents in ROUNDS {
        fs::write(&paths[0], contents).unwrap();
        a.reports(contents).await;
        // The directory itself tells that it was moved.
        exchange(&dir, "", &format!("{contents} exchanged"));
        a.reports(&format!("{contents} exchanged")).await;
        b.reports(&format!("{contents} exchanged")).await;
        assert_eq!(watches(), watched);
    }
    assert_eq!(logged(), "");

    let in_it = above.join("c");
    fs::write(&in_it, "start").unwrap();
    let mut polled = Watched::new(&in_it).await;
    for contents in ROUNDS {
        fs::write(&in_it, contents).unwrap();
        polled.reports(contents).await;
    }
    assert_eq!(logged().matches("WARN").count(), 1, "{}", logged());
    fs::set_permissions(above, Permissions::from_mode(0o755)).unwrap();
    drop(polled.watch.notify());
    fs::write(&in_it, "after").unwrap();
    polled.reports("after").await;
    assert!(logged().contains("watching the file again"), "{}", logged());
}

/// The kernel has one watch for a directory, at however many paths it is mounted.
#[tokio::test]
async fn a_directory_that_is_mounted_twice_is_watched_at_both_paths() {
    const NAME: &str = "a_directory_that_is_mounted_twice_is_watched_at_both_paths";
    if std::env::var_os("ALONE").is_none() {
        let (temp, dir, _) = two_files();
        let mount = temp.path().join("mount");
        fs::create_dir(&mount).unwrap();
        let namespace = |script: &str| {
            let mut command = Command::new("unshare");
            command.args(["-Urm", "sh", "-c", script]).arg(this_test());
            command.env("DIR", &dir).env("MOUNT", &mount);
            command
        };
        let bind = "mount --bind \"$DIR\" \"$MOUNT\"";
        if namespace(bind)
            .status()
            .is_ok_and(|status| status.success())
        {
            is_alone(NAME, || namespace(&format!("{bind} && exec \"$0\" \"$@\"")));
        }
        return;
    }
    let [dir, mount] = ["DIR", "MOUNT"].map(|name| PathBuf::from(std::env::var_os(name).unwrap()));
    let mut here = Watched::new(dir.join("a")).await;
    for contents in ROUNDS {
        let mut there = Watched::new(mount.join("a")).await;
        fs::write(dir.join("a"), contents).unwrap();
        here.reports(contents).await;
        there.reports(contents).await;
        drop(there);
        // Whoever arms next unwatches the other path, and with it the one watch that there is.
        let elsewhere = dir.parent().unwrap().join("elsewhere");
        drop(Watched::new(elsewhere).await);
        fs::write(dir.join("a"), format!("{contents} again")).unwrap();
        here.reports(&format!("{contents} again")).await;
    }
}

/// As a container gets its configuration: the file itself is mounted, and written where it comes from.
#[tokio::test]
async fn a_file_that_is_mounted_over_another_is_watched_where_it_is_written() {
    const NAME: &str = "a_file_that_is_mounted_over_another_is_watched_where_it_is_written";
    if std::env::var_os("ALONE").is_none() {
        let (_temp, dir, _) = two_files();
        let Ok(host) = tempfile::tempdir_in("/dev/shm") else {
            return;
        };
        let host = host.path().join("a");
        fs::write(&host, "start").unwrap();
        let namespace = |script: &str| {
            let mut command = Command::new("unshare");
            command.args(["-Urm", "sh", "-c", script]).arg(this_test());
            command.env("DIR", &dir).env("HOST", &host);
            command
        };
        let bind = "mount --bind \"$HOST\" \"$DIR/b\"";
        if namespace(bind)
            .status()
            .is_ok_and(|status| status.success())
        {
            is_alone(NAME, || namespace(&format!("{bind} && exec \"$0\" \"$@\"")));
        }
        return;
    }
    let [dir, host] = ["DIR", "HOST"].map(|name| PathBuf::from(std::env::var_os(name).unwrap()));
    let mut watched = Watched::new(dir.join("b")).await;
    for contents in ROUNDS {
        fs::write(&host, contents).unwrap();
        watched.reports(contents).await;
    }
}
