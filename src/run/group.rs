//! The group: adding actors, and running them.

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::member::{self, Interrupt, Member};
use super::{ActorOptions, ActorOutput, Cause, Ended, Error, blocking, ending};
use crate::escape::{Escaped, is_printable};
use crate::shutdown::DEFAULT;

/// Actors that live and end together. See the [module](super) for a tour.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use std::time::Duration;
/// use rekindle::run;
///
/// let mut group = run::Group::new().shutdown_timeout(Duration::from_secs(20));
/// group.add("server", |stop| stop.cancelled_owned());
/// group.add("once", async |_| ());
/// let ended = group.run().await?;
/// assert_eq!(ended.first(), Some("once"));
/// # Ok(())
/// # }
/// ```
#[must_use = "the actors of a group start when it is run"]
pub struct Group {
    pub(super) members: Vec<Member>,
    pub(super) timeout: Duration,
}

impl Group {
    /// A group without actors.
    pub fn new() -> Self {
        Self {
            members: Vec::new(),
            timeout: DEFAULT,
        }
    }

    /// Sets the time for the whole stop (default: 25 s), which counts from the first of the signal,
    /// the stop, and the end of an actor.
    ///
    /// It applies if the group is the outermost one. A group in a manager's app, or in another
    /// group, has the share of its place there. The [module](super#shutting-down) has the table.
    ///
    /// A late actor is aborted, or left behind if it cannot be aborted, and named in the [`Error`].
    /// If it is [`abortable`](ActorOptions::abortable) and could be aborted, the log names it instead.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// use std::time::Duration;
    /// use rekindle::run;
    ///
    /// let mut group = run::Group::new().shutdown_timeout(Duration::from_millis(10));
    /// group.add("once", async |_| ());
    /// group.add("deaf", async |_| std::future::pending::<()>().await);
    /// let error = group.run().await.unwrap_err();
    /// assert_eq!(error.late().collect::<Vec<_>>(), ["deaf"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Adds an actor: a function of a token, whose future must end soon after the token is
    /// cancelled.
    ///
    /// The function is called when the group runs, and its future becomes a task of its own. The
    /// future returns an [`ActorOutput`]: nothing, or a `Result`.
    ///
    /// ```
    /// use rekindle::{BoxError, run};
    /// use tokio_util::sync::CancellationToken;
    ///
    /// async fn worker(stop: CancellationToken) -> Result<(), BoxError> {
    ///     while !stop.is_cancelled() {
    ///         // ... one piece of work ...
    /// #       break;
    ///     }
    ///     Ok(())
    /// }
    ///
    /// let mut group = run::Group::new();
    /// group.add("worker", worker);
    /// group.add("idle", |stop| stop.cancelled_owned());
    /// group.add("once", async |stop| {
    ///     let line = stop.run_until_cancelled(async { "one piece of work" }).await;
    ///     Ok::<_, BoxError>(drop(line))
    /// });
    /// ```
    ///
    /// A bare future is no actor, because it has no token that could end it:
    ///
    /// ```compile_fail,E0277
    /// rekindle::run::Group::new().add("future", async {});
    /// ```
    ///
    /// # Panics
    ///
    /// If the name has control characters, which would break the log lines that name it.
    #[track_caller]
    pub fn add<F, R>(&mut self, name: impl Into<String>, actor: F) -> ActorOptions<'_>
    where
        F: FnOnce(CancellationToken) -> R + Send + 'static,
        R: IntoFuture<Output: ActorOutput, IntoFuture: Send>,
    {
        let stop = CancellationToken::new();
        let interrupted = stop.clone();
        let start = member::start(move || actor(stop));
        self.push(name.into().into(), start, move |_| interrupted.cancel())
    }

