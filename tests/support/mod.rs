//! What several tests need: a source that can be set, and a build that waits for the test.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]

use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rekindle::{BoxError, Handle, Manager, Reading, Report, Reports, Source, Stamp};
use tokio::runtime;
use tokio::sync::{Semaphore, mpsc};

/// A source whose value the test sets. It has a stamp, so that setting the same is no change.
#[derive(Clone)]
pub struct Dial(Arc<Inner>);

struct Inner {
    value: Mutex<Result<u64, String>>,
    reads: AtomicU64,
}

impl Dial {
    pub fn new(value: u64) -> Self {
        Self(Arc::new(Inner {
            value: Mutex::new(Ok(value)),
            reads: AtomicU64::new(0),
        }))
    }

    pub fn set(&self, value: u64) {
        *self.0.value.lock().unwrap() = Ok(value);
    }

    pub fn break_with(&self, error: &str) {
        *self.0.value.lock().unwrap() = Err(error.to_owned());
    }

    /// How often it was read, the first read included.
    pub fn reads(&self) -> u64 {
        self.0.reads.load(Ordering::SeqCst)
    }
}

impl Source for Dial {
    type Value = u64;

    async fn read(&self, committed: Option<Stamp>) -> Result<Reading<u64>, BoxError> {
        self.0.reads.fetch_add(1, Ordering::SeqCst);
        let value = self.0.value.lock().unwrap().clone()?;
        let stamp = Stamp::of(&value.to_le_bytes());
        Ok(if committed == Some(stamp) {
            Reading::Unchanged
        } else {
            Reading::Stamped(value, stamp)
        })
    }
}

/// Code of the app's that waits until the test lets it go on. It is open at first.
#[derive(Clone)]
pub struct Latch {
    open: Arc<Mutex<bool>>,
    arrived: Arc<Semaphore>,
    let_go: Arc<Semaphore>,
}

impl Latch {
    pub fn new() -> Self {
        Self {
            open: Arc::new(Mutex::new(true)),
            arrived: Arc::new(Semaphore::new(0)),
            let_go: Arc::new(Semaphore::new(0)),
        }
    }

    /// From now on [`pass`](Self::pass) waits.
    pub fn close(&self) {
        *self.open.lock().unwrap() = false;
    }

    /// In the app's code: waits if the latch is closed.
    pub async fn pass(&self) {
        if *self.open.lock().unwrap() {
            return;
        }
        self.arrived.add_permits(1);
        self.let_go.acquire().await.unwrap().forget();
    }

    /// In the test: waits until somebody waits at the latch.
    pub async fn arrival(&self) {
        self.arrived.acquire().await.unwrap().forget();
    }

    /// In the test: lets one that waits go on.
    pub fn let_one_go(&self) {
        self.let_go.add_permits(1);
    }

    /// In the test: opens the latch and lets the one that waits go on.
    pub fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.let_one_go();
    }
}

/// Code of the app's that blocks its thread until the test lets it go on. It is open at first.
#[derive(Clone, Default)]
pub struct Barrier(Arc<Blocking>);

#[derive(Default)]
struct Blocking {
    closed: Mutex<bool>,
    opened: Condvar,
    arrived: AtomicUsize,
}

impl Barrier {
    /// From now on [`pass`](Self::pass) blocks.
    pub fn close(&self) {
        *self.0.closed.lock().unwrap() = true;
    }

    /// In the app's code: blocks its thread while the barrier is closed, but not for ever, so that a
    /// test that fails comes to its end.
    pub fn pass(&self) {
        let closed = self.0.closed.lock().unwrap();
        if *closed {
            self.0.arrived.fetch_add(1, Ordering::SeqCst);
            let limit = Duration::from_secs(20);
            let waited = self
                .0
                .opened
                .wait_timeout_while(closed, limit, |closed| *closed);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// In the test: waits until somebody is blocked.
    pub async fn arrival(&self) {
        let arrived = || self.0.arrived.load(Ordering::SeqCst) > 0;
        eventually("the barrier is reached", arrived).await;
    }

    /// In the test: opens the barrier for all.
    pub fn open(&self) {
        *self.0.closed.lock().unwrap() = false;
        self.0.opened.notify_all();
    }
}

/// A notifier whose triggers are automatic, as those of a file are.
pub struct Automatic {
    sender: mpsc::UnboundedSender<&'static str>,
    reports: Reports,
}

impl Automatic {
    pub fn new(reload: &mut Manager) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        reload.on(receiver);
        let reports = reload.handle().subscribe();
        Self { sender, reports }
    }

    pub fn trigger(&self) {
        self.sender.send("automatic").unwrap();
    }

    /// Waits for the report of the reload that answers an automatic trigger.
    pub async fn report(&mut self) -> Arc<Report> {
        loop {
            let report = in_time(self.reports.next()).await.unwrap();
            if report.triggers().contains("automatic") {
                return report;
            }
        }
    }

    /// Reloads with an automatic trigger.
    pub async fn reload(&mut self) -> Arc<Report> {
        self.trigger();
        self.report().await
    }
}

/// How many tasks the runtime has.
pub fn tasks() -> usize {
    runtime::Handle::current().metrics().num_alive_tasks()
}

/// Waits for a condition, with a deadline that only a failure reaches.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits for a future, with a deadline that only a failure reaches.
pub async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(30), future)
        .await
        .expect("not within 30 s")
}

/// Reloads until what was given up is no longer in the way.
pub async fn reload_until_it_works(handle: &Handle) {
    in_time(async {
        while handle.reload("again").await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}
