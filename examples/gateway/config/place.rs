//! Where a route begins: a host and a prefix of the path.

use std::fmt;

/// The key of a route. Without a host it is for all hosts that have no route with that prefix.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) host: Option<String>,
    pub(crate) path: String,
}

impl Place {
    /// Whether a path is at or below this one. `/api` is the beginning of `/api/users`, and not of
    /// `/apiary`.
    pub(crate) fn covers(&self, path: &str) -> bool {
        match path.strip_prefix(&self.path) {
            Some(rest) => self.path.ends_with('/') || rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.host.as_deref().unwrap_or("*"), self.path)
    }
}
