//! The value of a collection: one value per key.

use std::any::Any;
use std::collections::BTreeMap;
use std::collections::btree_map;
use std::fmt;

use super::guard::Lease;
use super::slot::AnySlot;
use crate::panic::drop_quietly;

/// The value of a collection that [`Manager::each`](crate::Manager::each) creates: for each key a
/// [`Lease`] of the value that was built for it.
///
/// A lease taken out of the collection holds that value alone. It is [replaced](Lease::replaced)
/// when the setting of its key changed or the key is gone, and stays when other keys change. All
/// keys read through one guard belong to one generation.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use std::collections::BTreeMap;
///
/// # let mut reload = rekindle::Manager::new();
/// let limits = reload.source("limits", async || Ok(BTreeMap::from([("mail", 10), ("web", 80)])));
/// let limits = limits.await?;
/// let queues = reload
///     .each("queues", &limits, |limits| (*limits).clone(), async |name, limit| {
///         Ok(format!("{name} of {limit}"))
///     })
///     .await?;
/// let queues = queues.load();
/// assert!(queues.len() == 2 && !queues.is_empty());
/// assert!(queues.contains_key("mail"));
/// assert_eq!(**queues.get("web").expect("it is a key"), "web of 80");
/// assert_eq!(queues.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["mail", "web"]);
/// # Ok(())
/// # }
/// ```
pub struct Keyed<K, V: Send + Sync + 'static>(pub(crate) BTreeMap<K, Lease<V>>);

/// The slots of a collection's members, given its value.
pub(crate) fn members<K: 'static, V: Send + Sync + 'static>(value: &dyn Any) -> Vec<AnySlot> {
    let collection: &Keyed<K, V> = value
        .downcast_ref()
        .expect("a slot has the type of its component");
    collection.0.values().map(Lease::erased).collect()
}

impl<K: Ord, V: Send + Sync + 'static> Keyed<K, V> {
    /// The value of a key.
    pub fn get<Q>(&self, key: &Q) -> Option<&Lease<V>>
    where
        K: std::borrow::Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.0.get(key)
    }

    /// Returns `true` if the collection contains the key.
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: std::borrow::Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.0.contains_key(key)
    }

    /// The keys with their values, in the order of the keys.
    pub fn iter(&self) -> btree_map::Iter<'_, K, Lease<V>> {
        self.0.iter()
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns `true` if the collection has no keys.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a, K, V: Send + Sync + 'static> IntoIterator for &'a Keyed<K, V> {
    type Item = (&'a K, &'a Lease<V>);
    type IntoIter = btree_map::Iter<'a, K, Lease<V>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<K, V: Send + Sync + 'static> Drop for Keyed<K, V> {
    fn drop(&mut self) {
        // One by one: a second panic while the first one unwinds would abort the process.
        for (key, _) in std::mem::take(&mut self.0) {
            drop_quietly("a key", key);
        }
    }
}

impl<K: fmt::Debug, V: fmt::Debug + Send + Sync + 'static> fmt::Debug for Keyed<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
