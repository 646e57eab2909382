//! The managers whose reloads are measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rekindle::{BoxError, Manager, Reading, Source, Stamp};

/// What is reloaded.
#[derive(Clone, Copy)]
pub(crate) enum Subject {
    Group,
    Groups,
    Components,
}

impl Subject {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Group => "N reloaders in one group",
            Self::Groups => "N reloaders in N groups",
            Self::Components => "N components, all changed",
        }
    }

    /// In how many groups it is done by hand, for that size; `None` if it is nothing for that.
    pub(crate) fn by_hand(self) -> Option<fn(usize) -> usize> {
        match self {
            Self::Group => Some(|_| 1),
            Self::Groups => Some(|size| size),
            Self::Components => None,
        }
    }

    pub(crate) async fn manager(self, size: usize) -> Result<Manager, BoxError> {
        let mut manager = Manager::new();
        for number in 0..size {
            let name = format!("{number}");
            match self {
                Self::Group => _ = manager.add(0, name, async |_| ()),
                Self::Groups => _ = manager.add(number as i32, name, async |_| ()),
                Self::Components => {
                    let read = async || Ok("a value".to_owned());
                    manager.source(name, read).await?;
                }
            }
        }
        Ok(manager)
    }
}

/// How many sources there are, and parts of each.
const SOURCES: usize = 100;
const PARTS: usize = 100;

/// A source of many parts. Of the first one, another part is another with each reload.
struct Parts {
    moves: bool,
    reads: AtomicU64,
}

impl Source for Parts {
    type Value = Vec<u64>;

    async fn read(&self, committed: Option<Stamp>) -> Result<Reading<Vec<u64>>, BoxError> {
        let reads = match self.moves {
            true => self.reads.fetch_add(1, Ordering::Relaxed),
            false => 0,
        };
        let stamp = Stamp::of(&reads.to_le_bytes());
        if committed == Some(stamp) {
            return Ok(Reading::Unchanged);
        }
        let mut parts = vec![0; PARTS];
        parts[0] = reads;
        Ok(Reading::Stamped(parts, stamp))
    }
}

/// 100 sources, 100 components derived from parts of each, and one part that changes.
pub(crate) async fn wide() -> Result<Manager, BoxError> {
    let mut manager = Manager::new();
    for number in 0..SOURCES {
        let source = Parts {
            moves: number == 0,
            reads: AtomicU64::new(0),
        };
        let source = manager.source(format!("source {number}"), source).await?;
        for part in 0..PARTS {
            let selection = source.select(move |parts: &Vec<u64>| &parts[part]);
            let build = async |part: u64| Ok(Arc::new(part));
            let name = format!("part {part} of {number}");
            manager.derive(name, selection, build).await?;
        }
    }
    Ok(manager)
}
