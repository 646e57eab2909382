//! The report of one reload.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::crew::{Entry, Kind};
use crate::{Draining, StepError, Triggers};

mod keys;

pub use keys::KeyCounts;

/// The report of one reload, or of one [`check`](crate::Handle::check).
///
/// It lists each component, effect and reloader that was touched, and counts the other components. It
/// never holds a value of the app. Of errors it has what the app's own functions returned.
///
/// `Display` is one line, made for a log:
///
/// ```text
/// reload applied: triggers=sighup generation=7 rebuilt=config,printer unchanged=curler took=1.3ms
/// ```
///
/// The [`KeyCounts`] of a collection follow its name in parentheses. Control characters in text from
/// outside, such as the text of an error, are escaped.
///
/// The manager logs this line when the reload has ended. The level is `ERROR` for a reload that was
/// rejected, partial or rolled back, `WARN` for a rejected check and for a reload that a stop
/// abandoned, `INFO` for an applied reload, and `DEBUG` for an unchanged reload and for a check that
/// finds nothing wrong, because these can come every minute and have changed nothing.
///
/// ```
/// use rekindle::{Action, Outcome};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// # let mut reload = rekindle::Manager::new();
/// let name = reload.source("name", async || Ok("Ada".to_owned())).await?;
/// reload.derive("greeting", &name, async |name| Ok(format!("Hello {}", *name))).await?;
/// reload.add(0, "audit", async |triggers| println!("reloaded because of {triggers}"));
///
/// let handle = reload.handle();
/// reload
///     .run(async move |_stop| {
///         let report = handle.reload("example").await?;
///         assert!(report.is_success() && !report.is_check());
///         assert_eq!(report.outcome(), Outcome::Applied);
///         assert_eq!(report.generation(), 2);
///         assert!(report.triggers().contains("example"));
///         assert!(report.started() + report.took() > std::time::UNIX_EPOCH);
///
///         let steps: Vec<_> = report.steps().iter().map(|step| step.name()).collect();
///         assert_eq!(steps, ["name", "greeting", "audit"]);
///         assert_eq!(report.step("greeting").map(|step| step.action()), Some(Action::Rebuilt));
///         assert_eq!(report.untouched(), 0);
///         assert!(report.failure().is_none());
///         Ok(())
///     })
///     .await
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Report {
    pub(crate) triggers: Triggers,
    pub(crate) generation: u64,
    pub(crate) outcome: Outcome,
    pub(crate) check: bool,
    pub(crate) started: SystemTime,
    pub(crate) took: Duration,
    pub(crate) steps: Vec<Step>,
    pub(crate) warnings: Vec<Arc<str>>,
    pub(crate) untouched: usize,
    pub(crate) overdue: Vec<Draining>,
    pub(crate) pending_restart: Arc<[Arc<str>]>,
}

/// The way in which a reload ended.
///
/// ```
/// use rekindle::Outcome;
///
/// fn exit_code(outcome: Outcome) -> u8 {
///     match outcome {
///         Outcome::Applied | Outcome::Unchanged | Outcome::Valid => 0,
///         Outcome::Rejected => 1,
///         _ => 2,
///     }
/// }
///
/// assert_eq!(exit_code(Outcome::Valid), 0);
/// assert_eq!(exit_code(Outcome::Interrupted { committed: true }), 2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// A new generation is current, and all effects were run.
    Applied,
    /// Nothing had changed, so there is no new generation. Reloaders have run all the same.
    Unchanged,
    /// The result of a check: a reload would be applied now.
    Valid,
    /// Nothing happened: what was prepared was abandoned, and everything is as it was before.
    Rejected,
    /// The changes are current, but an effect or reloader failed, and later ones did not run.
    Partial,
    /// The new generation failed its [probation](crate::Manager::probation), and the previous values
    /// were published again, as a generation with a new number. [`Report::failure`] is the cause.
    RolledBack,
    /// The manager was stopped during the reload.
    Interrupted {
        /// `true` if the new generation had become current before the stop.
        committed: bool,
    },
}

