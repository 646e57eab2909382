//! Components: named values built by functions.

mod builder;
mod graph;
mod inputs;
mod source;
mod walk;

pub use builder::{Apply, Component};
pub(crate) use graph::Graph;
pub use inputs::Inputs;
pub use source::{Reading, Source, Stamp, Watch};
pub(crate) use walk::prepare;
