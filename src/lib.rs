//! Replaces the parts of a running service without stopping it.
//!
//! A service outlives its configuration: log levels, certificates, pools, limits and routes change
//! while it runs. A restart for each change drops requests. Swapping parts by hand leaves the service
//! half old and half new when the third of five parts fails. rekindle makes a reload a *transaction*
//! over named parts: it builds all of the new ones beside the old ones, and then makes all of them
//! current at once. If one cannot be built, nothing changes.
//!
//! ```
//! use rekindle::{BoxError, Manager, Triggers};
//!
//! # #[derive(Clone, PartialEq)] struct Printer { message: String }
//! # struct Config { printer: Printer, limit: u32 }
//! # async fn load() -> Result<Config, BoxError> {
//! #     Ok(Config { printer: Printer { message: "hello".into() }, limit: 3 })
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let mut reload = Manager::new();
//! // Components are functions of their inputs. Here they are built for the first time.
//! let config = reload.source("config", load).await?; // or file::json(path).watch()
//! let banner = reload
//!     .derive("banner", config.select(|c| &c.printer), async |printer| {
//!         Ok(format!("*** {} ***", printer.message))
//!     })
//!     .await?;
//! reload.add(100, "audit", async |t: Triggers| println!("reloaded because of {t}"));
//!
//! let handle = reload.handle();
//! reload
//!     .run(async move |_stop| {
//!         // The app. It reads what is current ...
//!         assert_eq!(*banner.load(), "*** hello ***");
//!         // ... and reloads happen: by a signal, a file, HTTP, or because it asks for one.
//!         let report = handle.reload("the example").await?;
//!         assert_eq!(report.generation(), 2);
//!         Ok(())
//!     })
//!     .await
//! # }
//! ```
//!
//! # A tour
//!
//! * A [`Manager`] owns the parts and is the scope in which the app runs.
//! * A *component* is a named value that a function builds: read from outside by a [`Source`] (a
//!   [file](mod@file), a closure), or derived from other components, from a [part](Live::select) of
//!   one, or from [several](Inputs).
//! * [`Live`] is its handle: `load()` reads the current value in a few nanoseconds and never waits for
//!   the app's code. [`Guard`], [`Lease`], [`Snapshot`] and [`Reader`] are the ways to hold on to it.
//! * An *effect* ([`Manager::apply`]) pushes a value into something outside the manager. A [`Reloader`]
//!   runs in every reload, in priority groups.
//! * A component can be more than a value: [`retire`](Component::retire) closes the replaced value (a
//!   pool), [`runs`](Component::runs) is a task that is replaced with the value (a listener, a
//!   consumer), and [`Manager::each`] keeps one value per key and leaves unchanged ones alone.
//! * [`Manager::pin`] is for settings that only a restart changes, [`Manager::probation`] for going
//!   back when a new generation proves unhealthy.
//! * A [`Notifier`] triggers reloads: a [signal](notify::signal), a [file](mod@file), the
//!   [clock](notify::interval), a channel, a closure.
//! * A [`Handle`] asks for reloads and dry runs, each of which ends in a [`Report`], and returns the
//!   [`Status`]. [`http::Admin`](crate::http) offers the same over HTTP.
//! * A [`run::Group`] runs the tasks of the app, which live and end together.
//!
//! # One reload
//!
//! 1. *Prepare.* Sources are read, and what depends on a changed source is built, concurrently, each
//!    step under its deadline. Any error, panic or missed deadline rejects the reload, and nothing has
//!    changed.
//! 2. *Commit.* One publication makes the new generation current for all readers at once. New tasks
//!    start, and the tasks that they replace are asked to stop.
//! 3. *Apply.* Effects that are due run, then reloaders by ascending priority. A failure here makes the
//!    reload *partial*, and the next reload tries again. A probation runs between the effects and the
//!    reloaders, and a failure before its end publishes the previous values again.
//! 4. *Retire.* Outside of the reload, old values go to the function that closes them, or are dropped,
//!    when their last holder lets go, dependants first.
//!
//! Triggers that arrive during a reload lead to exactly one more reload, however many they are. A
//! caller gets the outcome of a reload that began after the call.
//!
//! # What it costs
//!
//! * Two versions are in memory while a reload is prepared, and for as long as the app holds the old
//!   one.
//! * A `load()` takes about 1.2 times as long as one of arc-swap's, on any number of threads; a
//!   [`Reader`] takes less than twice as long as a raw pointer. One reloader takes a microsecond.
//!   `cargo bench` in the repository prints the tables.
//! * The core has nine dependencies, none of them a proc macro. The features bring the rest.
//!
//! # What it does not do
//!
//! * It does not stop code that blocks its thread: it abandons that step, names it, and leaves it
//!   running. If the step blocks the only thread of a runtime, it cannot be abandoned before it
//!   returns, and then it counts as done.
//! * It has one thread of its own, from the first reload on, which notices steps that block.
//! * It moves a value out only after it was replaced. For an exclusive resource, keep an
//!   `Arc<Mutex<_>>` inside the component.
//! * It does not replace the process. For a new binary, use a socket that is handed over (systemd).
//! * It hears signals on Unix only.
//!
//! # Features
//!
//! | feature | what it brings |
//! |---|---|
//! | `signal` (default) | [`notify::signal`], [`run::signals`](crate::run) |
//! | `file` | [`file::text`](crate::file), [`file::bytes`](crate::file), [`file::set`](crate::file), and watching them |
//! | `json`, `toml`, `yaml` | configuration files of that format |
//! | `http` | [`http::Admin`](crate::http) |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod aside;
mod component;
mod crew;
mod error;
mod escape;
#[cfg(feature = "file")]
pub mod file;
#[cfg(feature = "http")]
pub mod http;
mod inside;
mod live;
mod log;
mod manager;
pub mod notify;
mod output;
mod panic;
mod probe;
mod race;
mod reloader;
mod report;
pub mod run;
mod shutdown;
#[cfg(all(unix, feature = "signal"))]
mod signals;
mod stateless;
mod trigger;
mod woken;

pub use component::{Apply, Component, Each, Inputs, OnExit, Reading, Source, Stamp, Watch};
pub use error::{BoxError, Error, StepError};
pub use inside::warn;
pub use live::{Guard, Keyed, Lease, Live, Reader, Selection, Snapshot};
pub use manager::{
    Added, Draining, Handle, Manager, NotifierStatus, OnError, Reports, Retiring, Status,
    TaskStatus,
};
pub use notify::Notifier;
pub use output::{AppOutput, Built, Done};
pub use probe::Probe;
pub use reloader::Reloader;
pub use report::{Action, KeyCounts, Outcome, Report, Step};
pub use trigger::{Trigger, Triggers};
