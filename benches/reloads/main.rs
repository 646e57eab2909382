//! What a reload costs: `cargo bench --bench reloads` (a minute), with `-- --quick` some seconds.
//!
//! # What is measured
//!
//! The time from `handle.reload()`, in a task of the runtime, to its report, on the runtime of one
//! thread and on one with two workers:
//!
//! * N reloaders that do nothing, in one group and in N groups;
//! * N components that are all read anew, each of which is a short string;
//! * 10,000 components, derived by selections from 100 sources, when one part of one source changed.
//!
//! # How to read it
//!
//! A figure is the median of many reloads, in microseconds. Beside the reloaders stands what it takes
//! to do as much by hand, without a deadline, a report or anybody who asked: to spawn a task for each
//! reloader of a group, and to wait for all of them before the next group. The ratio is to that, on
//! the same runtime.

mod by_hand;
mod managers;

use std::io::{self, Write};
use std::time::Instant;

use rekindle::{BoxError, Manager};
use rekindle_benches::{is_brief, median, runtime, with_manager};

use managers::Subject;

const SIZES: [usize; 5] = [1, 10, 100, 1_000, 10_000];

fn main() -> Result<(), BoxError> {
    let out = &mut io::stdout().lock();
    let sizes = if is_brief() { &SIZES[..4] } else { &SIZES };
    for subject in [Subject::Group, Subject::Groups, Subject::Components] {
        head(out, subject.name())?;
        for &size in sizes {
            let reloads = reloads(size);
            let make = async || subject.manager(size).await;
            let ours = [measure(0, reloads, make)?, measure(2, reloads, make)?];
            let by_hand = subject.by_hand().map(|groups| {
                [0, 2].map(|workers| by_hand::measure(workers, reloads, size, groups))
            });
            row(out, &format!("N = {size}"), ours, by_hand)?;
        }
    }
    head(out, "one part of one of 100 sources, 10,000 derived")?;
    let reloads = reloads(500);
    let ours = [0, 2].map(|workers| measure(workers, reloads, managers::wide));
    let [one, two] = ours;
    row(out, "one changed", [one?, two?], None)?;
    writeln!(out, "{}\ntarget: under 60 µs", "-".repeat(LINE))?;
    Ok(())
}

/// How many reloads make a median.
fn reloads(size: usize) -> usize {
    let all = if is_brief() { 20_000 } else { 1_000_000 };
    (all / size).clamp(20, 20_000)
}

fn measure(
    workers: usize,
    reloads: usize,
    make: impl AsyncFnOnce() -> Result<Manager, BoxError>,
) -> Result<f64, BoxError> {
    runtime(workers).block_on(async {
        with_manager(make().await?, |handle| async move {
            // The first ones only warm up.
            for _ in 0..reloads.div_ceil(10) {
                handle.reload("warm-up").await?;
            }
            let mut times = Vec::with_capacity(reloads);
            for _ in 0..reloads {
                let began = Instant::now();
                handle.reload("bench").await?;
                times.push(1e6 * began.elapsed().as_secs_f64());
            }
            Ok::<_, BoxError>(median(times.into_iter()))
        })
        .await?
    })
}

const LINE: usize = 78;

fn head(out: &mut impl Write, title: &str) -> io::Result<()> {
    writeln!(out, "\n{title}\n{}", "-".repeat(LINE))?;
    writeln!(out, "{:14}{:^32}{:^32}", "", "one thread", "two workers")?;
    let columns = format!("{:>12}{:>12}{:>8}", "µs", "by hand", "ratio");
    writeln!(out, "{:14}{columns}{columns}", "")
}

fn row(
    out: &mut impl Write,
    name: &str,
    ours: [f64; 2],
    by_hand: Option<[f64; 2]>,
) -> io::Result<()> {
    write!(out, "{name:14}")?;
    for (at, ours) in ours.into_iter().enumerate() {
        write!(out, "{ours:>12.2}")?;
        match by_hand {
            Some(by_hand) => write!(out, "{:>12.2}{:>8.2}", by_hand[at], ours / by_hand[at])?,
            None => write!(out, "{:>20}", "")?,
        }
    }
    writeln!(out)
}
