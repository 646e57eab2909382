//! The elements of lists and the entries of maps, one by one, as serde asks for them.

use std::fmt;
use std::{slice, vec};

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    DeserializeSeed, Error as _, Expected, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};

use super::key::Key;
use super::{Entry, Error, Node, Segment};

/// The elements of a list.
pub(super) struct Elements<I> {
    rest: I,
    index: usize,
}

impl<'de, I: ExactSizeIterator<Item = &'de Node<'de>>> Elements<I> {
    /// Passes the list to the visitor. Rejects it if the visitor leaves elements over.
    pub(super) fn visit<V: Visitor<'de>>(items: I, visitor: V) -> Result<V::Value, Error> {
        let length = items.len();
        let mut elements = Self {
            rest: items,
            index: 0,
        };
        let value = visitor.visit_seq(&mut elements)?;
        match elements.rest.len() {
            0 => Ok(value),
            _ => Err(Error::invalid_length(length, &Length(elements.index))),
        }
    }
}

impl<'de, I: ExactSizeIterator<Item = &'de Node<'de>>> SeqAccess<'de> for &mut Elements<I> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        let Some(node) = self.rest.next() else {
            return Ok(None);
        };
        let index = self.index;
        self.index += 1;
        let value = seed.deserialize(node);
        value
            .map(Some)
            .map_err(|error| error.at(node.span).below(Segment::Index(index)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

struct Length(usize);

impl Expected for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of length {}", self.0)
    }
}

/// The entries of a map.
pub(super) struct Entries<'de> {
    rest: slice::Iter<'de, Entry<'de>>,
    current: Option<&'de Entry<'de>>,
}

impl<'de> Entries<'de> {
    pub(super) fn visit<V: Visitor<'de>>(
        entries: &'de [Entry<'de>],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let mut entries = Self {
            rest: entries.iter(),
            current: None,
        };
        let value = visitor.visit_map(&mut entries);
        value.map_err(|error| match entries.current {
            // The field has an alias, so the tree does not know that it is a duplicate.
            Some(entry) if error.is_duplicate() => {
                let key = Segment::key(&entry.key);
                error.at(entry.key.span).below(key)
            }
            _ => error,
        })
    }
}

impl<'de> MapAccess<'de> for &mut Entries<'de> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        self.current = self.rest.next();
        let Some(Entry { key, .. }) = self.current else {
            return Ok(None);
        };
        let value = seed.deserialize(Key(key));
        value
            .map(Some)
            .map_err(|error| error.at(key.span).below(Segment::key(key)))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let Some(Entry { key, value }) = self.current else {
            return Err(Error::told("a value was taken before its key"));
        };
        let found = seed.deserialize(value);
        found.map_err(|error| error.at(value.original().span).below(Segment::key(key)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

/// The fields of a date or time, or of a value with its position.
pub(super) struct Pairs<'de> {
    rest: vec::IntoIter<(&'static str, Part<'de>)>,
    value: Option<Part<'de>>,
}

enum Part<'de> {
    Text(&'de str),
    Offset(usize),
    Node(&'de Node<'de>),
}

impl<'de> Pairs<'de> {
    pub(super) fn datetime(field: &'static str, text: &'de str) -> Self {
        Self::new(vec![(field, Part::Text(text))])
    }

    /// The field names of the start, the end, and the value.
    pub(super) fn spanned(names: [&'static str; 3], node: &'de Node<'de>) -> Self {
        let span = node.original().span;
        let [start, end, value] = names;
        Self::new(vec![
            (start, Part::Offset(span.start())),
            (end, Part::Offset(span.end())),
            (value, Part::Node(node)),
        ])
    }

    fn new(parts: Vec<(&'static str, Part<'de>)>) -> Self {
        Self {
            rest: parts.into_iter(),
            value: None,
        }
    }
}

impl<'de> MapAccess<'de> for Pairs<'de> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        let Some((name, value)) = self.rest.next() else {
            return Ok(None);
        };
        self.value = Some(value);
        seed.deserialize(BorrowedStrDeserializer::new(name))
            .map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        match self.value.take() {
            Some(Part::Text(text)) => seed.deserialize(BorrowedStrDeserializer::new(text)),
            Some(Part::Offset(offset)) => seed.deserialize(offset.into_deserializer()),
            Some(Part::Node(node)) => seed.deserialize(node),
            None => Err(Error::told("a value was taken before its key")),
        }
    }
}
