//! Signals, received on a thread of their own.
//!
//! A runtime whose workers are all blocked by user code receives no signal. So the signal driver
//! runs on a thread that is kept [aside](crate::aside), and a channel keeps each signal until it is
//! taken. On the same thread, [`Stop`] enforces SIGINT and SIGTERM.

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

/// The runtime of the signal thread.
fn runtime() -> io::Result<Handle> {
    // tokio creates such a pair for the first signal of a process, and panics if that fails.
    UnixStream::pair()?;
    THREAD.runtime()
}

/// Listens to `kind` from now on. Signals are kept until they are taken, several as one.
pub(crate) fn listen(kind: SignalKind) -> io::Result<Signal> {
    ignored::note();
    let runtime = runtime()?;
    let _entered = runtime.enter();
    signal(kind)
}

/// The usual name, such as `SIGHUP`; for a signal without one, its number: `SIG34`.
pub(crate) fn name(kind: SignalKind) -> Cow<'static, str> {
    // Signal numbers differ between platforms, tokio's constructors do not.
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
