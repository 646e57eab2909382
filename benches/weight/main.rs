//! What the library weighs: `cargo bench --bench weight` (minutes, because it builds everything anew),
//! with `-- --quick` the crates only.
//!
//! # What is measured
//!
//! * The crates that the library brings without a feature and with each (`cargo tree`, itself
//!   excluded), and the seconds of a cold build with them, in the dev profile, in a folder that is empty
//!   before;
//! * the release binary of the example `simpleapp`, stripped of its debugging symbols;
//! * the time from starting that binary until it has answered the first request: the median of some
//!   starts, beside a program that does nothing (`true`).
//!
//! # How to read it
//!
//! Seconds are those of this machine; the ratio to the core says more.

mod builds;
mod starts;

use std::io::{self, Write};

use rekindle::BoxError;
use rekindle_benches::is_brief;

/// Without any, then the default, then each.
const FEATURES: [&str; 8] = ["", "signal", "file", "json", "toml", "yaml", "http", "all"];

fn main() -> Result<(), BoxError> {
    let out = &mut io::stdout().lock();
    let line = "-".repeat(54);
    writeln!(
        out,
        "\n{:14}{:>10}{:>16}{:>10}\n{line}",
        "feature", "crates", "cold build, s", "ratio"
    )?;
    let mut core = None;
    for feature in FEATURES {
        let name = if feature.is_empty() { "none" } else { feature };
        write!(out, "{name:14}{:>10}", builds::crates(feature)?)?;
        out.flush()?;
        if is_brief() {
            writeln!(out)?;
            continue;
        }
        let seconds = builds::cold(feature)?;
        let core = *core.get_or_insert(seconds);
        writeln!(out, "{seconds:>16.1}{:>10.2}", seconds / core)?;
    }
    writeln!(out, "{line}")?;
    if is_brief() {
        return Ok(());
    }
    let app = builds::simpleapp()?;
    let size = app.binary.metadata()?.len();
    writeln!(
        out,
        "simpleapp, release, stripped: {:.1} MB",
        size as f64 / 1e6
    )?;
    let starts = starts::measure(&app.binary)?;
    writeln!(
        out,
        "from its start to the first answer: {:.1} ms ({:.1} times `true`, {:.1} ms)",
        starts.app,
        starts.app / starts.nothing,
        starts.nothing
    )?;
    Ok(())
}
