//! Swap the parts of a running service without stopping it.

mod component;
mod error;
pub mod notify;
mod output;
mod reloader;
mod report;
mod stragglers;
mod trigger;

pub use component::{Reading, Source, Stamp, Watch};
pub use error::{BoxError, Error, StepError};
pub use notify::Notifier;
pub use output::{Built, Done};
pub use reloader::Reloader;
pub use report::{Action, Outcome, Report, Step};
pub use trigger::{Trigger, Triggers};
