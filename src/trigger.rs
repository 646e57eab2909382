//! Triggers: the reasons for a reload.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::escape::Escaped;

/// The number of different triggers that one reload names. Those beyond it are counted.
const NAMED: usize = 16;

/// The reason for a reload: a short name such as `sighup`, `http` or `file`.
///
/// `Display` escapes control characters, so that a name from outside stays within its log line.
///
/// A trigger is *explicit* if a person or a program asks for a reload now, and *automatic* if something may
/// have changed. Only an explicit one brings back a generation that failed its
/// [probation](crate::Manager::probation) while its sources are unchanged. A request through a
/// [`Handle`](crate::Handle) (over HTTP, too) and a signal are explicit. The trigger of any other notifier
/// (a file, the clock, a channel, a closure) is automatic unless it is made [`explicit`](Self::explicit).
///
/// ```
/// use rekindle::Trigger;
///
/// assert_eq!(Trigger::from("sighup").as_str(), "sighup");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Trigger {
    name: Cow<'static, str>,
    explicit: bool,
}

impl Trigger {
    /// The name.
    ///
    /// ```
    /// assert_eq!(rekindle::Trigger::from("http").as_str(), "http");
    /// ```
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Makes the trigger explicit: its reload also tries values that failed their
    /// [probation](crate::Manager::probation) and have not been edited since.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use rekindle::{Manager, Trigger};
    /// use tokio::sync::Notify;
    ///
    /// // The app's console wakes it when an operator asks.
    /// let asked = Arc::new(Notify::new());
    /// let mut reload = Manager::new();
    /// reload.on(async move || {
    ///     asked.notified().await;
    ///     Ok(Trigger::from("console").explicit())
    /// });
    /// ```
    #[must_use = "it returns the explicit trigger"]
    pub fn explicit(self) -> Self {
        Self {
            explicit: true,
            ..self
        }
    }

    /// Splits the trigger into its name, as an automatic trigger, and `true` if it is explicit.
    pub(crate) fn split(self) -> (Self, bool) {
        let name = Self {
            explicit: false,
            ..self
        };
        (name, self.explicit)
    }
}

impl From<&'static str> for Trigger {
    fn from(name: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            explicit: false,
        }
    }
}

impl From<String> for Trigger {
    fn from(name: String) -> Self {
        Self {
            name: Cow::Owned(name),
            explicit: false,
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Escaped(&self.name), f)
    }
}

impl fmt::Debug for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trigger({self})")
    }
}

/// The [`Trigger`]s that one reload answers, in the order in which they arrived.
///
/// Triggers that arrive while a reload runs lead to exactly one more reload, which carries all of them.
/// At most 16 different ones are named. Cloning is cheap.
///
/// ```
/// use rekindle::{Trigger, Triggers};
///
/// let triggers: Triggers = ["sighup", "http", "http"].map(Trigger::from).into_iter().collect();
/// assert!(triggers.contains("http"));
/// assert_eq!(triggers.total(), 3);
/// assert_eq!(triggers.to_string(), "sighup, http");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Triggers(Arc<List>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct List {
    /// Outside of `others`, which needs no allocation for the one trigger of most reloads.
    first: Option<Trigger>,
    others: Vec<Trigger>,
    /// The number of arrivals that found no room for their name.
    unnamed: u64,
    total: u64,
}

impl List {
    fn named(&self) -> impl Iterator<Item = &Trigger> {
        self.first.iter().chain(&self.others)
    }
}

impl Triggers {
    /// The different triggers, at most 16, in the order of their first arrival.
    ///
    /// ```
    /// use rekindle::{Trigger, Triggers};
    ///
    /// let triggers: Triggers = ["http", "file", "http"].map(Trigger::from).into_iter().collect();
    /// let names: Vec<_> = triggers.iter().map(Trigger::as_str).collect();
    /// assert_eq!(names, ["http", "file"]);
    /// ```
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Trigger> {
        let List { first, others, .. } = &*self.0;
        let len = usize::from(first.is_some()) + others.len();
        (0..len).map(move |at| match (at, first) {
            (0, Some(first)) => first,
            _ => &others[at - 1],
        })
    }

    /// Returns `true` if one of the named triggers has this name.
    ///
    /// ```
    /// let triggers = rekindle::Triggers::from(rekindle::Trigger::from("file"));
    /// assert!(triggers.contains("file"));
    /// ```
    pub fn contains(&self, name: &str) -> bool {
        self.0.named().any(|trigger| trigger.as_str() == name)
    }

    /// The number of arrivals, repetitions included.
    ///
    /// ```
    /// use rekindle::{Trigger, Triggers};
    ///
    /// let triggers: Triggers = ["http", "file", "http"].map(Trigger::from).into_iter().collect();
    /// assert_eq!(triggers.total(), 3);
    /// ```
    pub fn total(&self) -> u64 {
        self.0.total
    }

    /// The number of arrivals that are not named, because 16 different triggers arrived before them.
    ///
    /// ```
    /// use rekindle::{Trigger, Triggers};
    ///
    /// let triggers: Triggers = (0..20).map(|n| Trigger::from(format!("job {n}"))).collect();
    /// assert_eq!((triggers.iter().len(), triggers.unnamed()), (16, 4));
    /// ```
    pub fn unnamed(&self) -> u64 {
        self.0.unnamed
    }

    /// Adds one arrival.
    pub(crate) fn push(&mut self, trigger: Trigger) {
        let list = Arc::make_mut(&mut self.0);
        list.total += 1;
        if list.named().any(|named| *named == trigger) {
            return;
        }
        match &list.first {
            None => list.first = Some(trigger),
            Some(_) if 1 + list.others.len() < NAMED => list.others.push(trigger),
            Some(_) => list.unnamed += 1,
        }
    }
}

impl From<Trigger> for Triggers {
    fn from(trigger: Trigger) -> Self {
        Self::from_iter([trigger])
    }
}

impl FromIterator<Trigger> for Triggers {
    fn from_iter<I: IntoIterator<Item = Trigger>>(triggers: I) -> Self {
        let mut all = Self::default();
        for trigger in triggers {
            all.push(trigger);
        }
        all
    }
}

impl fmt::Display for Triggers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, trigger) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            fmt::Display::fmt(trigger, f)?;
        }
        match self.unnamed() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
