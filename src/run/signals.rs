//! Actors that wait for signals.

use std::io;

pub use tokio::signal::unix::SignalKind;

use super::{Actor, Signaled};
use crate::log::event;
use crate::signals::{self, Stop};

/// An actor that ends its group when the process receives SIGINT or SIGTERM.
///
/// From this call on, the signals are kept for the group instead of ending the process, so call it
/// before anything that takes time. That stays so after the group has ended: a first signal then
/// does nothing, unless something still runs, and a second one ends the process. See the
/// [module](super#signals). The call works outside a runtime.
///
/// The actor's error is [`Signaled`], which counts as a success of the group.
///
/// # Ignored signals
///
/// A signal that the process ignored when it was started stays ignored. A script starts `service &`
/// with SIGINT ignored, so that Ctrl-C ends only the foreground job. An info event names each
/// signal that is left out. With `env --default-signal service &` the actor listens to all of them.
/// Only Linux reports which signals are ignored; on other systems the actor listens to all of them.
///
/// # Errors
///
/// If the thread for signals cannot be started.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use rekindle::run;
///
/// let mut group = run::Group::new();
/// group.add("signals", run::signals()?);
/// group.add("once", async |_| ());
/// let ended = group.run().await?;
/// assert!(ended.signal().is_none());
/// # Ok(())
/// # }
/// ```
pub fn signals() -> io::Result<Actor<Signaled>> {
    signals_for([SignalKind::interrupt(), SignalKind::terminate()])
}

/// An actor like that of [`signals()`], for signals of your choice.
///
/// The effects of a second signal and of the end of the shutdown timeout, which the
/// [module](super#signals) describes, apply to SIGINT and SIGTERM if they are among `kinds`. Any
/// other signal only ends the group. [Ignored signals](fn@signals#ignored-signals) are left out:
/// under `nohup` that is SIGHUP.
///
/// # Errors
///
/// If one of the signals cannot be listened to (SIGKILL and SIGSTOP never can, nor can SIGILL,
/// SIGFPE and SIGSEGV), or the thread for signals cannot be started.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use rekindle::run::{self, SignalKind};
///
/// let mut group = run::Group::new();
/// group.add("quit", run::signals_for([SignalKind::quit(), SignalKind::terminate()])?);
/// # Ok(())
/// # }
/// ```
pub fn signals_for(kinds: impl IntoIterator<Item = SignalKind>) -> io::Result<Actor<Signaled>> {
    let kinds = kinds.into_iter();
    let (ignored, kinds): (Vec<_>, _) = kinds.partition(|&kind| signals::is_ignored(kind));
    let signals = Stop::new(kinds)?;
    for kind in ignored {
        event!(
            INFO,
            "{} does not end the group: it was ignored when the process started",
            signals::name(kind),
        );
    }
    Ok(Box::new(|stop| {
        Box::pin(async move {
            match stop.run_until_cancelled(signals.signal()).await {
                Some(kind) => Err(Signaled::new(kind)),
                None => Ok(()),
            }
        })
    }))
}
