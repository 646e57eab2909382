//! The error of deserializing the tree: cause and position, without the value.
//!
//! serde reports seven kinds of errors in parts. One of the parts is the value, which is left out
//! here. All other errors are [`custom`](serde::de::Error::custom), a text that can quote anything.
//! Of that, only known literals pass (`literals.rs`), and the rest is withheld.

use std::fmt::{self, Display, Write as _};

use serde::de::{Expected, Unexpected};

use super::super::{Position, Problem};
use super::{Node, Span, literals};

/// The kind of a TOML date or time, in messages.
pub(super) const DATE: &str = "a date or time";

const WITHHELD: &str =
    "the value was refused by its type (the message is withheld because it may contain the value)";

/// The reason why a tree does not become a value, or a text does not become a tree.
pub(in crate::file::format) struct Error(Box<Inner>);

struct Inner {
    message: Message,
    /// The message including values, if it differs.
    full: Option<String>,
    span: Option<Span>,
    /// The path to the value, last step first. `None` if the text does not say what is a key.
    path: Option<Vec<Segment>>,
}

enum Message {
    Told(String),
    /// A field that the type does not have. `problem` checks that its name comes from the file.
    UnknownField {
        name: String,
        rest: String,
    },
    /// A field that occurs under two of its names.
    DuplicateField(&'static str),
    Withheld,
}

/// One step on the path to a value.
#[derive(Clone)]
pub(in crate::file::format) enum Segment {
    Key(String),
    Index(usize),
}

impl Segment {
    pub(in crate::file::format) fn key(key: &Node<'_>) -> Self {
        Self::Key(key.name().into_owned())
    }
}

impl Error {
    /// An error with a message that contains no value.
    pub(in crate::file::format) fn told(message: impl Into<String>) -> Self {
        Self::new(Message::Told(message.into()), None)
    }

    /// An error of the text itself, without a key.
    pub(in crate::file::format) fn syntax(message: impl Into<String>) -> Self {
        let mut error = Self::told(message);
        error.0.path = None;
        error
    }

    fn new(message: Message, full: Option<String>) -> Self {
        Self(Box::new(Inner {
            message,
            full,
            span: None,
            path: Some(Vec::new()),
        }))
    }

    /// Sets the position, unless that of a part is known.
    pub(in crate::file::format) fn at(mut self, span: Span) -> Self {
        self.0.span.get_or_insert(span);
        self
    }

    /// Prepends a step to the path.
    pub(in crate::file::format) fn below(mut self, segment: Segment) -> Self {
        if let Some(path) = &mut self.0.path {
            path.push(segment);
        }
        self
    }

    pub(super) fn is_duplicate(&self) -> bool {
        self.0.span.is_none() && matches!(self.0.message, Message::DuplicateField(_))
    }

