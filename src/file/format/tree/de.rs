//! Deserialization of the tree.

use serde::de::{Deserializer, Error as _, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use super::access::{Elements, Empty, Entries, Pairs};
use super::variant::Variant;
use super::{Error, Integer, Node, Value, plain};

/// The name by which `toml` asks for a date or time, and the field in which a type that takes
/// anything gets one.
const DATETIME: (&str, &str) = ("$__toml_private_Datetime", "$__toml_private_datetime");

/// The name by which `serde_spanned` asks for a value and its position.
const SPANNED: &str = "$__serde_spanned_private_Spanned";

impl<'de> Node<'de> {
    /// The node without its tag, which has no meaning where the type is known.
    fn untagged(&'de self) -> &'de Self {
        match &self.original().value {
            Value::Tagged(tagged) => tagged.1.untagged(),
            _ => self.original(),
        }
    }

    /// Sets the position of an error to this node, unless a part of the node has it.
    fn places<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        result.map_err(|error| error.at(self.span))
    }

    pub(super) fn is_null(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::Plain(text) => text.is_empty() || plain::is_null(text),
            _ => false,
        }
    }

    /// Returns `true` for a key without a value, which can be null, an empty list or an empty map.
    fn is_void(&self) -> bool {
        matches!(&self.value, Value::Plain(text) if text.is_empty())
    }

    pub(super) fn refused(&self, expected: &str) -> Error {
        let unexpected = match &self.value {
            Value::Array(_) => Unexpected::Seq,
            Value::Table(_) => Unexpected::Map,
            Value::String(text) | Value::Plain(text) => Unexpected::Str(text),
            Value::Bool(truth) => Unexpected::Bool(*truth),
            Value::Integer(Integer::I64(number)) => Unexpected::Signed(*number),
            Value::Integer(Integer::U64(number)) => Unexpected::Unsigned(*number),
            Value::Float(number) => Unexpected::Float(*number),
            Value::Null => Unexpected::Unit,
            _ => Unexpected::Other("another kind of value"),
        };
        Error::invalid_type(unexpected, &expected).at(self.span)
    }

    fn text<V: Visitor<'de>>(&'de self, visitor: V) -> Result<V::Value, Error> {
        let node = self.untagged();
        match &node.value {
            Value::String(text) | Value::Plain(text) => {
                node.places(visitor.visit_borrowed_str(text))
            }
            _ => node.deserialize_any(visitor),
        }
    }

    fn list<V: Visitor<'de>>(&'de self, visitor: V) -> Result<V::Value, Error> {
        let node = self.untagged();
        match node.is_void() {
            true => node.places(visitor.visit_seq(Empty)),
            false => node.deserialize_any(visitor),
        }
    }

    fn map<V: Visitor<'de>>(&'de self, visitor: V) -> Result<V::Value, Error> {
        let node = self.untagged();
        match node.is_void() {
            true => node.places(visitor.visit_map(Empty)),
            false => node.deserialize_any(visitor),
        }
    }

    fn unit<V: Visitor<'de>>(&'de self, visitor: V) -> Result<V::Value, Error> {
        let node = self.untagged();
        match node.is_null() {
            true => node.places(visitor.visit_unit()),
            false => node.deserialize_any(visitor),
        }
    }

    /// An integer of 128 bits. JSON's of more than 64 bits are exact here and floats elsewhere.
    fn wide<V: Visitor<'de>>(&'de self, visitor: V) -> Result<V::Value, Error> {
        let node = self.untagged();
        match &node.value {
            Value::Wide(wide) => node.places(wide.0.visit(visitor)),
            _ => node.deserialize_any(visitor),
        }
    }

    fn float<V: Visitor<'de>>(&'de self, visitor: V) -> Result<V::Value, Error> {
        let node = self.untagged();
        let number = match &node.value {
            Value::Plain(text) => plain::float(text),
            _ => None,
        };
        match number {
            Some(number) => node.places(visitor.visit_f64(number)),
            None => node.deserialize_any(visitor),
        }
    }
}

impl Integer {
    pub(super) fn visit<'de, V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::I64(number) => visitor.visit_i64(*number),
            Self::U64(number) => visitor.visit_u64(*number),
            Self::I128(number) => visitor.visit_i128(**number),
            Self::U128(number) => visitor.visit_u128(**number),
        }
    }
}

fn visit_plain<'de, V: Visitor<'de>>(text: &'de str, visitor: V) -> Result<V::Value, Error> {
    match plain::Plain::of(text) {
        plain::Plain::Null => visitor.visit_unit(),
        plain::Plain::Bool(truth) => visitor.visit_bool(truth),
        plain::Plain::Integer(number) => number.visit(visitor),
        plain::Plain::Float(number) => visitor.visit_f64(number),
        plain::Plain::Text => visitor.visit_borrowed_str(text),
    }
}

impl<'de> Deserializer<'de> for &'de Node<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(truth) => visitor.visit_bool(*truth),
            Value::Integer(number) => number.visit(visitor),
            Value::Wide(wide) => visitor.visit_f64(wide.1),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Plain(text) => visit_plain(text, visitor),
            Value::Datetime(text) => visitor.visit_map(Pairs::datetime(DATETIME.1, text)),
            Value::Array(items) => Elements::visit(items, visitor),
            Value::Table(entries) => Entries::visit(entries, visitor),
            Value::Tagged(tagged) => visitor.visit_enum(Variant::new(&tagged.0, Some(&tagged.1))),
            Value::Shared(node) => return node.deserialize_any(visitor),
        };
        self.places(value)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.float(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.float(visitor)
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.wide(visitor)
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.wide(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.untagged().deserialize_any(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.text(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.text(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.text(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.text(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let node = self.untagged();
        match &node.value {
            Value::String(text) | Value::Plain(text) => {
                node.places(visitor.visit_borrowed_bytes(text.as_bytes()))
            }
            _ => node.list(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = match self.original().is_null() {
            true => visitor.visit_none(),
            false => visitor.visit_some(self),
        };
        self.original().places(value)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.unit(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let value = visitor.visit_newtype_struct(self);
        self.original().places(value)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.list(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.list(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.map(visitor)
    }

    /// Rejects a list: serde's visitors of structs take it field by field, which no configuration
    /// file should mean.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let node = self.untagged();
        let value = match (&node.value, fields) {
            (_, [start, end, value]) if name == SPANNED => {
                visitor.visit_map(Pairs::spanned([start, end, value], self))
            }
            (Value::Datetime(text), [field]) if name == DATETIME.0 => {
                visitor.visit_map(Pairs::datetime(field, text))
            }
            (Value::Array(_), _) => Err(Error::invalid_type(Unexpected::Seq, &visitor)),
            _ => node.map(visitor),
        };
        node.places(value)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let node = self.original();
        let variant = match &node.value {
            Value::String(name) | Value::Plain(name) => Variant::new(name, None),
            Value::Tagged(tagged) => Variant::new(&tagged.0, Some(&tagged.1)),
            Value::Table(entries) => match &entries[..] {
                [entry] => Variant::of(entry)?,
                _ => return Err(Error::told(ONE_VARIANT).at(node.span)),
            },
            _ => return Err(node.refused("the name of a variant, or a map with that as its key")),
        };
        node.places(visitor.visit_enum(variant))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { i8 i16 i32 i64 u8 u16 u32 u64 }
}

const ONE_VARIANT: &str = "invalid length: a map, expected one key, which is the name of a variant";

impl<'de> IntoDeserializer<'de, Error> for &'de Node<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
