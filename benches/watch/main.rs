//! How long a save takes to be seen: `cargo bench --bench watch` (half a minute).
//!
//! # What is measured
//!
//! A real manager has a component that is a watched file. The file is saved, and the clock runs from
//! the last write until a thread that polls `live.load()` is given the new value; it does
//! so every 0.1 ms, because without a pause it would take a core from what it measures. In between
//! lie the kernel's event, the quiet time, the read, and the whole reload.
//!
//! # How to read it
//!
//! A figure is milliseconds. Those under "over the quiet time" are the same without what
//! `File::quiet` asked for. The target is that the median is over it by less than 20 ms; as in the
//! other benchmark it is told, not enforced.

mod layouts;
mod measure;

use std::env;
use std::io::{self, Write};
use std::time::Duration;

use rekindle::BoxError;
use rekindle_benches::{is_brief, quantiles};

use layouts::Layout;
use measure::measure;

const HELP: &str = "\
How long a save of a watched file takes to be seen by a reader.

usage: cargo bench --bench watch [-- OPTIONS]

  --saves N   saves of each kind (50)
  --quick     3 saves of each kind
  --help      this text
";

/// The default, and what suits a writer that renames complete files.
const QUIETS: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(5)];

/// What the median may take beyond the quiet time.
const TARGET: f64 = 20.0;

fn main() -> Result<(), BoxError> {
    let out = &mut io::stdout().lock();
    let Some(saves) = saves()? else {
        return Ok(write!(out, "{HELP}")?);
    };
    let line = "-".repeat(102);
    for quiet in QUIETS {
        let quiet_ms = 1e3 * quiet.as_secs_f64();
        writeln!(
            out,
            "\n{:26}{:^32}{:>4}{:^32}",
            "", "from save to sight", "", "over the quiet time"
        )?;
        let columns = format!("{:>8}{:>8}{:>8}{:>8}", "min", "median", "p90", "max");
        let head = format!("ms, quiet time {quiet_ms} ms");
        writeln!(out, "{head:26}{columns}    {columns}\n{line}")?;
        for layout in layouts::all()? {
            let Layout { name, .. } = layout;
            let times = measure(layout, quiet, saves)?;
            let figures = quantiles(times.into_iter(), [0.0, 0.5, 0.9, 1.0]);
            let over = figures.map(|figure| figure - quiet_ms);
            let met = if over[1] < TARGET { "met" } else { "MISSED" };
            write!(out, "{name:26}")?;
            columns_of(out, figures)?;
            write!(out, "    ")?;
            columns_of(out, over)?;
            writeln!(out, "{met:>8}")?;
        }
        writeln!(
            out,
            "{line}\ntarget: median < quiet time + {TARGET} ms; saves of each kind: {saves}"
        )?;
    }
    Ok(())
}

fn columns_of(out: &mut impl Write, figures: [f64; 4]) -> io::Result<()> {
    figures
        .into_iter()
        .try_for_each(|figure| write!(out, "{figure:>8.1}"))
}

/// What the command line says; `None` if it asks for help.
fn saves() -> Result<Option<u32>, BoxError> {
    let mut saves = if is_brief() { 3 } else { 50 };
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match &*argument {
            "--help" => return Ok(None),
            "--saves" => {
                let number = arguments.next().and_then(|number| number.parse().ok());
                saves = number
                    .filter(|number| *number > 0)
                    .ok_or("`--saves` wants a number, 1 or more")?;
            }
            // Filters, and the options of the other benchmark, which cargo hands to all.
            _ => {}
        }
    }
    Ok(Some(saves))
}
