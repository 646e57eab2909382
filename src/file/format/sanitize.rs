//! Rebuilds messages without the values in them.
//!
//! serde has seven kinds of errors of its own. Each is a fixed beginning, what was found (a value),
//! and what was expected, in this order; what was expected is text of the program. Everything else
//! is `Error::custom`, text of the app's that may quote anything. It may also look like one of
//! serde's, so what follows a value is only told where the value has exactly the form that serde
//! gives it.

use serde_path_to_error::{Path, Segment};

mod found;

const WITHHELD: &str =
    "the value was refused by its type (the message is withheld because it may contain the value)";

/// Messages that are told as they are: they are literals in serde and in the formats.
const LITERALS: [&str; 4] = [
    "integer number overflowed",
    "floating-point number overflowed",
    "recursion limit exceeded",
    "repetition limit exceeded",
];

/// Messages that have the name of a type of the app's in them.
const WITH_A_TYPE: [(&str, &str); 2] = [
    ("data did not match any variant of untagged enum ", ""),
    ("no variant of enum ", " found in flattened data"),
];

/// What of `message` may be told.
pub(super) fn message(message: &str) -> String {
    told(message)
        .filter(|told| !told.contains(char::is_control))
        .unwrap_or_else(|| WITHHELD.to_owned())
}

fn told(message: &str) -> Option<String> {
    for kind in ["invalid type", "invalid value"] {
        let found = message
            .strip_prefix(kind)
            .and_then(|rest| rest.strip_prefix(": "));
        if let Some(found) = found {
            return expectation(kind, found::value(found)?);
        }
    }
    if let Some(found) = message.strip_prefix("invalid length ") {
        return expectation("invalid length", found::digits(found)?);
    }
    if let Some(found) = message.strip_prefix("unknown variant `") {
        // Before anything is looked for that the value may contain.
        if found.ends_with("`, there are no variants") {
            return Some("unknown variant, there are no variants".to_owned());
        }
        let (_, names) = found.rsplit_once("`, expected ")?;
        return names_of(names).map(|names| format!("unknown variant, expected {names}"));
    }
    if let Some(found) = message.strip_prefix("unknown field `") {
        if let Some(name) = found.strip_suffix("`, there are no fields") {
            let name = shown(name);
            return Some(format!("unknown field `{name}`, there are no fields"));
        }
        if let Some((name, names)) = found.rsplit_once("`, expected ") {
            let name = shown(name);
            return names_of(names)
                .map(|names| format!("unknown field `{name}`, expected {names}"));
        }
        // So says a type with `flatten` and `deny_unknown_fields`.
        let name = shown(found.strip_suffix('`')?);
        return Some(format!("unknown field `{name}`"));
    }
    for kind in ["missing field", "duplicate field"] {
        let name = message
            .strip_prefix(kind)
            .and_then(|rest| rest.strip_prefix(" `"));
        if let Some(name) = name {
            return Some(format!("{kind} `{}`", shown(name.strip_suffix('`')?)));
        }
    }
    for (before, behind) in WITH_A_TYPE {
        if let Some(name) = message.strip_prefix(before) {
            let name = shown(name.strip_suffix(behind)?);
            return Some(format!("{before}{name}{behind}"));
        }
    }
    LITERALS
        .into_iter()
        .find(|&literal| literal == message)
        .map(str::to_owned)
}

/// The message, of which `rest` is what follows the value. What an app's own text adds, usually
/// after a comma, is cut off.
fn expectation(kind: &str, rest: &str) -> Option<String> {
    let expected = rest.strip_prefix(", expected ")?;
    let expected = expected.split(", ").next().unwrap_or(expected);
    Some(format!("{kind}, expected {expected}"))
}

/// The names, if this is how serde lists them: one, one or another, one of several.
fn names_of(list: &str) -> Option<&str> {
    let names = list
        .strip_prefix("one of `")
        .or_else(|| list.strip_prefix('`'))?;
    let separator = match list.starts_with("one of ") {
        true => "`, `",
        false => "` or `",
    };
    let mut names = names.strip_suffix('`')?.split(separator);
    names.all(|name| !name.contains('`')).then_some(list)
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
