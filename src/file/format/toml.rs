//! TOML.

use serde::de::DeserializeOwned;

use super::{Position, Problem, document, sanitize};

pub(in crate::file) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = document(bytes)?;
    let position = |error: &toml::de::Error| {
        error
            .span()
            .map(|span| Position::at(text.as_bytes(), span.start))
    };
    // What the parser itself says are literals; only its `Display` adds the line from the file. In
    // broken syntax nobody knows what is a key and what is a value, so there is no key.
    let deserializer = toml::Deserializer::parse(text).map_err(|error| Problem {
        position: position(&error),
        key: None,
        message: error.message().to_owned(),
    })?;
    serde_path_to_error::deserialize(deserializer).map_err(|error| Problem {
        position: position(error.inner()),
        key: sanitize::key(error.path()),
        message: sanitize::message(error.inner().message()),
    })
}
