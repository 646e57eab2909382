//! How much of the machine a reload uses: `cargo bench --bench parallel` (some seconds).
//!
//! # What is measured
//!
//! The time from `handle.reload()` to its report, on a runtime with two workers, when all components
//! are built anew:
//!
//! * 100 that wait for 10 ms each, as for a server that answers: together about as long as one;
//! * 8 that compute for 10 ms each, by the clock of their thread: shared among the cores. They are
//!   polled in place until the first poll has proved slow, so one of them is not shared.
//!
//! # How to read it
//!
//! A figure is milliseconds, and the ratio is to what no one can beat: the time of the longest one, or
//! all of the computing divided by the cores. On a machine that does other things too, less is left of
//! the cores; the least of the figures tells most.

use std::io::{self, Write};
use std::thread::available_parallelism;
use std::time::Duration;

use rekindle::{BoxError, Manager};
use rekindle_benches::{compute, is_brief, milliseconds, quantiles, runtime, with_manager};
use tokio::time::sleep;

/// What each component takes.
const EACH: Duration = Duration::from_millis(10);

#[derive(Clone, Copy)]
enum Work {
    Waits,
    Computes,
}

fn main() -> Result<(), BoxError> {
    let out = &mut io::stdout().lock();
    let cores = available_parallelism()?.get().min(2);
    let reloads = if is_brief() { 2 } else { 50 };
    let line = "-".repeat(76);
    writeln!(
        out,
        "\n{:28}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}\n{line}",
        "ms, two workers", "best", "min", "median", "max", "ratio", "target"
    )?;
    for (name, work, components, target) in [
        ("100 wait for 10 ms", Work::Waits, 100, 15.0),
        ("8 compute for 10 ms", Work::Computes, 8, 55.0),
    ] {
        let best = match work {
            Work::Waits => 1e3 * EACH.as_secs_f64(),
            Work::Computes => 1e3 * EACH.as_secs_f64() * f64::from(components) / cores as f64,
        };
        let times = measure(work, components, reloads)?;
        let [least, median, most] = quantiles(times.into_iter(), [0.0, 0.5, 1.0]);
        let ratio = median / best;
        writeln!(
            out,
            "{name:28}{best:>8.1}{least:>8.1}{median:>8.1}{most:>8.1}{ratio:>8.2}{target:>8.0}"
        )?;
    }
    writeln!(out, "{line}\nreloads of each: {reloads}")?;
    Ok(())
}

fn measure(work: Work, components: u32, reloads: usize) -> Result<Vec<f64>, BoxError> {
    runtime(2).block_on(async {
        let mut manager = Manager::new();
        let root = manager.source("root", async || Ok(())).await?;
        for number in 0..components {
            let build = async move |_| {
                match work {
                    Work::Waits => sleep(EACH).await,
                    Work::Computes => compute(EACH),
                }
                Ok(number)
            };
            manager.derive(format!("{number}"), &root, build).await?;
        }
        with_manager(manager, |handle| async move {
            let mut times = Vec::new();
            for _ in 0..reloads {
                let (took, report) = milliseconds(handle.reload("bench")).await;
                report?;
                times.push(took);
            }
            Ok::<_, BoxError>(times)
        })
        .await?
    })
}
