//! Actors made from signals.

use std::io;

pub use tokio::signal::unix::SignalKind;

use super::{Actor, Signaled};
use crate::log::event;
use crate::signals::{self, Stop};

/// An actor that ends its group when the process receives SIGINT or SIGTERM.
///
/// From this call on the signals are kept for the group instead of ending the process, so call it
/// before anything that takes time. That remains so when the group has ended: from then on a first
/// signal does nothing, unless something still runs, and a second one ends the process. See the
/// [module](super#signals). No runtime is needed around the call.
///
/// Its error is [`Signaled`]; a group takes that for a success.
///
/// # Ignored signals
///
/// A signal that the process ignored when it was started stays ignored. A script starts `service &` with
/// SIGINT ignored, so that Ctrl-C ends only what is in the foreground. An info event names each signal
/// that is left out; `env --default-signal service &` has them all heard. Only Linux says which signals
/// are ignored, so other systems hear them all.
///
/// # Errors
///
/// If the thread that hears signals cannot be started.
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

/// As [`signals()`], with signals of one's own choice.
///
/// What the [module](super#signals) says about a second signal and the end of the shutdown timeout
/// applies to SIGINT and SIGTERM, if they are among them. Any other one ends the group, and that is
/// all. [Ignored signals](fn@signals#ignored-signals) are left out: under `nohup` that is SIGHUP.
///
/// # Errors
///
/// If one of the signals cannot be listened to (SIGKILL and SIGSTOP never can, nor can SIGILL,
/// SIGFPE and SIGSEGV), or the thread that hears signals cannot be started.
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
