//! The instructions of the hot paths, with limits:
//! `cargo bench --package rekindle-benches --features valgrind --bench instructions`.
//!
//! # What is measured
//!
//! What valgrind counts in a thousand reads, and in a hundred reloads from `handle.reload()` to the
//! report, on the runtime of one thread. Times differ from machine to machine and from run to run;
//! these do not, so they can be held against a limit: `scripts/test --all` fails when a path takes 5 %
//! more than is recorded here. (With `--package`, because what else is built together changes what is
//! inlined.)
//!
//! # When a limit is passed
//!
//! If the path has become slower for a good reason, record what is printed. If it has become quicker,
//! record that too, so that it stays so. It needs valgrind, and `gungraun-runner` of the version of the
//! crate `gungraun`; `scripts/test --all` installs both.

#![allow(
    missing_docs,
    reason = "the macros make functions that nobody calls by name"
)]

use std::hint::black_box;

use gungraun::prelude::*;
use gungraun::{Callgrind, EventKind};
use rekindle::{Handle, Live, Manager, Reader};
use rekindle_benches::runtime;
use tokio::runtime::Runtime;

/// So many instructions are recorded, and so many more may be.
fn at_most(recorded: u64) -> LibraryBenchmarkConfig {
    let limit = recorded + recorded / 20;
    let mut config = LibraryBenchmarkConfig::default();
    let mut callgrind = Callgrind::default();
    callgrind.hard_limits([(EventKind::Ir, limit)]);
    config.tool(callgrind);
    config
}

const READS: u32 = 1_000;

/// A component of a manager that does not run.
fn component() -> Live<u64> {
    runtime(0).block_on(async {
        let mut manager = Manager::new();
        let number = manager.source("number", async || Ok(1)).await;
        number.expect("it is only a number")
    })
}

fn reader() -> Reader<u64> {
    component().reader()
}

#[library_benchmark(config = at_most(84_000))]
#[bench::thousand(setup = component)]
fn load(number: Live<u64>) -> Live<u64> {
    for _ in 0..READS {
        black_box(*number.load());
    }
    number
}

#[library_benchmark(config = at_most(11_000))]
#[bench::thousand(setup = reader)]
fn read(mut number: Reader<u64>) -> Reader<u64> {
    for _ in 0..READS {
        black_box(*number.get());
    }
    number
}

const RELOADS: usize = 100;

/// A manager that runs, with so many reloaders, and has been warmed up.
fn reloaders(size: usize) -> (Runtime, Handle) {
    let mut manager = Manager::new();
    for number in 0..size {
        manager.add(0, number.to_string(), async |_| ());
    }
    running(manager)
}

/// The same with so many components, all of which change each time.
fn components(size: usize) -> (Runtime, Handle) {
    let manager = runtime(0).block_on(async {
        let mut manager = Manager::new();
        for number in 0..size {
            let source = manager.source(number.to_string(), async || Ok("a value".to_owned()));
            source.await.expect("it is only a text");
        }
        manager
    });
    running(manager)
}

fn running(manager: Manager) -> (Runtime, Handle) {
    let (runtime, handle) = (runtime(0), manager.handle());
    runtime.spawn(manager.run(async |stop| stop.cancelled().await));
    reload(&runtime, &handle, 2);
    (runtime, handle)
}

fn reload(runtime: &Runtime, handle: &Handle, reloads: usize) {
    runtime.block_on(async {
        for _ in 0..reloads {
            handle.reload("bench").await.expect("nothing can fail");
        }
    });
}

#[library_benchmark]
#[bench::one(args = (1), setup = reloaders, config = at_most(783_000))]
#[bench::thousand(args = (1_000), setup = reloaders, config = at_most(78_000_000))]
fn reload_reloaders((runtime, handle): (Runtime, Handle)) -> (Runtime, Handle) {
    reload(&runtime, &handle, RELOADS);
    (runtime, handle)
}

#[library_benchmark]
#[bench::one(args = (1), setup = components, config = at_most(1_494_000))]
#[bench::thousand(args = (1_000), setup = components, config = at_most(344_600_000))]
fn reload_components((runtime, handle): (Runtime, Handle)) -> (Runtime, Handle) {
    reload(&runtime, &handle, RELOADS);
    (runtime, handle)
}

library_benchmark_group!(name = reads, benchmarks = [load, read]);
library_benchmark_group!(
    name = reloads,
    benchmarks = [reload_reloaders, reload_components]
);

main!(library_benchmark_groups = [reads, reloads]);
