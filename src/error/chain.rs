//! An error with all its causes, as text.

use std::error::Error as StdError;
use std::fmt;

use crate::escape::Escaped;
use crate::panic::catch;

/// An error with its causes, in one line, whatever its code does: an error of the app's may panic
/// when it is asked for its text or its cause, and whoever answers or logs must not.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn StdError + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&texts(self.0).join(": "))
    }
}

/// How many errors of a chain are looked at: one that leads back to itself has an end there.
pub(crate) const CHAIN: usize = 64;

/// The texts of an error and of its causes, outermost first, each of one line. There is at least one.
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
