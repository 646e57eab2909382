//! Deserialization of the tree.

use serde::de::{Deserializer, Error as _, Unexpected, Visitor};

use super::access::{Elements, Entries, Pairs};
use super::error::DATE;
use super::variant::Variant;
use super::{Error, Integer, Node, Value, plain};

/// The name by which `toml` asks for a date or time, and the field in which a type that takes
/// anything gets one.
const DATETIME: (&str, &str) = ("$__toml_private_Datetime", "$__toml_private_datetime");

/// The name by which `serde_spanned` asks for a value and its position.
const SPANNED: &str = "$__serde_spanned_private_Spanned";

impl<'de> Node<'de> {
    /// The node without its tag, which has no meaning where the type is known.
    pub(in crate::file::format) fn untagged(&'de self) -> &'de Self {
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

    /// The value for a type that asks for it: no tag, and no date or time, which is a map only for a
    /// type that takes anything.
    pub(super) fn typed<V: Visitor<'de>>(&'de self, visitor: V) -> Result<V::Value, Error> {
        let node = self.untagged();
        match &node.value {
            Value::Datetime(_) => {
                let found = Unexpected::Other(DATE);
                node.places(Err(Error::invalid_type(found, &visitor)))
            }
            _ => node.deserialize_any(visitor),
        }
    }

    fn text<V: Visitor<'de>>(&'de self, visitor: V) -> Result<V::Value, Error> {
        let node = self.untagged();
        match &node.value {
            Value::String(text) | Value::Plain(text) => {
                node.places(visitor.visit_borrowed_str(text))
            }
            _ => node.typed(visitor),
        }
    }

    fn bytes<V: Visitor<'de>>(&'de self, visitor: V) -> Result<V::Value, Error> {
        let node = self.untagged();
        match &node.value {
            Value::String(text) | Value::Plain(text) => {
                node.places(visitor.visit_borrowed_bytes(text.as_bytes()))
            }
            _ => node.list(visitor),
        }
    }

    fn list<V: Visitor<'de>>(&'de self, visitor: V) -> Result<V::Value, Error> {
        let node = self.untagged();
        match node.is_void() {
            true => node.places(Elements::visit([].iter(), visitor)),
            false => node.typed(visitor),
        }
    }

    fn map<V: Visitor<'de>>(&'de self, visitor: V) -> Result<V::Value, Error> {
        let node = self.untagged();
        match node.is_void() {
            true => node.places(Entries::visit(&[], visitor)),
            false => node.typed(visitor),
        }
    }

    fn unit<V: Visitor<'de>>(&'de self, visitor: V) -> Result<V::Value, Error> {
        let node = self.untagged();
        match node.is_null() {
            true => node.places(visitor.visit_unit()),
            false => node.typed(visitor),
        }
    }

    /// An integer of 128 bits. Those of JSON that are floats for other types are exact here.
    fn wide<V: Visitor<'de>>(&'de self, visitor: V) -> Result<V::Value, Error> {
        let node = self.untagged();
        match &node.value {
            Value::Wide(wide) => node.places(wide.0.visit(visitor)),
            _ => node.typed(visitor),
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
            None => node.typed(visitor),
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

macro_rules! visit {
    ($($method:ident: $shape:ident,)*) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.$shape(visitor)
        }
    )* };
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
            Value::Array(items) => Elements::visit(items.iter(), visitor),
            Value::Table(entries) => Entries::visit(entries, visitor),
            Value::Tagged(tagged) => visitor.visit_enum(Variant::new(&tagged.0, Some(&tagged.1))),
            Value::Shared(node) => return node.deserialize_any(visitor),
        };
        self.places(value)
    }

    visit! {
        deserialize_bool: typed, deserialize_i8: typed, deserialize_i16: typed,
        deserialize_i32: typed, deserialize_i64: typed, deserialize_i128: wide,
        deserialize_u8: typed, deserialize_u16: typed, deserialize_u32: typed,
        deserialize_u64: typed, deserialize_u128: wide, deserialize_f32: float,
        deserialize_f64: float, deserialize_char: text, deserialize_str: text,
        deserialize_string: text, deserialize_identifier: text, deserialize_bytes: bytes,
        deserialize_byte_buf: bytes, deserialize_unit: unit, deserialize_seq: list,
        deserialize_map: map,
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = match self.original().is_null() {
            true => visitor.visit_none(),
            false => visitor.visit_some(self),
        };
        self.original().places(value)
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
}

const ONE_VARIANT: &str = "invalid length: a map, expected one key, which is the name of a variant";