    /// Converts this to the error of a file. `root` is the tree, if there is one.
    pub(in crate::file::format) fn problem(self, text: &str, root: Option<&Node<'_>>) -> Problem {
        let Inner {
            message,
            full,
            span,
            path,
        } = *self.0;
        let message = match message {
            Message::Told(message) if !message.contains(char::is_control) => message,
            // A name that is a key of the file is not a value.
            Message::UnknownField { name, rest } => {
                let is_key = root.is_some_and(|root| root.has_key(&name));
                let name = if is_key { shown(&name) } else { "?" };
                format!("unknown field `{name}`{rest}")
            }
            Message::DuplicateField(name) => format!("duplicate field `{}`", shown(name)),
            Message::Told(_) | Message::Withheld => WITHHELD.to_owned(),
        };
        Problem {
            position: span.map(|span| Position::at(text.as_bytes(), span.start())),
            key: path.and_then(|path| key(path.iter().rev())),
            message,
            full,
        }
    }
}

impl serde::de::Error for Error {
    fn custom<T: Display>(message: T) -> Self {
        let full = message.to_string();
        let message = match full.strip_prefix("unknown field `") {
            // The message of a type with `flatten` and `deny_unknown_fields`.
            Some(name) if name.ends_with('`') => Message::UnknownField {
                name: name[..name.len() - 1].to_owned(),
                rest: String::new(),
            },
            _ => told(&full).map_or(Message::Withheld, Message::Told),
        };
        Self::new(message, Some(full))
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match unexpected {
            Unexpected::Seq => ": a list",
            Unexpected::Map => ": a map",
            Unexpected::Other(DATE) => ": a date or time",
            _ => "",
        };
        let full = format!("invalid type: {unexpected}, expected {expected}");
        let message = format!("invalid type{found}, {}", first_part(expected));
        Self::new(Message::Told(message), Some(full))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let full = format!("invalid value: {unexpected}, expected {expected}");
        // Some crates put the error of their parser into `expected`.
        let text = expected.to_string();
        let message = match literals::has(&text) {
            true => text,
            false => format!("invalid value, {}", first_part(expected)),
        };
        Self::new(Message::Told(message), Some(full))
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        let full = format!("invalid length {length}, expected {expected}");
        let message = format!("invalid length, {}", first_part(expected));
        Self::new(Message::Told(message), Some(full))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let rest = one_of(expected, "variants");
        let full = format!("unknown variant `{variant}`{rest}");
        Self::new(Message::Told(format!("unknown variant{rest}")), Some(full))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let rest = one_of(expected, "fields");
        let full = format!("unknown field `{field}`{rest}");
        let name = field.to_owned();
        Self::new(Message::UnknownField { name, rest }, Some(full))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::told(format!("missing field `{}`", shown(field)))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(Message::DuplicateField(field), None)
    }
}

/// The expected part. What an app's own text adds, usually after a comma, is cut off.
fn first_part(expected: &dyn Expected) -> String {
    let expected = expected.to_string();
    let first = expected.split(", ").next().unwrap_or(&expected);
    format!("expected {first}")
}

fn one_of(names: &[&str], what: &str) -> String {
    match names {
        [] => format!(", there are no {what}"),
        [one] => format!(", expected `{one}`"),
        [one, other] => format!(", expected `{one}` or `{other}`"),
        _ => format!(", expected one of `{}`", names.join("`, `")),
    }
}

/// The part of a custom message that contains no value.
fn told(message: &str) -> Option<String> {
    if literals::has(message) {
        return Some(message.to_owned());
    }
    // serde puts the name of an app's type into these.
    for (before, behind) in [
        ("data did not match any variant of untagged enum ", ""),
        ("no variant of enum ", " found in flattened data"),
    ] {
        let name = message.strip_prefix(before);
        if let Some(name) = name.and_then(|name| name.strip_suffix(behind)) {
            return Some(format!("{before}{}{behind}", shown(name)));
        }
    }
    literals::beginning(message).map(str::to_owned)
}

fn key<'s>(path: impl Iterator<Item = &'s Segment>) -> Option<String> {
    let mut all = String::new();
    for segment in path {
        match segment {
            Segment::Index(index) => {
                write!(all, "[{index}]").expect("a String takes everything");
            }
            Segment::Key(name) => {
                if !all.is_empty() {
                    all.push('.');
                }
                all.push_str(shown(name));
            }
        }
    }
    (!all.is_empty() && all != "?").then_some(all)
}

/// The name, or `?` if it does not look like one. In `{password:hunter2}`, where YAML requires a
/// space after the colon, the whole text is the key. A name with control characters could forge log
/// lines.
fn shown(name: &str) -> &str {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_plain = !name.is_empty() && name.chars().count() <= 64 && name.chars().all(plain);
    // The merge key of YAML.
    if is_plain || name == "<<" { name } else { "?" }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.message {
            Message::Told(message) => f.write_str(message),
            _ => f.write_str(WITHHELD),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}
