//! The key counts of a collection.

use std::fmt;

/// The numbers of keys that one reload added to a collection, changed, kept and removed, as
/// [`Step::keys`](crate::Step::keys) returns them.
///
/// `Display` writes the form of the report's line: `added:1,changed:0,kept:2,removed:1`.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::{Arc, Mutex};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// # let mut reload = rekindle::Manager::new();
/// let limits = Arc::new(Mutex::new(BTreeMap::from([("mail", 10), ("web", 80)])));
/// let edited = Arc::clone(&limits);
/// let limits = reload.source("limits", async move || Ok(limits.lock().unwrap().clone())).await?;
/// reload
///     .each("queues", &limits, |limits| (*limits).clone(), async |_name, limit| Ok(limit))
///     .await?;
///
/// let handle = reload.handle();
/// reload
///     .run(async move |_stop| {
///         *edited.lock().unwrap() = BTreeMap::from([("dns", 53), ("web", 8080)]);
///         let report = handle.reload("example").await?;
///         let keys = report.step("queues").and_then(|step| step.keys()).expect("a collection");
///         assert_eq!((keys.added(), keys.changed(), keys.kept(), keys.removed()), (1, 1, 0, 1));
///         assert!(report.to_string().contains("queues(added:1,changed:1,kept:0,removed:1)"));
///         Ok(())
///     })
///     .await
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeyCounts {
    pub(crate) added: usize,
    pub(crate) changed: usize,
    pub(crate) kept: usize,
    pub(crate) removed: usize,
}

impl KeyCounts {
    /// The number of keys that were not there before.
    pub fn added(&self) -> usize {
        self.added
    }

    /// The number of keys whose setting changed, so that their values were built anew.
    pub fn changed(&self) -> usize {
        self.changed
    }

    /// The number of keys whose setting did not change, so that they kept their values.
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// The number of keys that are gone.
    pub fn removed(&self) -> usize {
        self.removed
    }
}

impl fmt::Display for KeyCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            added,
            changed,
            kept,
            removed,
        } = self;
        write!(
            f,
            "added:{added},changed:{changed},kept:{kept},removed:{removed}"
        )
    }
}
