//! What more than one of the examples needs.

pub mod addresses;
mod output;

pub use output::{FlushOnDrop, Output, stderr, stdout};
