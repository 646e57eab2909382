//! YAML.

use serde::de::{DeserializeOwned, IgnoredAny};

use super::{Position, Problem, document, sanitize};

mod nesting;
mod seek;

pub(in crate::file) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = document(bytes)?;
    nesting::check(text)?;
    let deserializer = yaml_serde::Deserializer::from_str(text);
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        // The library does not tell errors of syntax from those of a type. A type that takes
        // everything can only meet the former, and they are literals.
        match yaml_serde::from_str::<IgnoredAny>(text) {
            Err(syntax) => Problem {
                position: position(&syntax),
                key: None,
                message: without_positions(&syntax.to_string()),
            },
            Ok(_) => {
                let message = sanitize::message(&without_context(&error));
                // A name that is unknown is wrong itself, not its value.
                let place = match message.starts_with("unknown field") {
                    true => None,
                    false => seek::seek(text, error.path()),
                };
                Problem {
                    position: place.or_else(|| position(error.inner())),
                    key: sanitize::key(error.path()),
                    message,
                }
            }
        }
    })
}

/// Columns of libyaml count characters.
fn position(error: &yaml_serde::Error) -> Option<Position> {
    error.location().map(|at| Position {
        line: at.line(),
        column: at.column(),
    })
}

/// The message alone: the library puts the keys before it and the place behind it.
fn without_context(error: &serde_path_to_error::Error<yaml_serde::Error>) -> String {
    let mut message = error.inner().to_string();
    if let Some(at) = error.inner().location() {
        let suffix = format!(" at line {} column {}", at.line(), at.column());
        if let Some(rest) = message.strip_suffix(&suffix) {
            message.truncate(rest.len());
        }
    }
    // The library's path usually is the same as this one; where it is not (it has aliases), it is
    // a word that ends with a colon.
    let path = format!("{}: ", error.path());
    let rest = message.strip_prefix(&path).or_else(|| {
        let (word, rest) = message.split_once(": ")?;
        (!word.contains(' ')).then_some(rest)
    });
    rest.map_or_else(|| message.clone(), str::to_owned)
}

/// libyaml names two places, that of the problem and that of what it belongs to.
fn without_positions(message: &str) -> String {
    let mut parts = message.split(" at ");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c != ',');
        if part.starts_with("line ") || part.starts_with("position ") {
            kept.push_str(rest);
        } else {
            kept.push_str(" at ");
            kept.push_str(part);
        }
    }
    kept
}
