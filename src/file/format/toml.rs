//! TOML.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};

use super::tree::{Entry, Error, Integer, Node, Segment, Span, Value};
use super::{Problem, document};

pub(in crate::file) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = document(bytes)?;
    let table = DeTable::parse(text).map_err(|error| refused(text, &error))?;
    let span = Span::new(table.span().start, table.span().end);
    let root = entries(table.into_inner(), 1, span)
        .and_then(|entries| Node::table(span, entries))
        .map_err(|error| error.problem(text, None))?;
    super::value(text, &root)
}

/// Converts the parser's error. Its message is a literal; only its `Display` adds the line from the
/// file.
fn refused(text: &str, error: &toml::de::Error) -> Problem {
    let message = error.message();
    let span = error.span();
    let duplicate = span.clone().filter(|_| message == "duplicate key");
    let path = duplicate.and_then(|span| path_of_key(text, span));
    let refused = match (message, path) {
        (_, Some(path)) => path.into_iter().fold(Error::told(message), Error::below),
        // Of values and of keys. The parser's limit is lower than that of the tree.
        ("cannot recurse further; max recursion depth met" | "recursion limit", None) => {
            Error::syntax("nested too deeply")
        }
        (_, None) => Error::syntax(message),
    };
    let refused = match span {
        Some(span) => refused.at(Span::new(span.start, span.end)),
        None => refused,
    };
    refused.problem(text, None)
}

fn entries<'a>(table: DeTable<'a>, depth: usize, span: Span) -> Result<Vec<Entry<'a>>, Error> {
    super::check_depth(depth, span)?;
    table
        .into_iter()
        .map(|(key, value)| {
            let span = Span::new(key.span().start, key.span().end);
            let key = Node::new(span, Value::String(key.into_inner()));
            let place = Span::new(value.span().start, value.span().end);
            match node(value.into_inner(), depth, place) {
                Ok(value) => Ok(Entry { key, value }),
                Err(error) => Err(error.below(Segment::key(&key))),
            }
        })
        .collect()
}

fn node<'a>(value: DeValue<'a>, depth: usize, span: Span) -> Result<Node<'a>, Error> {
    let value = match value {
        DeValue::String(text) => Value::String(text),
        DeValue::Integer(number) => {
            let text = number.as_str();
            let digits = text.strip_prefix('+').unwrap_or(text);
            let number = Integer::of_digits(digits, number.radix());
            Value::Integer(number.ok_or_else(|| overflow("integer number", span))?)
        }
        DeValue::Float(number) => {
            let text = number.as_str();
            let number = text.parse().ok();
            let number = number.filter(|n: &f64| !n.is_infinite() || text.contains("inf"));
            Value::Float(number.ok_or_else(|| overflow("floating-point number", span))?)
        }
        DeValue::Boolean(truth) => Value::Bool(truth),
        DeValue::Datetime(time) => Value::Datetime(time.to_string().into()),
        DeValue::Array(items) => {
            super::check_depth(depth + 1, span)?;
            let items = items.into_iter().enumerate().map(|(index, item)| {
                let span = Span::new(item.span().start, item.span().end);
                let node = node(item.into_inner(), depth + 1, span);
                node.map_err(|error| error.below(Segment::Index(index)))
            });
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => return Node::table(span, entries(table, depth + 1, span)?),
    };
    Ok(Node::new(span, value))
}

fn overflow(number: &str, span: Span) -> Error {
    Error::told(format!("{number} overflowed")).at(span)
}

/// The path of the duplicate key at `span`. The key gets a unique name, under which `find` can find
/// it in the tree.
fn path_of_key(text: &str, span: Range<usize>) -> Option<Vec<Segment>> {
    let written = text.get(span.clone())?;
    let alone = format!("{written} = 0");
    let (name, _) = DeTable::parse(&alone)
        .ok()?
        .into_inner()
        .into_iter()
        .next()?;
    let unique = format!("k{:x}", RandomState::new().build_hasher().finish());
    let renamed = format!("{}{unique}{}", &text[..span.start], &text[span.end..]);
    let (table, _) = DeTable::parse_recoverable(&renamed);
    let mut path = Vec::new();
    find(table.get_ref(), &unique, &mut path).then_some(())?;
    path[0] = Segment::Key(name.into_inner().into_owned());
    Some(path)
}

/// Collects the path to the key, the last step first. Returns `true` if the key is found.
fn find(table: &DeTable<'_>, name: &str, path: &mut Vec<Segment>) -> bool {
    for (key, value) in table {
        let found = key.get_ref() == name || find_in(value.get_ref(), name, path);
        if found {
            path.push(Segment::Key(key.get_ref().to_string()));
            return true;
        }
    }
    false
}

fn find_in(value: &DeValue<'_>, name: &str, path: &mut Vec<Segment>) -> bool {
    match value {
        DeValue::Table(table) => find(table, name, path),
        DeValue::Array(items) => items.iter().enumerate().any(|(index, item)| {
            let found = find_in(item.get_ref(), name, path);
            if found {
                path.push(Segment::Index(index));
            }
            found
        }),
        _ => false,
    }
}
