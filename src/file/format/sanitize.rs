//! Rebuilds messages without the values in them.
//!
//! serde has seven kinds of errors of its own. Each is a fixed beginning, what was found (a value),
//! and what was expected, in this order; what was expected is text of the program. Everything else
//! is `Error::custom`, text of the app's that may quote anything.

use serde_path_to_error::{Path, Segment};

const WITHHELD: &str =
    "the value was refused by its type (the message is withheld because it may contain the value)";

/// Messages that are told as they are: they are literals in serde and in the formats.
const LITERALS: [&str; 4] = [
    "integer number overflowed",
    "floating-point number overflowed",
    "recursion limit exceeded",
    "repetition limit exceeded",
];

/// The beginnings of messages that end with the name of a type of the app's.
const BEFORE_A_TYPE: [&str; 2] = [
    "data did not match any variant of untagged enum ",
    "no variant of enum ",
];

/// What of `message` may be told.
pub(super) fn message(message: &str) -> String {
    // After the *last* one: a value may contain these words, an expectation does not.
    let expected = message
        .rsplit_once(", expected ")
        .map(|(_, expected)| expected.lines().next().unwrap_or_default());

    for kind in ["invalid type: ", "invalid value: ", "invalid length "] {
        if message.starts_with(kind)
            && let Some(expected) = expected
        {
            return format!("{}, expected {expected}", kind.trim_end_matches([':', ' ']));
        }
    }
    if message.starts_with("unknown variant `") {
        return match expected {
            Some(expected) => format!("unknown variant, expected {expected}"),
            None => "unknown variant, there are no variants".to_owned(),
        };
    }
    if let Some(rest) = message.strip_prefix("unknown field `") {
        let name = |end| rest.rsplit_once(end).map_or("?", |(name, _)| shown(name));
        return match expected {
            Some(expected) => {
                format!(
                    "unknown field `{}`, expected {expected}",
                    name("`, expected ")
                )
            }
            None => format!(
                "unknown field `{}`, there are no fields",
                name("`, there are no fields")
            ),
        };
    }
    for kind in ["missing field", "duplicate field"] {
        let name = message
            .strip_prefix(kind)
            .and_then(|rest| rest.strip_prefix(" `"));
        if let Some(name) = name.and_then(|rest| rest.strip_suffix('`')) {
            return format!("{kind} `{}`", shown(name));
        }
    }
    for beginning in BEFORE_A_TYPE {
        let name = message.strip_prefix(beginning);
        if let Some(name) = name.and_then(|rest| rest.split(' ').next()) {
            return format!("{beginning}{}", shown(name));
        }
    }
    LITERALS
        .into_iter()
        .find(|&literal| literal == message)
        .unwrap_or(WITHHELD)
        .to_owned()
}

/// The keys that lead to the place of the error.
pub(super) fn key(path: &Path) -> Option<String> {
    use std::fmt::Write as _;

    let mut key = String::new();
    for segment in path {
        let name = match segment {
            Segment::Seq { index } => {
                write!(key, "[{index}]").expect("a String takes everything");
                continue;
            }
            Segment::Map { key } => shown(key),
            Segment::Enum { variant } => shown(variant),
            Segment::Unknown => "?",
        };
        if !key.is_empty() {
            key.push('.');
        }
        key.push_str(name);
    }
    (!key.is_empty() && key != "?").then_some(key)
}

/// The name, if it looks like one. In `{password:hunter2}`, where YAML wants a space after the
/// colon, the key is all of it; and a name with control characters could forge log lines.
fn shown(name: &str) -> &str {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !name.is_empty() && name.chars().count() <= 64 && name.chars().all(plain) {
        name
    } else {
        "?"
    }
}
