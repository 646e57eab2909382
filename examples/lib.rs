//! Modules that more than one example uses, or that only tests run.

pub mod addresses;
pub mod certificates;
pub mod leased;
mod output;

pub use output::{FlushOnDrop, Output, stderr, stdout};
