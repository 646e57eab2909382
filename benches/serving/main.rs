//! What reloads cost those who are served: `cargo bench --bench serving` (a minute; Linux).
//!
//! # What is measured
//!
//! A server, a process of its own with two workers, answers with what it reads from three components:
//! a source and two that are derived from it, all of which each reload changes. 32 clients in this
//! process ask as fast as they are answered, over connections that stay open, while the server reloads
//! not at all, 100 times a second, and 35,000 times a second (35 in each millisecond). Each answer has
//! to be of one generation.
//!
//! # How to read it
//!
//! The three take turns, so that a machine that does other things too does them to all; a figure is the
//! median of the rounds. CPU seconds are those of the server, for a million requests, its reloads
//! included. Times are those that a client waits. The ratios are to no reloads.

mod load;
mod server;

use std::env;
use std::io::{self, Write};
use std::time::Duration;

use rekindle::BoxError;
use rekindle_benches::{is_brief, median};

use load::Round;

/// Reloads per second.
const PACES: [u32; 3] = [0, 100, 35_000];

fn main() -> Result<(), BoxError> {
    if let Some(pace) = env::var_os(server::PACE) {
        let pace = pace.to_string_lossy().parse()?;
        return server::serve(pace);
    }
    if !cfg!(target_os = "linux") {
        return Ok(writeln!(io::stdout(), "serving: measured on Linux only")?);
    }
    let (rounds, length) = match is_brief() {
        true => (1, Duration::from_millis(300)),
        false => (5, Duration::from_secs(4)),
    };
    let mut measured = PACES.map(|_| Vec::new());
    for _ in 0..rounds {
        for (pace, rounds) in PACES.into_iter().zip(&mut measured) {
            rounds.push(load::round(pace, length)?);
        }
    }
    print(&mut io::stdout().lock(), &measured)?;
    Ok(())
}

/// Of some rounds.
struct Medians {
    rate: f64,
    cpu: f64,
    waits: [f64; 3],
}

impl Medians {
    fn of(rounds: &[Round]) -> Self {
        let of = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure));
        Self {
            rate: of(|round| round.rate),
            cpu: of(|round| round.cpu),
            waits: [
                of(|round| round.waits[0]),
                of(|round| round.waits[1]),
                of(|round| round.waits[2]),
            ],
        }
    }
}

fn print(out: &mut impl Write, measured: &[Vec<Round>; 3]) -> io::Result<()> {
    let line = "-".repeat(98);
    writeln!(
        out,
        "\n{:>10}{:>12}{:>8}{:>14}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}\n{line}",
        "reloads/s",
        "requests/s",
        "ratio",
        "CPU s/million",
        "ratio",
        "p50 µs",
        "p99",
        "ratio",
        "p99.9",
        "failed"
    )?;
    let base = Medians::of(&measured[0]);
    for (pace, rounds) in PACES.into_iter().zip(measured) {
        let it = Medians::of(rounds);
        write!(
            out,
            "{pace:>10}{:>12.0}{:>8.2}",
            it.rate,
            it.rate / base.rate
        )?;
        write!(out, "{:>14.2}{:>8.2}", it.cpu, it.cpu / base.cpu)?;
        let ([p50, p99, p999], [_, base_p99, _]) = (it.waits, base.waits);
        write!(
            out,
            "{p50:>8.0}{p99:>8.0}{:>8.2}{p999:>8.0}",
            p99 / base_p99
        )?;
        let failed: u64 = rounds.iter().map(|round| round.failed).sum();
        writeln!(out, "{failed:>8}")?;
    }
    writeln!(out, "{line}")?;
    writeln!(
        out,
        "targets: at 100, CPU at most 1.03, p99 at most 1.20, none failed; at 35,000, requests at least 0.90"
    )
}
