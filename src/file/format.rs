//! From bytes to values, and from what the parsers say to what may be told.

mod position;

#[cfg(feature = "json")]
pub(super) mod json;
#[cfg(any(feature = "json", feature = "toml", feature = "yaml"))]
mod sanitize;
#[cfg(feature = "toml")]
pub(super) mod toml;
#[cfg(feature = "yaml")]
pub(super) mod yaml;

pub(super) use position::Position;

/// How the contents of a file become a value.
pub(super) type Parse<T> = fn(&[u8]) -> Result<T, Problem>;

/// What is wrong with the contents of a file. Nothing in it is a value of the user's.
pub(super) struct Problem {
    pub(super) position: Option<Position>,
    pub(super) key: Option<String>,
    pub(super) message: String,
}

/// Parses, and says so if what was refused is an empty file.
pub(super) fn parse<T>(parse: Parse<T>, bytes: &[u8]) -> Result<T, Problem> {
    let empty = bytes.trim_ascii().is_empty();
    parse(bytes).map_err(|mut problem| {
        if empty {
            problem.message.push_str(" (the file is empty)");
        }
        problem
    })
}

pub(super) fn bytes(bytes: &[u8]) -> Result<Vec<u8>, Problem> {
    Ok(bytes.to_vec())
}

pub(super) fn text(bytes: &[u8]) -> Result<String, Problem> {
    utf8(bytes).map(str::to_owned)
}

pub(super) fn utf8(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes).map_err(|error| Problem {
        position: Some(Position::at(bytes, error.valid_up_to())),
        key: None,
        message: "not valid UTF-8; save the file in that encoding".to_owned(),
    })
}

/// The text of a file in one of the formats, without the byte order mark that some editors write.
#[cfg(any(feature = "json", feature = "toml", feature = "yaml"))]
fn document(bytes: &[u8]) -> Result<&str, Problem> {
    utf8(bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes))
}
