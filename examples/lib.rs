//! What more than one of the examples needs.

pub mod addresses;
pub mod certificates;
mod output;

pub use output::{FlushOnDrop, Output, stderr, stdout};
