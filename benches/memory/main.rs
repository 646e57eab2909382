//! What is in memory, and what passes through it: `cargo bench --bench memory` (half a minute).
//!
//! # What is measured
//!
//! The bytes that are allocated, and the allocations, by a counting allocator, on the runtime of one
//! thread:
//!
//! * what a component and an idle reloader take, those of the app's values and names included, which
//!   are as small as can be;
//! * what a generation of 10,000 components takes beside the old one, which a guard holds, when one
//!   and when all of them changed;
//! * the allocations of one reload;
//! * whether anything is left of 100,000 reloads.

mod counted;
mod subjects;

use std::io::{self, Write};

use rekindle::BoxError;
use rekindle_benches::is_brief;

use counted::Bytes;
use subjects::{Subject, each};

fn main() -> Result<(), BoxError> {
    let out = &mut io::stdout().lock();
    let size = if is_brief() { 1_000 } else { 10_000 };
    let line = "-".repeat(76);

    writeln!(
        out,
        "\n{:44}{:>14}{:>18}\n{line}",
        "what is there", "bytes", "target"
    )?;
    for (name, subject, target) in [
        ("a component, read from outside", Subject::Source, 512.0),
        ("a component, derived from one", Subject::Derived, 512.0),
        (
            "a component, derived by a selection",
            Subject::Selected,
            512.0,
        ),
        ("an idle reloader", Subject::Reloader, 256.0),
    ] {
        let bytes = each(subject, size)?;
        write!(out, "{name:44}{bytes:>14.0}")?;
        verdict(out, bytes, target)?;
    }
    writeln!(
        out,
        "{:44}{:>14.0}",
        "a manager without any",
        subjects::manager()?
    )?;

    writeln!(
        out,
        "{line}\nan old generation of {size} components is held"
    )?;
    let [one, all] = subjects::draining(size)?;
    writeln!(out, "{:44}{one:>14.0}", "  one of them changed")?;
    let each = all / size as f64;
    writeln!(
        out,
        "{:44}{all:>14.0}{each:>11.0} each",
        "  all of them changed"
    )?;

    writeln!(out, "{line}\nallocations of one reload")?;
    for (name, allocations) in subjects::allocations()? {
        writeln!(out, "  {name:42}{allocations:>14.1}")?;
    }

    let reloads = if is_brief() { 2_000 } else { 100_000 };
    writeln!(
        out,
        "{line}\nafter {reloads} reloads, more than after the first hundred"
    )?;
    let Bytes(left) = subjects::left_after(reloads)?;
    write!(out, "{:44}{left:>14}", "  bytes")?;
    verdict(out, left as f64, 0.0)
}

fn verdict(out: &mut impl Write, bytes: f64, target: f64) -> Result<(), BoxError> {
    let kept = if bytes <= target { "met" } else { "MISSED" };
    Ok(writeln!(out, "{target:>11.0} {kept:>6}")?)
}
