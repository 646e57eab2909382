//! One thread for the process on which no code of the app's runs, with a small runtime of its own.
//!
//! The threads of the app's runtime may all be blocked, and even one that is can be the one that drives
//! the timers of the others: then those sleep on, whatever is due. What has to be noticed all the same
//! is waited for here.

use std::future::pending;
use std::io;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::race::race;

static RUNTIME: Mutex<Option<Handle>> = Mutex::new(None);

/// The runtime of that thread, which is started by the first who asks.
///
/// The runtime is built, and would be dropped, on its own thread: the caller may be inside another
/// runtime, where dropping one panics.
pub(crate) fn runtime() -> io::Result<Handle> {
    let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*runtime {
        return Ok(handle.clone());
    }
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("rekindle-aside".to_owned())
        .spawn(move || {
            let built = Builder::new_current_thread().enable_all().build();
            let handle = built.as_ref().map(|runtime| runtime.handle().clone());
            // Sent only once, and the receiver waits for it.
            let _ = sender
                .send(handle.map_err(|error| io::Error::new(error.kind(), error.to_string())));
            if let Ok(runtime) = built {
                runtime.block_on(pending::<()>());
            }
        })?;
    let handle = receiver.recv().map_err(io::Error::other)??;
    Ok(runtime.insert(handle).clone())
}

/// Sleeps until then by the clock of the caller's runtime, which tests may move, or by that of the
/// thread, whichever comes first. Where no thread can be started, the caller's has to do.
pub(crate) async fn wake_at(deadline: Instant) {
    let aside = sleep_aside(deadline).ok();
    let here = sleep_until(deadline);
    match aside {
        Some(aside) => _ = race(here, aside).await,
        None => here.await,
    }
}

/// Driven by the thread, wherever it is polled.
fn sleep_aside(deadline: Instant) -> io::Result<Sleep> {
    let left = deadline.duration_since(Instant::now());
    let runtime = runtime()?;
    let _entered = runtime.enter();
    Ok(sleep(left))
}
