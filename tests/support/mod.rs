//! What several tests need: a source that can be set, and a build that waits for the test.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rekindle::{BoxError, Reading, Source, Stamp};
use tokio::sync::Semaphore;

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
