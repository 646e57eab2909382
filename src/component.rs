//! Components: named values built by functions.

mod apply;
mod builder;
mod each;
mod graph;
mod inputs;
mod pin;
mod runner;
mod source;
mod walk;

pub use apply::Apply;
pub use builder::Component;
pub use each::Each;
pub(crate) use graph::Graph;
pub use inputs::Inputs;
pub use runner::OnExit;
pub(crate) use runner::{Runnable, Runs};
pub use source::{Reading, Source, Stamp, Watch};
pub(crate) use walk::{HeldBack, Prepared, prepare};
