//! Run groups: tasks that live and end together.
//!
//! A service is a few loops: a server, a consumer, a clean-up job, a wait for SIGTERM. Each is an
//! *actor* of a [`Group`]. When the first of them returns, with `Ok`, with an error or by a panic,
//! the group interrupts all of them. It returns when all have returned, with [the actor that was
//! first](Ended) or [the failure](Error).
//!
//! ```
//! use std::time::Duration;
//! use rekindle::{BoxError, run};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let mut group = run::Group::new().shutdown_timeout(Duration::from_secs(20));
//! # #[cfg(all(unix, feature = "signal"))]
//! group.add("signals", run::signals()?); // SIGINT and SIGTERM
//! group.add("ticker", async |stop| {
//!     let ticks = async {
//!         loop {
//!             tokio::time::sleep(Duration::from_secs(60)).await;
//!         }
//!     };
//!     stop.run_until_cancelled(ticks).await;
//! });
//! # /*
//! group
//!     .add("http", |stop| axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()))
//!     .abortable(); // A client that does not hang up is no error.
//! # */
//! # group.add("done", async |_| ());
//! group.run().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Forms of an actor
//!
//! | you have | add it with |
//! |---|---|
//! | a future that ends by itself once a token is cancelled | [`Group::add`] |
//! | a future, and something to call that makes it end | [`Group::add_pair`] |
//! | code that blocks | [`Group::add_blocking`] |
//! | a signal that ends the process | [`signals()`], [`signals_for`] |
//! | a token that other code cancels | [`token`] |
//! | another group | `group.add("workers", \|stop\| workers.run_until(stop))` |
//!
//! A group inside a manager is `reload.run(|stop| group.run_until(stop))`.
//!
//! An actor that is itself a group or a manager reports what did not end inside it, and the outer
//! group's error names that as well.
//!
//! # Signals
//!
//! The first SIGINT or SIGTERM starts the orderly end. A second one ends the process at once, and
//! so does the end of the shutdown timeout if something is still running half a second later. The
//! exit code is 128 + n, and a line on standard error and an error event name what hung. A thread
//! of this crate enforces this, so it works even if every thread of the runtime is blocked, or if
//! `run` has returned and a stuck task keeps the runtime from shutting down:
//!
//! ```text
//! rekindle: SIGTERM: the shutdown timeout of 25s is over, while the app was ending; still running: actor `http`
//! ```
//!
//! A signal is for the whole process, so all this applies to every group and manager that is
//! running when it arrives, and not only to the group with the signals. A group that starts after
//! another one was ended by the signal, to finish something, gets its full time: its shutdown
//! timeout counts from when it begins to end.
//!
//! A signal that arrives between the call of [`signals()`] and the start of the group is kept, and
//! the group ends as soon as it starts. Ending by a signal is a success for `main`;
//! [`Ended::signal`] returns the signal.
//!
//! # Shutting down
//!
//! One number limits the whole stop:
//! [`Manager::shutdown_timeout`](crate::Manager::shutdown_timeout), or [`Group::shutdown_timeout`]
//! where a group is the outermost. It counts from the first of the signal, the stop, and the end of
//! the app or of an actor. Each phase has a share of it, and the time that the previous phase left
//! over. With the default of 25 s:
//!
//! | phase | ends at | in seconds | if it is late |
//! |---|---|---|---|
//! | the app and its actors; effects and reloaders that run | 60 % | 15 | is dropped, and named in the error; an actor that is [`abortable`](ActorOptions::abortable), in the log |
//! | [tasks](crate::Component::runs) of components | 80 % | 20 | is dropped, and named in the error; what is late in a group inside of a task is in the log |
//! | [retirement](crate::Component::retire) of the last values | 100 % | 25 | is named in the error |
//! | the process, if it was a signal and something still runs | and half a second | 25.5 | is ended, with the code 128 + n |
//!
//! So a client that does not hang up takes no time from the pool that must be closed after it. A
//! group without a manager has the whole number for its actors.
//!
//! A group or manager that runs inside another takes part in the budget of the outermost one, whose
//! number counts. It has the share of its place, less a quarter of a second (a tenth of a short
//! share), in which it names what hung before the outer one drops it. For that, a task of the outer
//! one must poll it, and not a task that the app spawned.
//!
//! Give the supervisor of the process more time than that, so that the orderly end comes first:
//!
//! | supervisor | its setting | its default | advice |
//! |---|---|---|---|
//! | Kubernetes | `terminationGracePeriodSeconds` | 30 s | shutdown timeout + 5 s, and more if there is a `preStop` hook, which counts |
//! | systemd | `TimeoutStopSec` | 90 s | shutdown timeout + 5 s |
//! | Docker | `--stop-timeout` | 10 s | shutdown timeout + 5 s, or a shutdown timeout of 5 s |
//!
//! # What it costs
//!
//! A task and a few allocations for each actor, and one thread for all signals of the process. A
//! task is not a fence: an actor that blocks its thread cannot be aborted, only named.
//!
//! The design is that of [oklog/run](https://github.com/oklog/run) for Go. The shutdown timeout,
//! panics as errors, and the effect of the second signal are additions.

mod blocking;
mod cause;
mod ended;
mod ending;
mod error;
mod group;
mod member;
mod options;
mod output;
mod roll;
#[cfg(all(unix, feature = "signal"))]
mod signals;
mod token;

pub use cause::{Cancelled, Cause, Signaled};
pub use ended::Ended;
pub use error::Error;
pub use group::Group;
pub use options::ActorOptions;
pub use output::ActorOutput;
#[cfg(all(unix, feature = "signal"))]
pub use signals::{SignalKind, signals, signals_for};
pub use token::{Actor, token};
