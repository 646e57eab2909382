//! The tables, and the promises under them.

use std::collections::BTreeMap;
use std::io::{self, Write};

use rekindle_benches::median;

use crate::THREADS;
use crate::contenders::{ALL, ARC_SWAP, LOAD, LOCKS, RAW, READER};
use crate::measure::{Pace, Round};

/// What the rounds found, by contender, threads and pace.
#[derive(Default)]
pub(crate) struct Table(BTreeMap<(&'static str, usize, Pace), Vec<Round>>);

impl Table {
    pub(crate) fn add(&mut self, name: &'static str, threads: usize, pace: Pace, round: Round) {
        self.0.entry((name, threads, pace)).or_default().push(round);
    }

    /// The median, in nanoseconds, of that third of the rounds in which the readers were running
    /// for most of the time.
    fn read(&self, name: &'static str, threads: usize, pace: Pace) -> f64 {
        let rounds = self.0[&(name, threads, pace)].iter();
        let mut timed: Vec<_> = rounds.map(|round| round.timed).collect();
        timed.sort_by(|a, b| b.share.total_cmp(&a.share));
        timed.truncate(timed.len().div_ceil(3));
        median(timed.into_iter().map(|timed| timed.read))
    }

    /// The median of the writes per second.
    fn writes(&self, name: &'static str, pace: Pace) -> f64 {
        let rounds = self.0[&(name, 1, pace)].iter();
        median(rounds.map(|round| round.writes))
    }

    pub(crate) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let line = "-".repeat(74);
        for (pace, title) in [
            (Pace::Still, "no writer"),
            (Pace::Relaxed, "a writer every millisecond"),
            (Pace::Restless, "a writer that never rests"),
        ] {
            write!(out, "\n{title}\n{:30}", "ns per read")?;
            THREADS
                .into_iter()
                .try_for_each(|threads| write!(out, "{:>8}", format!("{threads} thr")))?;
            match pace {
                Pace::Still => writeln!(out, "\n{line}")?,
                _ => writeln!(out, "{:>12}\n{line}", "writes/s")?,
            }
            for (name, _) in ALL {
                write!(out, "{name:30}")?;
                for threads in THREADS {
                    write!(out, "{:>8.1}", self.read(name, threads, pace))?;
                }
                match pace {
                    Pace::Still => writeln!(out)?,
                    _ => writeln!(out, "{:>12.0}", self.writes(name, pace))?,
                }
            }
            writeln!(out, "{line}")?;
        }
        self.promises(out)
    }

    fn promises(&self, out: &mut impl Write) -> io::Result<()> {
        /// What two equal figures may differ by.
        const NOISE: f64 = 1.1;
        let free = |name, threads| self.read(name, threads, Pace::Still);
        let fastest = |threads| {
            let locks = LOCKS.map(|lock| free(lock, threads));
            locks.into_iter().fold(f64::INFINITY, f64::min)
        };
        for (what, ratio, limit) in [
            ("reader / raw pointer", free(READER, 1) / free(RAW, 1), 1.3),
            (
                "load / arc-swap load",
                free(LOAD, 1) / free(ARC_SWAP, 1),
                2.0,
            ),
            (
                "the same, 2 threads",
                free(LOAD, 2) / free(ARC_SWAP, 2),
                2.0,
            ),
            (
                "load, 2 threads / 1 thread",
                free(LOAD, 2) / free(LOAD, 1),
                NOISE,
            ),
            (
                "load, 8 threads / 1 thread",
                free(LOAD, 8) / free(LOAD, 1),
                NOISE,
            ),
            ("load / the fastest lock", free(LOAD, 1) / fastest(1), 1.0),
            ("the same, 2 threads", free(LOAD, 2) / fastest(2), 1.0),
            (
                "reader / the fastest lock",
                free(READER, 1) / fastest(1),
                1.0,
            ),
        ] {
            let kept = if ratio <= limit { "met" } else { "MISSED" };
            writeln!(out, "{what:36}{ratio:>6.2}   at most {limit:.1}   {kept}")?;
        }
        Ok(())
    }
}
