//! What more than one of the examples needs, or their tests try on their behalf.

pub mod addresses;
pub mod certificates;
pub mod leased;
mod output;

pub use output::{FlushOnDrop, Output, stderr, stdout};
