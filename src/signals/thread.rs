//! The thread itself.

use std::future::pending;
use std::io;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use tokio::runtime::{Builder, Handle};

static RUNTIME: Mutex<Option<Handle>> = Mutex::new(None);

/// The runtime of the signal thread, which is started by the first who asks.
///
/// The runtime is built, and would be dropped, on its own thread: the caller may be inside another
/// runtime, where dropping one panics.
pub(super) fn runtime() -> io::Result<Handle> {
    let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*runtime {
        return Ok(handle.clone());
    }
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("rekindle-signals".to_owned())
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
