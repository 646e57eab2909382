//! JSON.

use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::{Position, Problem, document, sanitize};

pub(in crate::file) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = document(bytes)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let key = sanitize::key(error.path());
        problem(text, error.inner(), key)
    })?;
    deserializer
        .end()
        .map_err(|error| problem(text, &error, None))?;
    Ok(value)
}

fn problem(text: &str, error: &serde_json::Error, key: Option<String>) -> Problem {
    let full = error.to_string();
    let suffix = format!(" at line {} column {}", error.line(), error.column());
    let message = full.strip_suffix(&suffix).unwrap_or(&full);
    let position = Position::of_byte_column(text, error.line(), error.column());
    match error.classify() {
        Category::Data => Problem {
            position,
            key,
            message: sanitize::message(message),
        },
        // Errors of syntax are literals in serde_json, and in broken syntax nobody knows what is a
        // key and what is a value.
        Category::Syntax | Category::Eof | Category::Io => Problem {
            position,
            key: None,
            message: message.to_owned(),
        },
    }
}
