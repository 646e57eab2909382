//! Threads that never run application code, one for the process each, with a small runtime.
//!
//! The threads of the app's runtime may all be blocked. A single blocked one may be the one that
//! drives the timers for the others, which then sleep past every deadline. Events that must be
//! noticed all the same are awaited here.

use std::future::pending;
use std::io;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::race::race;

/// A thread that never runs application code.
pub(crate) struct Aside {
    name: &'static str,
    /// Enables the drivers of its runtime.
    enable: fn(&mut Builder) -> &mut Builder,
    runtime: Mutex<Option<Handle>>,
}

/// Has the time driver only, and so opens no file.
static ALARM: Aside = Aside::new("rekindle-alarm", Builder::enable_time);

impl Aside {
    pub(crate) const fn new(name: &'static str, enable: fn(&mut Builder) -> &mut Builder) -> Self {
        Self {
            name,
            enable,
            runtime: Mutex::new(None),
        }
    }

    /// The runtime of the thread, which the first call starts.
    ///
    /// The runtime is built on its own thread, and would be dropped there, because the caller may
    /// be inside another runtime, where dropping one panics.
    pub(crate) fn runtime(&'static self) -> io::Result<Handle> {
        let mut runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = &*runtime {
            return Ok(handle.clone());
        }
        let (sender, receiver) = mpsc::sync_channel(1);
        let run = move || {
            let built = (self.enable)(&mut Builder::new_current_thread()).build();
            let handle = built.as_ref().map(|runtime| runtime.handle().clone());
            let handle = handle.map_err(|error| with_context("cannot start a runtime", error));
            // Cannot fail: it is sent once, and the receiver waits for it.
            let _ = sender.send(handle);
            if let Ok(runtime) = built {
                runtime.block_on(pending::<()>());
            }
        };
        let thread = thread::Builder::new().name(self.name.to_owned());
        let thread = thread.spawn(run);
        thread.map_err(|error| with_context("cannot start a thread", &error))?;
        let handle = receiver.recv().map_err(io::Error::other)??;
        Ok(runtime.insert(handle).clone())
    }
}

fn with_context(failed: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{failed}: {error}"))
}

/// Sleeps until `deadline` by the clock of the caller's runtime, which tests may move, or by that
/// of the alarm thread, whichever comes first. Uses only the caller's if the thread cannot be
/// started.
pub(crate) async fn wake_at(deadline: Instant) {
    let aside = sleep_aside(deadline).ok();
    let here = sleep_until(deadline);
    match aside {
        Some(aside) => _ = race(here, aside).await,
        None => here.await,
    }
}

/// A sleep that the alarm thread drives, wherever it is polled.
fn sleep_aside(deadline: Instant) -> io::Result<Sleep> {
    let left = deadline.duration_since(Instant::now());
    let runtime = ALARM.runtime()?;
    let _entered = runtime.enter();
    Ok(sleep(left))
}
