//! A manager that runs while the files of its sources change, and what has to come of each change.
//!
//! Reports are taken one by one, and each has to be the one that was asked for, so a reload too many
//! fails the test wherever it comes. The runtime has threads of its own, so that the watcher looks
//! while a change is only half done.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rekindle::file::File;
use rekindle::{Handle, Live, Manager, Outcome, Report, Reports};
use tempfile::TempDir;
use tokio::time::timeout;

pub(crate) mod kubelet;

/// Far longer than anything takes, also on a machine that is busy.
const DEADLINE: Duration = Duration::from_secs(20);

/// Several times as long as it takes from an event to a reload, with the default quiet time.
const REST: Duration = Duration::from_millis(200);

/// A manager that runs, and its reports.
pub(crate) struct Running {
    pub(crate) handle: Handle,
    reports: Reports,
    taken: usize,
    generation: u64,
    rest: Duration,
}

impl Running {
    /// Runs the manager until the test is over.
    pub(crate) fn new(manager: Manager) -> Self {
        let handle = manager.handle();
        let running = Self {
            reports: handle.subscribe(),
            taken: 0,
            generation: handle.status().generation(),
            rest: REST,
            handle,
        };
        tokio::spawn(manager.run(async |stop| stop.cancelled().await));
        running
    }

    /// How long [`rests`](Self::rests) looks: longer than what the watcher waits for.
    pub(crate) fn resting_for(mut self, rest: Duration) -> Self {
        self.rest = self.rest.max(rest);
        self
    }

    /// The report of the next reload; checks are none.
    async fn next(&mut self) -> Arc<Report> {
        loop {
            let report = self.reports.next().await;
            let report = report.expect("the manager has not stopped");
            if !report.is_check() {
                return report;
            }
        }
    }

    pub(crate) async fn report(&mut self) -> Arc<Report> {
        let report = timeout(DEADLINE, self.next())
            .await
            .expect("a reload comes");
        self.taken += 1;
        if report.outcome() == Outcome::Applied {
            self.generation += 1;
        }
        assert_eq!(report.generation(), self.generation, "{report}");
        report
    }

    /// The next reload has this outcome.
    pub(crate) async fn reloads(&mut self, outcome: Outcome) -> Arc<Report> {
        let report = self.report().await;
        assert_eq!(report.outcome(), outcome, "{report}");
        assert!(report.triggers().contains("file"), "{report}");
        report
    }

    /// The next reload is refused, and says this.
    pub(crate) async fn refuses(&mut self, why: &str) {
        let report = self.reloads(Outcome::Rejected).await;
        assert!(report.to_string().contains(why), "{report}");
    }

    /// The next reload, and those that follow it closely.
    pub(crate) async fn burst(&mut self) -> Vec<Arc<Report>> {
        let mut reports = vec![self.report().await];
        while let Ok(report) = timeout(self.rest, self.report()).await {
            reports.push(report);
        }
        reports
    }

    /// The next reload is applied, and no other comes, except for one that finds nothing to do:
    /// whoever asked for that did not know what the first one had read.
    pub(crate) async fn applies_once(&mut self) -> Arc<Report> {
        let reports = self.burst().await;
        let outcomes: Vec<_> = reports.iter().map(|report| report.outcome()).collect();
        match outcomes[..] {
            [Outcome::Applied] | [Outcome::Applied, Outcome::Unchanged] => Arc::clone(&reports[0]),
            _ => panic!("{reports:?}"),
        }
    }

    /// No reload comes for a while, and none came but those that were waited for.
    pub(crate) async fn rests(&mut self) {
        if let Ok(report) = timeout(self.rest, self.next()).await {
            panic!("one reload too many: {report}");
        }
        let status = self.handle.status();
        assert_eq!(status.generation(), self.generation);
        assert_eq!(status.reports().len(), self.taken.min(16));
    }
}

/// A file that is watched and saved, and every value of it that was ever live.
pub(crate) struct Saves<T: Send + Sync + 'static> {
    pub(crate) running: Running,
    value: Live<T>,
    live: Arc<Mutex<Vec<T>>>,
    expected: Vec<T>,
}

impl<T: Clone + Debug + PartialEq + Send + Sync> Saves<T> {
    pub(crate) async fn of(file: File<T>) -> Self {
        let mut manager = Manager::new();
        let value = manager.source("file", file).await.unwrap();
        let live = record(&mut manager, &value).await;
        Self {
            running: Running::new(manager),
            expected: vec![T::clone(&value.load())],
            value,
            live,
        }
    }

    /// With another quiet time than the default.
    pub(crate) async fn after(quiet: Duration, file: File<T>) -> Self {
        let mut saves = Self::of(file.quiet(quiet)).await;
        saves.running = saves.running.resting_for(quiet + REST);
        saves
    }

    /// The next reload makes this value live, and no other comes.
    pub(crate) async fn becomes(&mut self, value: impl Into<T>) {
        self.running.reloads(Outcome::Applied).await;
        self.expected.push(value.into());
        self.rests().await;
    }

    /// As [`becomes`](Self::becomes), after a change in which for a moment there was no file.
    /// Whoever looks at that moment is refused; once, because it does not happen again.
    pub(crate) async fn becomes_across_a_gap(&mut self, value: impl Into<T>) {
        let report = self.running.report().await;
        if report.outcome() == Outcome::Rejected {
            assert!(report.to_string().contains("not found"), "{report}");
            self.running.reloads(Outcome::Applied).await;
        } else {
            assert_eq!(report.outcome(), Outcome::Applied, "{report}");
        }
        self.expected.push(value.into());
        self.rests().await;
    }

    /// The next reload is refused, and no other comes.
    pub(crate) async fn refuses(&mut self, why: &str) {
        self.running.refuses(why).await;
        self.rests().await;
    }

    /// The next reload finds that the old contents are back, and no other comes.
    pub(crate) async fn is_good_again(&mut self) {
        self.running.reloads(Outcome::Unchanged).await;
        self.rests().await;
    }

    /// No reload comes, and nothing was ever live but what was waited for.
    pub(crate) async fn rests(&mut self) {
        self.running.rests().await;
        assert_eq!(*self.live.lock().unwrap(), self.expected);
        assert_eq!(Some(&*self.value.load()), self.expected.last());
    }
}

/// Takes down every value of a component that is ever live.
pub(crate) async fn record<T>(manager: &mut Manager, value: &Live<T>) -> Arc<Mutex<Vec<T>>>
where
    T: Clone + Send + Sync + 'static,
{
    let values = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&values);
    let effect = async move |value: rekindle::Lease<T>| {
        record.lock().unwrap().push(T::clone(&value));
    };
    manager.apply("record", value, effect).await.unwrap();
    values
}

/// A directory, and a file in it that says `start`.
pub(crate) fn directory() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.conf");
    fs::write(&path, "start").unwrap();
    (dir, path)
}

/// Saves as most programs do: a new file, renamed over the old one.
pub(crate) fn replace(path: &Path, contents: &str) {
    let new = path.with_extension("new");
    fs::write(&new, contents).unwrap();
    fs::rename(new, path).unwrap();
}
