//! The table, and the promises under it.

use std::collections::BTreeMap;
use std::io::{self, Write};

use rekindle_benches::quantiles;

use crate::contenders::{ALL, ARC_SWAP, LOAD, RAW, READER};
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
        let mut timed: Vec<_> = self.0[&(name, threads, pace)]
            .iter()
            .map(|round| round.timed)
            .collect();
        timed.sort_by(|a, b| b.share.total_cmp(&a.share));
        timed.truncate(timed.len().div_ceil(3));
        median(timed.into_iter().map(|timed| timed.read))
    }

    /// The median of the writes per second.
    fn writes(&self, name: &'static str, pace: Pace) -> f64 {
        median(self.0[&(name, 1, pace)].iter().map(|round| round.writes))
    }

    pub(crate) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let line = "-".repeat(85);
        writeln!(
            out,
            "\n{:22}{:^18}{:^20}{:^25}",
            "", "no writer", "writer every ms", "restless writer"
        )?;
        write!(out, "{:22}", "ns per read")?;
        writeln!(
            out,
            "{0:>7}{1:>8}   {0:>8}{1:>8}   {0:>8}{1:>8}{2:>13}",
            "1 thr", "2 thr", "writes/s"
        )?;
        writeln!(out, "{line}")?;
        for (name, _) in ALL {
            write!(out, "{name:22}")?;
            for pace in [Pace::Still, Pace::Relaxed, Pace::Restless] {
                let (one, two) = (self.read(name, 1, pace), self.read(name, 2, pace));
                write!(out, "{one:>7.1}{two:>8.1}    ")?;
            }
            writeln!(out, "{:>9.0}", self.writes(name, Pace::Restless))?;
        }
        writeln!(out, "{line}")?;
        self.promises(out)
    }

    fn promises(&self, out: &mut impl Write) -> io::Result<()> {
        /// What two equal figures may differ by.
        const NOISE: f64 = 1.1;
        let quiet = |(name, threads)| self.read(name, threads, Pace::Still);
        for (what, cost, measure, limit) in [
            ("load / arc-swap load", (LOAD, 1), (ARC_SWAP, 1), 2.5),
            ("the same, 2 threads", (LOAD, 2), (ARC_SWAP, 2), 2.5),
            ("load, 2 threads / 1 thread", (LOAD, 2), (LOAD, 1), NOISE),
            ("reader / raw pointer", (READER, 1), (RAW, 1), 2.0),
            ("the same, 2 threads", (READER, 2), (RAW, 2), 2.0),
        ] {
            let ratio = quiet(cost) / quiet(measure);
            let kept = if ratio <= limit { "met" } else { "MISSED" };
            writeln!(out, "{what:30}{ratio:>6.2}   at most {limit:.1}   {kept}")?;
        }
        Ok(())
    }
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let [median] = quantiles(figures, [0.5]);
    median
}