/// One component, effect or reloader in a [`Report`].
///
/// ```
/// use rekindle::Action;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// # let mut reload = rekindle::Manager::new();
/// reload.add(0, "cache", async |_| Err("the cache is gone".into()));
/// let handle = reload.handle();
/// reload
///     .run(async move |_stop| {
///         let error = handle.reload("example").await.unwrap_err();
///         let report = error.report().expect("the reload was made");
///         let step = report.failure().expect("a step failed");
///         assert_eq!(step.name(), "cache");
///         assert_eq!(step.action(), Action::Failed);
///         assert!(step.took() <= report.took());
///         assert_eq!(step.error().map(|error| error.to_string()), Some("the cache is gone".into()));
///         Ok(())
///     })
///     .await
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Step {
    pub(crate) name: Arc<str>,
    pub(crate) is_component: bool,
    pub(crate) action: Action,
    pub(crate) took: Duration,
    pub(crate) error: Option<StepError>,
    /// Boxed, because few steps have it.
    pub(crate) keys: Option<Box<KeyCounts>>,
}

/// The action of a reload on one component, effect or reloader.
///
/// ```
/// use rekindle::Action;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// # let mut reload = rekindle::Manager::new();
/// reload.source("limit", async || Ok(10)).await?;
/// reload.add(1, "cache", async |_| Err("the cache is gone".into()));
/// reload.add(2, "audit", async |triggers| println!("reloaded because of {triggers}"));
/// let handle = reload.handle();
/// reload
///     .run(async move |_stop| {
///         let error = handle.reload("example").await.unwrap_err();
///         let report = error.report().expect("the reload was made");
///         let actions: Vec<_> = report.steps().iter().map(|step| step.action()).collect();
///         assert_eq!(actions, [Action::Rebuilt, Action::Failed, Action::Skipped]);
///         Ok(())
///     })
///     .await
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// A component was built anew. If the reload was rejected, the new value never became current.
    Rebuilt,
    /// A component was looked at, and its source or its inputs had not changed.
    Unchanged,
    /// An effect or a reloader ran.
    Ran,
    /// It failed, and [`Step::error`] is the cause.
    Failed,
    /// It was running when something else failed or the manager was stopped.
    Abandoned,
    /// An effect or reloader was due, but something before it failed or the manager was stopped.
    Skipped,
}

impl Report {
    /// The triggers that the reload answers.
    pub fn triggers(&self) -> &Triggers {
        &self.triggers
    }

    /// The number of the generation that was current when the reload ended.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The outcome of the reload.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Returns `true` if this was a check (a dry run) instead of a reload.
    pub fn is_check(&self) -> bool {
        self.check
    }

    /// Returns `true` if the reload ended well: applied, unchanged, or found valid.
    pub fn is_success(&self) -> bool {
        matches!(
            self.outcome,
            Outcome::Applied | Outcome::Unchanged | Outcome::Valid
        )
    }

    /// The beginning of the reload, by the wall clock.
    pub fn started(&self) -> SystemTime {
        self.started
    }

    /// The time from the beginning of the reload to its end.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// The steps of the reload, in the order in which they finished.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The [warnings](crate::warn) of the app's functions, whether the reload succeeded or not.
    pub fn warnings(&self) -> impl ExactSizeIterator<Item = &str> {
        self.warnings.iter().map(|warning| &**warning)
    }

    /// The number of components that were not touched, because nothing that they depend on had changed,
    /// or because the reload ended before their turn.
    pub fn untouched(&self) -> usize {
        self.untouched
    }

    /// The names of the [pinned](crate::Manager::pin) settings that have another value now (for a
    /// check: would have). Only a restart brings that value into effect.
    pub fn pending_restart(&self) -> impl ExactSizeIterator<Item = &str> {
        self.pending_restart.iter().map(|name| &**name)
    }

    /// The values of earlier generations that were held past the
    /// [drain deadline](crate::Manager::drain) when the reload ended, so that they could not be
    /// [retired](crate::Component::retire), whichever reload replaced them.
    pub fn overdue(&self) -> &[Draining] {
        &self.overdue
    }

    /// The first step with this name; `None` if it was not touched. Each component and effect has a
    /// name of its own, but reloaders can share one.
    pub fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.name() == name)
    }

    /// The first step that failed.
    pub fn failure(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.error.is_some())
    }
}

impl Step {
    /// The name with which the component, effect or reloader was added.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The action taken.
    pub fn action(&self) -> Action {
        self.action
    }

    /// The time that the step took.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// The error, if the step failed.
    pub fn error(&self) -> Option<&StepError> {
        self.error.as_ref()
    }

    /// The numbers of keys that were added, changed, kept and removed, if this is a
    /// [collection](crate::Manager::each) that was rebuilt.
    pub fn keys(&self) -> Option<KeyCounts> {
        self.keys.as_deref().copied()
    }
}

