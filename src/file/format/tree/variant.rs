//! Enum variants and their contents.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, Unexpected, VariantAccess, Visitor,
};

use super::access::Elements;
use super::{Entry, Error, Node, Segment, Span, Value};

/// The name of a variant, and its contents, if any.
pub(super) struct Variant<'de> {
    name: &'de str,
    /// The position of the name, if it differs from that of the node.
    place: Option<Span>,
    value: Option<&'de Node<'de>>,
}

impl<'de> Variant<'de> {
    pub(super) fn new(name: &'de str, value: Option<&'de Node<'de>>) -> Self {
        Self {
            name,
            place: None,
            value,
        }
    }

    /// The variant whose name is a key.
    pub(super) fn of(entry: &'de Entry<'de>) -> Result<Self, Error> {
        let key = entry.key.original();
        match &key.value {
            Value::String(name) | Value::Plain(name) => Ok(Self {
                name,
                place: Some(entry.key.span),
                value: Some(&entry.value),
            }),
            _ => Err(key.refused("the name of a variant")),
        }
    }

    /// Returns the contents, or an error if there is only a name.
    fn contents(&self, expected: &str) -> Result<&'de Node<'de>, Error> {
        let missing = || Error::invalid_type(Unexpected::UnitVariant, &expected);
        self.value.ok_or_else(missing)
    }

    fn inside(&self, error: Error) -> Error {
        match self.value {
            Some(value) => error.at(value.original().span).below(self.segment()),
            None => error,
        }
    }

    fn segment(&self) -> Segment {
        Segment::Key(self.name.to_owned())
    }
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        let name = BorrowedStrDeserializer::<Error>::new(self.name);
        match (seed.deserialize(name), self.place) {
            (Ok(variant), _) => Ok((variant, self)),
            (Err(error), Some(place)) => Err(error.at(place)),
            (Err(error), None) => Err(error),
        }
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        let Some(node) = self.value.map(Node::original) else {
            return Ok(());
        };
        let is_nothing = match &node.value {
            Value::Array(items) => items.is_empty(),
            Value::Table(entries) => entries.is_empty(),
            _ => node.is_null(),
        };
        match is_nothing {
            true => Ok(()),
            false => Err(self.inside(node.refused("nothing in this variant"))),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        let node = self.contents("newtype variant")?;
        seed.deserialize(node).map_err(|error| self.inside(error))
    }

    /// Takes a list, or a map with the positions as keys, as in TOML.
    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        let node = self.contents("tuple variant")?;
        let is_at = |(index, entry): (usize, &Entry<'_>)| entry.key.name() == index.to_string();
        let value = match &node.original().value {
            Value::Table(entries) if entries.iter().enumerate().all(is_at) => {
                Elements::visit(entries.iter().map(|entry| &entry.value), visitor)
            }
            _ => node.deserialize_tuple(length, visitor),
        };
        value.map_err(|error| self.inside(error))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let node = self.contents("struct variant")?;
        let value = node.deserialize_struct("", fields, visitor);
        value.map_err(|error| self.inside(error))
    }
}
