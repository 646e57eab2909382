//! Signals, heard on a thread of their own.
//!
//! A runtime whose workers are all blocked by user code does not hear anything. So the signal
//! driver lives [aside](crate::aside), and what it heard waits in a channel until somebody asks.
//! [`Stop`] makes sure, on the same thread, that SIGINT and SIGTERM are obeyed.

use std::borrow::Cow;
use std::io;
use std::os::unix::net::UnixStream;

use tokio::runtime::{Builder, Handle};
use tokio::signal::unix::{Signal, SignalKind, signal};

mod ignored;
mod stop;

pub(crate) use ignored::is_ignored;
pub(crate) use stop::Stop;

use crate::aside::Aside;

static THREAD: Aside = Aside::new("rekindle-signals", Builder::enable_all);

/// The runtime of the thread that hears signals.
fn runtime() -> io::Result<Handle> {
    // tokio makes such a pair for the first signal of a process, and panics where it cannot.
    UnixStream::pair()?;
    THREAD.runtime()
}

/// Listens to `kind` from now on. What arrives is kept until it is asked for, several as one.
pub(crate) fn listen(kind: SignalKind) -> io::Result<Signal> {
    ignored::note();
    let runtime = runtime()?;
    let _entered = runtime.enter();
    signal(kind)
}

/// The usual name: `SIGHUP`. One that has none is called by its number: `SIG34`.
pub(crate) fn name(kind: SignalKind) -> Cow<'static, str> {
    // The numbers differ between platforms; what tokio calls them does not.
    let name = match kind {
        kind if kind == SignalKind::alarm() => "SIGALRM",
        kind if kind == SignalKind::child() => "SIGCHLD",
        kind if kind == SignalKind::hangup() => "SIGHUP",
        kind if kind == SignalKind::interrupt() => "SIGINT",
        kind if kind == SignalKind::io() => "SIGIO",
        kind if kind == SignalKind::pipe() => "SIGPIPE",
        kind if kind == SignalKind::quit() => "SIGQUIT",
        kind if kind == SignalKind::terminate() => "SIGTERM",
        kind if kind == SignalKind::user_defined1() => "SIGUSR1",
        kind if kind == SignalKind::user_defined2() => "SIGUSR2",
        kind if kind == SignalKind::window_change() => "SIGWINCH",
        other => return format!("SIG{}", other.as_raw_value()).into(),
    };
    name.into()
}