impl Outcome {
    /// The outcome in one word: `applied`, `unchanged`, `valid`, `rejected`, `partial`,
    /// `rolled_back`, `interrupted`.
    ///
    /// ```
    /// assert_eq!(rekindle::Outcome::Applied.as_str(), "applied");
    /// ```
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Valid => "valid",
            Self::Rejected => "rejected",
            Self::Partial => "partial",
            Self::RolledBack => "rolled_back",
            Self::Interrupted { .. } => "interrupted",
        }
    }
}

impl Action {
    /// The action in one word: `rebuilt`, `unchanged`, `ran`, `failed`, `abandoned`, `skipped`.
    ///
    /// ```
    /// assert_eq!(rekindle::Action::Rebuilt.as_str(), "rebuilt");
    /// ```
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rebuilt => "rebuilt",
            Self::Unchanged => "unchanged",
            Self::Ran => "ran",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
            Self::Skipped => "skipped",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.check { "check" } else { "reload" };
        write!(f, "{what} {}: triggers={}", self.outcome, self.triggers)?;
        write!(f, " generation={}", self.generation)?;
        for action in [
            Action::Rebuilt,
            Action::Unchanged,
            Action::Ran,
            Action::Failed,
            Action::Abandoned,
            Action::Skipped,
        ] {
            let mut separator = format!(" {action}=");
            for step in self.steps.iter().filter(|step| step.action == action) {
                write!(f, "{separator}{}", step.name)?;
                if let Some(keys) = &step.keys {
                    write!(f, "({keys})")?;
                }
                ",".clone_into(&mut separator);
            }
        }
        if self.untouched > 0 {
            write!(f, " untouched={}", self.untouched)?;
        }
        if !self.warnings.is_empty() {
            write!(f, " warnings={}", self.warnings.len())?;
        }
        let mut separator = " overdue=";
        for draining in &self.overdue {
            write!(f, "{separator}{}", draining.component())?;
            separator = ",";
        }
        let mut separator = " pending_restart=";
        for name in self.pending_restart() {
            write!(f, "{separator}{name}")?;
            separator = ",";
        }
        write!(f, " took={:.1?}", self.took)?;
        if let Some((step, error)) = self.failure().and_then(|step| Some((step, step.error()?))) {
            write!(f, " error=`{}`: {}", step.name, error.chain())?;
        }
        Ok(())
    }
}

/// Collects the steps of one reload while it runs. The reload itself writes its report from it, or the
/// supervisor if the reload was abandoned.
pub(crate) struct Log(Mutex<Option<Vec<Step>>>);

impl Log {
    /// A log with room for this many steps.
    pub(crate) fn with_capacity(steps: usize) -> Self {
        Self(Mutex::new(Some(Vec::with_capacity(steps))))
    }

    /// Adds a step, unless the log is closed.
    pub(crate) fn add(&self, step: Step) {
        if let Some(steps) = &mut *self.lock() {
            steps.push(step);
        }
    }

    /// Like [`add`](Self::add) for a step that can be in the log already: a failure then replaces its
    /// earlier result.
    pub(crate) fn amend(&self, step: Step) {
        if let Some(steps) = &mut *self.lock() {
            amend(steps, step);
        }
    }

    /// Closes the log, and [amends](Self::amend) it by `rest`. Steps that an abandoned reload ends
    /// later are not recorded.
    pub(crate) fn close(&self, rest: impl IntoIterator<Item = Step>) -> Vec<Step> {
        let mut steps = self.lock().take().unwrap_or_default();
        rest.into_iter().for_each(|step| amend(&mut steps, step));
        steps
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Step>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn amend(steps: &mut Vec<Step>, step: Step) {
    let is_it = |known: &&mut Step| Arc::ptr_eq(&known.name, &step.name);
    match steps.iter_mut().find(is_it) {
        Some(known) if known.error.is_none() && step.error.is_some() => *known = step,
        Some(_) => {}
        None => steps.push(step),
    }
}

impl Step {
    pub(crate) fn new(entry: &Entry, action: Action, took: Duration) -> Self {
        Self {
            // The entry's own `Arc`, because `amend` compares names by pointer.
            name: Arc::clone(&entry.name),
            is_component: entry.kind == Kind::Component,
            action,
            took,
            error: None,
            keys: None,
        }
    }

    pub(crate) fn failed(entry: &Entry, error: StepError, took: Duration) -> Self {
        Self {
            error: Some(error),
            ..Self::new(entry, Action::Failed, took)
        }
    }
}