    /// Adds an actor as a pair, as in oklog/run: a future, and a function that makes it end.
    ///
    /// `interrupt` is called exactly once with the cause, also if this actor returned first. It
    /// must not block. If it panics, the panic is logged, and the other actors are interrupted all
    /// the same.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// use rekindle::run;
    ///
    /// let (sender, mut receiver) = tokio::sync::mpsc::channel::<u32>(8);
    /// let mut group = run::Group::new();
    /// group.add_pair(
    ///     "consumer",
    ///     async move { while receiver.recv().await.is_some() {} },
    ///     |cause| {
    ///         println!("no more work: {cause}");
    ///         drop(sender);
    ///     },
    /// );
    /// group.add("once", async |_| ());
    /// assert_eq!(group.run().await?.first(), Some("once"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// As [`add`](Self::add).
    #[track_caller]
    pub fn add_pair<R, I>(
        &mut self,
        name: impl Into<String>,
        execute: R,
        interrupt: I,
    ) -> ActorOptions<'_>
    where
        R: IntoFuture<Output: ActorOutput, IntoFuture: Send> + Send + 'static,
        I: FnOnce(&Cause) + Send + 'static,
    {
        self.push(
            name.into().into(),
            member::start(move || execute),
            interrupt,
        )
    }

    /// Adds an actor that blocks, on a thread of its own with the actor's name.
    ///
    /// It must check the token between two pieces of work, or wait for it with
    /// `Handle::current().block_on(stop.cancelled())`, which works because the thread is inside the
    /// context of the runtime. A thread cannot be aborted, so one that does not end is left behind.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// use rekindle::run;
    ///
    /// let mut group = run::Group::new();
    /// group.add_blocking("sum", |stop| {
    ///     let mut sum = 0;
    ///     for piece in 0..1000 {
    ///         if stop.is_cancelled() {
    ///             return;
    ///         }
    ///         sum += piece;
    ///     }
    ///     println!("{sum}");
    /// });
    /// assert_eq!(group.run().await?.first(), Some("sum"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// As [`add`](Self::add).
    #[track_caller]
    pub fn add_blocking<F, O>(&mut self, name: impl Into<String>, work: F) -> ActorOptions<'_>
    where
        F: FnOnce(CancellationToken) -> O + Send + 'static,
        O: ActorOutput,
    {
        let name = name.into().into();
        let stop = CancellationToken::new();
        let start = blocking::start(&name, stop.clone(), work);
        self.push(name, start, move |_| stop.cancel())
    }

    #[track_caller]
    fn push<I>(&mut self, name: Arc<str>, start: member::Start, interrupt: I) -> ActorOptions<'_>
    where
        I: FnOnce(&Cause) + Send + 'static,
    {
        assert!(
            is_printable(&name),
            "the name `{}` of an actor has control characters",
            Escaped(&name)
        );
        let interrupt: Interrupt = Box::new(interrupt);
        let member = Member {
            name,
            start,
            interrupt,
            abortable: false,
        };
        self.members.push(member);
        ActorOptions(self.members.last_mut().expect("one was pushed"))
    }

    /// Starts all actors, waits for the first one to return, interrupts all of them in the order in
    /// which they were added, and waits for all to return.
    ///
    /// An empty group returns at once.
    ///
    /// # Errors
    ///
    /// If the first actor failed or panicked, or if an actor did not return within the shutdown timeout
    /// and is not [`abortable`](ActorOptions::abortable) or could not be aborted. Ending by a signal is
    /// no error. The errors of actors that return after the first one are only logged.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with its time driver enabled.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future aborts the actors, and cancels the tokens of those that block. The
    /// functions given to [`add_pair`](Self::add_pair) are not called.
    pub async fn run(self) -> Result<Ended, Error> {
        self.run_until(CancellationToken::new()).await
    }

    /// Like [`run`](Self::run), and also ends the group, without an error, when `stop` is
    /// cancelled.
    ///
    /// It works in the other direction, too: when the group begins to end, for any reason, it
    /// cancels `stop` before it interrupts the first actor. So other holders of the token notice
    /// the end while the actors still have their time.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    ///
    /// # Cancel safety
    ///
    /// As [`run`](Self::run). Dropping the future cancels `stop`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// use rekindle::run;
    /// use tokio_util::sync::CancellationToken;
    ///
    /// let stop = CancellationToken::new();
    /// let mut group = run::Group::new();
    /// group.add("idle", |stop| stop.cancelled_owned());
    /// stop.cancel();
    /// assert_eq!(group.run_until(stop).await?.first(), None);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn run_until(self, stop: CancellationToken) -> Result<Ended, Error> {
        ending::run(self, stop).await
    }
}

impl Default for Group {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.members.iter().map(|member| &member.name).collect();
        f.debug_struct("Group")
            .field("actors", &names)
            .field("shutdown_timeout", &self.timeout)
            .finish()
    }
}
