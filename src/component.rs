//! Components: named values built by functions.

mod source;

pub use source::{Reading, Source, Stamp, Watch};
