//! An error with all its causes, as text.

use std::error::Error as StdError;
use std::fmt;

use crate::escape::Escaped;
use crate::panic::catch;

/// An error with its causes, in one line. The app's `Display` and `source` can panic, and a panic must
/// not reach the code that answers or logs, so both are called under [`catch`].
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn StdError + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&texts(self.0).join(": "))
    }
}

/// The number of errors of a chain that are read, which bounds a chain that leads back to itself.
pub(crate) const CHAIN: usize = 64;

/// The texts of an error and of its causes, outermost first, one line each. There is at least one.
pub(super) fn texts(error: &(dyn StdError + 'static)) -> Vec<String> {
    let mut texts = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next
        && texts.len() < CHAIN
    {
        let text = catch(|| Escaped(error).to_string());
        texts.push(text.unwrap_or_else(|_| "an error whose text cannot be had".to_owned()));
        next = catch(|| error.source()).unwrap_or(None);
    }
    texts
}
