//! The tree between text and value: the contents of a file, with the position of each part.
//!
//! Every format is parsed into the same tree, and the app's types are deserialized from it. The
//! same rules therefore hold for all formats: no duplicate key in a map, no list where a struct is
//! expected, and no value in a message. [`Error`] is the error of the deserializer, so serde
//! reports an error in parts (what was expected, which field) and not as one text with the value in
//! it.
//!
//! # Invariants
//!
//! 1. No path through the tree is longer than [`MAX_DEPTH`], aliases included, so that building it,
//!    walking it and dropping it can be recursive.
//! 2. No key is a list or a map, and no table has two keys of the same [text](Node::key_text).
//! 3. What aliases repeat is bounded (see `yaml.rs`), and the tree holds it once.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::rc::Rc;

mod access;
mod de;
mod error;
mod key;
mod literals;
mod plain;
mod variant;

pub(super) use error::{Error, Segment};
#[cfg(feature = "yaml")]
pub(super) use plain::Plain;

/// The maximum depth of nested lists and maps.
pub(super) const MAX_DEPTH: usize = 128;

/// A range of a text, in bytes from its beginning.
#[derive(Clone, Copy)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Self {
        // `document` rejects longer texts.
        let narrow = |offset| u32::try_from(offset).unwrap_or(u32::MAX);
        Self {
            start: narrow(start),
            end: narrow(end),
        }
    }

    pub(super) fn start(self) -> usize {
        self.start as usize
    }

    pub(super) fn end(self) -> usize {
        self.end as usize
    }
}

/// A value and its position.
#[derive(Clone)]
pub(super) struct Node<'a> {
    pub(super) span: Span,
    pub(super) value: Value<'a>,
}

#[cfg_attr(
    not(all(feature = "json", feature = "toml", feature = "yaml")),
    allow(dead_code, reason = "not every format has every kind of value")
)]
#[derive(Clone)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Integer(Integer),
    /// A JSON integer of more than 64 bits, which is a float unless 128 bits are asked for.
    Wide(Box<(Integer, f64)>),
    Float(f64),
    String(Cow<'a, str>),
    /// An unquoted text, which becomes the type that is asked for.
    Plain(Cow<'a, str>),
    /// A date, a time, or both, as in TOML.
    Datetime(Box<str>),
    Array(Vec<Node<'a>>),
    Table(Vec<Entry<'a>>),
    /// A value with the name of a variant in front: `!Name value`.
    Tagged(Box<(Cow<'a, str>, Node<'a>)>),
    /// A value that occurs at several places in the tree.
    Shared(Rc<Node<'a>>),
}

#[derive(Clone)]
pub(super) struct Entry<'a> {
    pub(super) key: Node<'a>,
    pub(super) value: Node<'a>,
}

/// An integer. One that needs 128 bits is boxed, to keep the nodes small.
#[derive(Clone)]
pub(super) enum Integer {
    I64(i64),
    U64(u64),
    I128(Box<i128>),
    U128(Box<u128>),
}

impl Integer {
    /// Parses digits, which may begin with a minus. `None` if these are no digits, or if the
    /// integer has more than 128 bits.
    pub(super) fn of_digits(digits: &str, radix: u32) -> Option<Self> {
        if digits.starts_with('+') {
            return None;
        }
        if let Ok(number) = i64::from_str_radix(digits, radix) {
            return Some(Self::I64(number));
        }
        if let Ok(number) = u64::from_str_radix(digits, radix) {
            return Some(Self::U64(number));
        }
        if let Ok(number) = i128::from_str_radix(digits, radix) {
            return Some(Self::I128(Box::new(number)));
        }
        let number = u128::from_str_radix(digits, radix).ok()?;
        Some(Self::U128(Box::new(number)))
    }
}

impl fmt::Display for Integer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::I64(number) => number.fmt(f),
            Self::U64(number) => number.fmt(f),
            Self::I128(number) => number.fmt(f),
            Self::U128(number) => number.fmt(f),
        }
    }
}

impl<'a> Node<'a> {
    pub(super) fn new(span: Span, value: Value<'a>) -> Self {
        Self { span, value }
    }

    /// The node itself, behind any `Value::Shared`.
    pub(super) fn original(&self) -> &Self {
        let mut node = self;
        while let Value::Shared(shared) = &node.value {
            node = shared;
        }
        node
    }

    /// The key as written.
    fn name(&self) -> Cow<'_, str> {
        match &self.original().value {
            Value::String(text) | Value::Plain(text) => Cow::Borrowed(text),
            _ => self.key_text(),
        }
    }

    /// The text that identifies a key. That of one with a tag begins with NUL, to differ from
    /// strings. Unquoted numbers have the same text however they are written, because they are the
    /// same key of a map with numeric keys.
    pub(super) fn key_text(&self) -> Cow<'_, str> {
        match &self.original().value {
            Value::String(text) => Cow::Borrowed(text),
            Value::Plain(text) => plain::canonical(text),
            Value::Null => Cow::Borrowed("null"),
            Value::Bool(truth) => Cow::Owned(truth.to_string()),
            Value::Integer(number) => Cow::Owned(number.to_string()),
            Value::Wide(wide) => Cow::Owned(wide.0.to_string()),
            Value::Float(number) => Cow::Owned(number.to_string()),
            Value::Datetime(text) => Cow::Borrowed(text),
            Value::Tagged(tagged) => Cow::Owned(format!("\0!{} {}", tagged.0, tagged.1.key_text())),
            Value::Array(_) | Value::Table(_) => unreachable!("no format has these as keys"),
            Value::Shared(_) => unreachable!("`original` looks through it"),
        }
    }

    /// The map of these entries.
    ///
    /// # Errors
    ///
    /// If two of them have the same key, at the second of these.
    pub(super) fn table(span: Span, entries: Vec<Entry<'a>>) -> Result<Self, Error> {
        match second_of_two(&entries) {
            None => Ok(Self::new(span, Value::Table(entries))),
            Some(entry) => {
                let error = Error::told("duplicate key").at(entry.key.span);
                Err(error.below(Segment::key(&entry.key)))
            }
        }
    }

    /// Returns `true` if any key in the tree has this name.
    fn has_key(&self, name: &str) -> bool {
        match &self.value {
            Value::Array(items) => items.iter().any(|item| item.has_key(name)),
            Value::Table(entries) => entries
                .iter()
                .any(|entry| entry.key.name() == name || entry.value.has_key(name)),
            Value::Tagged(tagged) => tagged.1.has_key(name),
            Value::Shared(node) => node.has_key(name),
            _ => false,
        }
    }
}

/// The first entry whose key repeats that of an earlier one.
fn second_of_two<'e, 'a>(entries: &'e [Entry<'a>]) -> Option<&'e Entry<'a>> {
    // For a few entries, comparing all pairs is faster than hashing.
    if entries.len() <= 8 {
        let is_second = |(index, entry): &(usize, &Entry<'_>)| {
            let key = entry.key.key_text();
            let mut before = entries[..*index].iter();
            before.any(|other| other.key.key_text() == key)
        };
        return entries.iter().enumerate().find(is_second).map(|(_, e)| e);
    }
    let mut known = HashSet::with_capacity(entries.len());
    entries
        .iter()
        .find(|entry| !known.insert(entry.key.key_text()))
}
