//! Swap the parts of a running service without stopping it.

mod component;
mod crew;
mod error;
#[cfg(feature = "file")]
pub mod file;
#[cfg(feature = "http")]
pub mod http;
mod inside;
mod live;
mod manager;
pub mod notify;
mod output;
mod panic;
mod race;
mod reloader;
mod report;
pub mod run;
#[cfg(all(unix, feature = "signal"))]
mod signals;
mod stragglers;
mod trigger;

pub use component::{Apply, Component, Inputs, Reading, Source, Stamp, Watch};
pub use error::{BoxError, Error, StepError};
pub use live::{Guard, Lease, Live, Reader, Selection, Snapshot};
pub use manager::{Added, Handle, Manager, NotifierStatus, OnError, Reports, Status};
pub use notify::Notifier;
pub use output::{AppOutput, Built, Done};
pub use reloader::Reloader;
pub use report::{Action, Outcome, Report, Step};
pub use trigger::{Trigger, Triggers};
