//! A thousand reloads, applied, refused and rolled back, leave nothing behind: tasks, threads, open
//! files and memory end where they were after the first ten.
//!
//! They belong to a process, so the test has one of its own.
#![cfg(target_os = "linux")]

mod process;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use process::Process;
use rekindle::{BoxError, Handle, Lease, Manager, Outcome};
use support::{Dial, eventually, in_time, tasks};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What a process has of each.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Costs {
    tasks: usize,
    threads: usize,
    files: usize,
    /// What is resident, in bytes.
    memory: usize,
}

impl Costs {
    fn now() -> Self {
        let count = |path| fs::read_dir(path).unwrap().count();
        let statm = fs::read_to_string("/proc/self/statm").unwrap();
        let resident = statm.split(' ').nth(1).unwrap();
        Self {
            tasks: tasks(),
            threads: count("/proc/self/task"),
            files: count("/proc/self/fd"),
            memory: 4096 * resident.parse::<usize>().unwrap(),
        }
    }

    /// All but the memory, which is never quite the same.
    fn is(&self, other: &Self) -> bool {
        Self { memory: 0, ..*self }
            == Self {
                memory: 0,
                ..*other
            }
    }
}

/// What it costs when that has been the same for a while: what ends just now is none of it.
async fn settled() -> Costs {
    let (mut costs, mut same) = (Costs::now(), 0);
    while same < 100 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let now = Costs::now();
        same = if now.is(&costs) { same + 1 } else { 0 };
        costs = now;
    }
    costs
}

/// Large enough for a leak of one in ten to be seen.
struct Value {
    listener: TcpListener,
    _weight: Vec<u8>,
}

async fn build(_key: u64, n: u64) -> Result<Value, BoxError> {
    match n {
        BAD => Err("bad luck".into()),
        _ => Ok(Value {
            listener: TcpListener::bind("127.0.0.1:0").await?,
            _weight: vec![1; 100_000],
        }),
    }
}

async fn accept(value: Lease<Value>, stop: CancellationToken) {
    while let Some(Ok(_)) = stop.run_until_cancelled(value.listener.accept()).await {}
}

/// One of four keys is set to this.
const BAD: u64 = 1_000_003;

/// One reload, and what it should come to, by turns.
async fn turn(handle: &Handle, dial: &Dial, sick: &AtomicBool, n: u64) {
    let (value, expected) = match n % 4 {
        0 => (BAD, Outcome::Rejected),
        1 => (n, Outcome::RolledBack),
        2 => (n, Outcome::Valid),
        _ => (n, Outcome::Applied),
    };
    dial.set(value);
    sick.store(expected == Outcome::RolledBack, Ordering::SeqCst);
    let result = match expected {
        Outcome::Valid => in_time(handle.check()).await,
        _ => in_time(handle.reload("test")).await,
    };
    let outcome = match result {
        Ok(report) => report.outcome(),
        Err(error) => error.report().expect("it was made").outcome(),
    };
    assert_eq!(outcome, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_reloads_leave_nothing_behind() {
    if let Some(process) = Process::of("a_thousand_reloads_leave_nothing_behind") {
        let (code, stderr) = tokio::task::spawn_blocking(|| process.ends())
            .await
            .unwrap();
        assert_eq!(code, Some(0), "{stderr}");
        _ = io::stderr().write_all(stderr.as_bytes());
        return;
    }
    let (dial, sick) = (Dial::new(0), Arc::new(AtomicBool::new(false)));
    let ill = Arc::clone(&sick);
    let probe = async move || match ill.load(Ordering::SeqCst) {
        true => Err::<(), BoxError>("sick".into()),
        false => Ok(()),
    };
    let mut reload = Manager::new().probation(Duration::from_millis(1), probe);
    let number = reload.source("number", dial.clone()).await.unwrap();
    // Two that stay, two that change each time.
    let settings = |n: Lease<u64>| BTreeMap::from([(0, 0), (1, 0), (2, *n), (3, *n)]);
    let all = reload.each("all", &number, settings, build);
    let all = all.runs(accept).retire(async |_| ()).await.unwrap();
    let sum = reload.derive("sum", &all, async |all| Ok(vec![all.len() as u8; 100_000]));
    sum.retire(async |_| ()).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        for n in 0..12 {
            turn(&handle, &dial, &sick, n).await;
        }
        let is_quiet = || {
            let status = handle.status();
            status.draining().is_empty() && status.tasks().len() == 4
        };
        eventually("what was replaced is gone", is_quiet).await;
        let before = settled().await;
        for n in 12..1_012 {
            turn(&handle, &dial, &sick, n).await;
        }
        eventually("what was replaced is gone", is_quiet).await;
        eventually("it costs what it did", || Costs::now().is(&before)).await;
        let after = Costs::now();
        // One value in ten of those that were made would be 20 MB.
        assert!(
            after.memory < before.memory + 8_000_000,
            "{before:?} became {after:?}"
        );
    });
    in_time(run).await.unwrap();
}
