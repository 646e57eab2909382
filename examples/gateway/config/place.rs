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

/// Whether a path goes up, or stays where it is, so that it leads elsewhere than it seems to.
pub(crate) fn has_dot_segments(path: &str) -> bool {
    path.split('/').any(|segment| {
        let rest = behind_dot(segment);
        rest.is_some_and(|rest| rest.is_empty() || behind_dot(rest) == Some(""))
    })
}

/// What follows a dot, in either way to write it.
fn behind_dot(text: &str) -> Option<&str> {
    text.strip_prefix('.').or_else(|| {
        let (dot, rest) = text.split_at_checked(3)?;
        dot.eq_ignore_ascii_case("%2e").then_some(rest)
    })
}
