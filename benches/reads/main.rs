//! What a read costs, beside what else there is: `cargo bench --bench reads` (two minutes), with
//! `-- --quick` some seconds.
//!
//! # What is measured
//!
//! One read is to obtain the value, to use it and to let it go: for a guard, `*live.load()` and its
//! drop. One, two, four or eight threads do nothing else, while
//!
//! * nobody writes,
//! * a writer replaces the value every millisecond, or
//! * a writer never rests. For rekindle that is a real manager whose source is read by one
//!   `handle.reload()` after the other; for the others it is a bare store, which is a much shorter
//!   thing: how many there were per second stands beside the times.
//!
//! # How to read it
//!
//! A figure is nanoseconds of CPU time per read and thread, in a loop that does nothing else: what the
//! processor overlaps counts once. Time asleep, on a lock or for want of a
//! core, does not count. All contenders take turns in short rounds. Of these, the third counts in which
//! the readers were running for most of the time (threads that never run at once cannot disturb each
//! other); a figure is its median. More threads than cores share them, and so does the writer.
//!
//! The ratios under the tables are the promises that rekindle makes. They are told, not enforced: on
//! a machine that does other things too, look twice.

mod contenders;
mod measure;
mod table;

use std::io;
use std::time::Duration;

use measure::{Pace, measure};
use rekindle_benches::is_brief;
use table::Table;

/// How many threads read.
const THREADS: [usize; 4] = [1, 2, 4, 8];

fn main() -> io::Result<()> {
    let (rounds, length) = match is_brief() {
        true => (3, Duration::from_millis(4)),
        false => (24, Duration::from_millis(10)),
    };
    let mut table = Table::default();
    for pace in [Pace::Still, Pace::Relaxed, Pace::Restless] {
        for _ in 0..rounds {
            // All numbers of threads take turns too, for they are compared.
            for threads in THREADS {
                for (name, contender) in contenders::ALL {
                    let round = measure(&*contender(), threads, pace, length);
                    table.add(name, threads, pace, round);
                }
            }
        }
    }
    table.print(&mut io::stdout().lock())
}
