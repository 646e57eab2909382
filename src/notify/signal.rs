//! Unix signals as notifiers.

use std::future::pending;
use std::io;

pub use tokio::signal::unix::SignalKind;

use crate::{BoxError, Notifier, Trigger, signals};

/// Requests a reload whenever the process receives this signal.
///
/// The trigger is the signal's name in lower case: `sighup`, `sigusr1`. It is
/// [explicit](Trigger::explicit). From this call on, the
/// signal no longer has its default effect, so call it early: a SIGHUP during the start-up is then
/// kept for the manager instead of ending the process. Several signals that arrive before the
/// manager takes them count as one.
///
/// The notifier also receives a signal that was ignored when the process started. So the hang-up of
/// its terminal reloads a service under `nohup`, and `kill -s HUP` still works. This differs
/// for signals that end the process: see [`run::signals`](fn@crate::run::signals#ignored-signals).
///
/// The call works outside a runtime, because a thread of this crate receives all signals.
///
/// # Errors
///
/// If the signal cannot be listened to (SIGKILL and SIGSTOP never can), or the thread cannot be
/// started.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use rekindle::{Notifier, notify};
///
/// let hangup = notify::signal(notify::SignalKind::hangup())?;
/// assert_eq!(hangup.name(), "signal SIGHUP");
/// # Ok(())
/// # }
/// ```
pub fn signal(kind: SignalKind) -> io::Result<Signal> {
    Ok(Signal {
        kind,
        stream: signals::listen(kind)?,
    })
}

/// The notifier that [`signal`] returns.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use rekindle::{Notifier, notify};
///
/// let mut hangups: notify::Signal = notify::signal(notify::SignalKind::hangup())?;
/// # let pid = std::process::id().to_string();
/// # std::process::Command::new("kill").args(["-s", "HUP", &pid]).status()?;
/// // `kill -s HUP <pid>` sends SIGHUP.
/// assert_eq!(hangups.notify().await?.as_str(), "sighup");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a notifier does nothing until a manager listens to it"]
pub struct Signal {
    kind: SignalKind,
    stream: tokio::signal::unix::Signal,
}

impl Notifier for Signal {
    async fn notify(&mut self) -> Result<Trigger, BoxError> {
        match self.stream.recv().await {
            Some(()) => Ok(Trigger::from(signals::name(self.kind).to_lowercase()).explicit()),
            None => pending().await,
        }
    }

    fn name(&self) -> String {
        format!("signal {}", signals::name(self.kind))
    }
}
