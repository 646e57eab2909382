//! From bytes to values, and from parser errors to messages without values.

mod position;

#[cfg(feature = "json")]
pub(super) mod json;
#[cfg(feature = "toml")]
pub(super) mod toml;
#[cfg(any(feature = "json", feature = "toml", feature = "yaml"))]
mod tree;
#[cfg(feature = "yaml")]
pub(super) mod yaml;

pub(super) use position::Position;

/// The function that parses the contents of a file.
pub(super) type Parse<T> = fn(&[u8]) -> Result<T, Problem>;

/// An error in the contents of a file.
pub(super) struct Problem {
    pub(super) position: Option<Position>,
    pub(super) key: Option<String>,
    /// The message, without any value.
    pub(super) message: String,
    /// The message including values, if it differs.
    pub(super) full: Option<String>,
}

impl Problem {
    /// With the complete message of the parser and the types, on one line.
    pub(super) fn in_full(self) -> Self {
        let full = self.full.map(|full| {
            let escape = |c: char| match c.is_control() {
                true => c.escape_default().to_string(),
                false => c.to_string(),
            };
            full.chars().map(escape).collect()
        });
        Self {
            message: full.unwrap_or(self.message),
            full: None,
            ..self
        }
    }

    /// Without the message that may contain values.
    pub(super) fn sanitized(self) -> Self {
        Self { full: None, ..self }
    }
}

/// The byte order mark that some editors write before the text.
const MARK: &str = "\u{feff}";

/// Parses the contents. The error mentions it if the file is empty.
pub(super) fn parse<T>(parse: Parse<T>, bytes: &[u8]) -> Result<T, Problem> {
    let text = bytes.strip_prefix(MARK.as_bytes()).unwrap_or(bytes);
    let empty = text.trim_ascii().is_empty();
    parse(bytes).map_err(|mut problem| {
        if empty {
            let empty = " (the file is empty)";
            problem.message.push_str(empty);
            problem
                .full
                .iter_mut()
                .for_each(|full| full.push_str(empty));
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
        full: None,
    })
}

/// The text of a JSON, TOML or YAML file. It includes a [`MARK`], so that spans count the bytes of
/// the file.
#[cfg(any(feature = "json", feature = "toml", feature = "yaml"))]
fn document(bytes: &[u8]) -> Result<&str, Problem> {
    match u32::try_from(bytes.len()) {
        Ok(_) => utf8(bytes),
        // Spans have 32 bits.
        Err(_) => Err(Problem {
            position: None,
            key: None,
            message: "a file of this format may have at most 4 GiB".to_owned(),
            full: None,
        }),
    }
}

/// Deserializes a tree. An error takes its position from `text` and its field names from the tree.
#[cfg(any(feature = "json", feature = "toml", feature = "yaml"))]
fn value<T: serde::de::DeserializeOwned>(text: &str, root: &tree::Node<'_>) -> Result<T, Problem> {
    T::deserialize(root).map_err(|error| error.at(root.span).problem(text, Some(root)))
}

/// Rejects lists and maps that are nested too deeply.
#[cfg(any(feature = "json", feature = "toml", feature = "yaml"))]
fn check_depth(depth: usize, span: tree::Span) -> Result<(), tree::Error> {
    match depth > tree::MAX_DEPTH {
        true => Err(too_deep().at(span)),
        false => Ok(()),
    }
}

#[cfg(any(feature = "json", feature = "toml", feature = "yaml"))]
fn too_deep() -> tree::Error {
    let max = tree::MAX_DEPTH;
    tree::Error::syntax(format!("nested too deeply; {max} levels are the limit"))
}
