//! What becomes of many who ask at once: `cargo bench --bench storms` (some seconds).
//!
//! # What is measured
//!
//! A reload that waits for 10 ms is under way, and then all ask for one: tasks that call
//! `handle.reload()`, or clients that `POST /-/reload` over connections that are open already (a real
//! server, on loopback, in the same process). Told are how many reloads were made for them, how long it
//! took until the last one had its answer, and what each takes in memory while it waits: for tasks that
//! is the task itself, too.
//!
//! # How to read it
//!
//! All that arrive during one reload are answered by one more, so there should be one or two, however
//! many ask: two where some arrive when the first of them has begun. What is left of the time, beside
//! 10 ms for each reload, is asking and answering.

mod callers;
mod clients;

use std::alloc::System;
use std::io::{self, Write};

use rekindle::BoxError;
use rekindle_benches::is_brief;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The bytes that are allocated.
fn allocated() -> i64 {
    let stats = ALLOCATOR.stats();
    let bytes = |bytes| i64::try_from(bytes).expect("memory is smaller");
    bytes(stats.bytes_allocated) - bytes(stats.bytes_deallocated)
}

/// What became of one storm.
struct Storm {
    reloads: u64,
    milliseconds: f64,
    /// While they waited.
    bytes_each: f64,
}

fn main() -> Result<(), BoxError> {
    let out = &mut io::stdout().lock();
    let line = "-".repeat(76);
    writeln!(
        out,
        "\n{:32}{:>10}{:>14}{:>20}\n{line}",
        "who asks", "reloads", "ms for all", "bytes of each"
    )?;
    let scale = if is_brief() { 10 } else { 1 };
    for callers in [1_000, 10_000] {
        let callers = callers / scale;
        row(out, &format!("{callers} tasks"), &callers::storm(callers)?)?;
    }
    for clients in [1_000, 5_000] {
        let clients = clients / scale;
        match clients::storm(clients) {
            Ok(storm) => row(out, &format!("{clients} clients over HTTP"), &storm)?,
            Err(error) => writeln!(out, "{clients} clients over HTTP: {error}")?,
        }
    }
    writeln!(out, "{line}")?;
    Ok(())
}

fn row(out: &mut impl Write, who: &str, storm: &Storm) -> io::Result<()> {
    let Storm {
        reloads,
        milliseconds,
        bytes_each,
    } = *storm;
    writeln!(
        out,
        "{who:32}{reloads:>10}{milliseconds:>14.1}{bytes_each:>20.0}"
    )
}
