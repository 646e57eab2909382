//! JSON.

use std::borrow::Cow;

use serde::de::{Deserialize, DeserializeOwned, IgnoredAny};

use super::tree::{Entry, Error, Integer, Node, Segment, Span, Value};
use super::{MARK, Position, Problem, document};

pub(in crate::file) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = document(bytes)?;
    let json = text.strip_prefix(MARK).unwrap_or(text);
    check(json)?;
    let mut reader = Reader {
        text,
        at: text.len() - json.len(),
    };
    let root = reader.value(0).map_err(|error| error.problem(text, None))?;
    super::value(text, &root)
}

/// Rejects text that is not JSON. The [`Reader`] relies on that.
fn check(text: &str) -> Result<(), Problem> {
    let mut json = serde_json::Deserializer::from_str(text);
    let checked = IgnoredAny::deserialize(&mut json).and_then(|_| json.end());
    checked.map_err(|error| Problem {
        position: Position::of_byte_column(text, error.line(), error.column()),
        key: None,
        // In invalid JSON, keys cannot be distinguished from values.
        message: without_place(&error),
        full: None,
    })
}

/// The message without its position. serde_json's messages about syntax are literals.
fn without_place(error: &serde_json::Error) -> String {
    let full = error.to_string();
    let suffix = format!(" at line {} column {}", error.line(), error.column());
    full.strip_suffix(&suffix).unwrap_or(&full).to_owned()
}

/// Splits valid JSON into nodes. serde_json decodes escaped strings and floats.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Node<'a>, Error> {
        self.skip_whitespace();
        let start = self.at;
        let value = match self.peek() {
            b'{' => {
                let entries = self.entries(depth + 1)?;
                return Node::table(Span::new(start, self.at), entries);
            }
            b'[' => Value::Array(self.items(depth + 1)?),
            b'"' => Value::String(self.string()?),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'n' => self.word("null", Value::Null),
            _ => self.number()?,
        };
        Ok(Node::new(Span::new(start, self.at), value))
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<Entry<'a>>, Error> {
        let mut entries = Vec::new();
        self.open(depth)?;
        while !self.closes(b'}') {
            let start = self.at;
            let key = Value::String(self.string()?);
            let key = Node::new(Span::new(start, self.at), key);
            self.skip_whitespace();
            self.at += ":".len();
            let value = self.value(depth);
            let value = value.map_err(|error| error.below(Segment::key(&key)))?;
            entries.push(Entry { key, value });
        }
        Ok(entries)
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Node<'a>>, Error> {
        let mut items = Vec::new();
        self.open(depth)?;
        while !self.closes(b']') {
            let item = self.value(depth);
            items.push(item.map_err(|error| error.below(Segment::Index(items.len())))?);
        }
        Ok(items)
    }

    fn open(&mut self, depth: usize) -> Result<(), Error> {
        super::check_depth(depth, Span::new(self.at, self.at))?;
        self.at += 1;
        Ok(())
    }

    /// Moves to the next element, or behind the closing bracket. Returns `true` at the end.
    fn closes(&mut self, bracket: u8) -> bool {
        self.skip_whitespace();
        if self.peek() == b',' {
            self.at += 1;
            self.skip_whitespace();
        }
        let closes = self.peek() == bracket || self.at >= self.text.len();
        self.at += usize::from(closes);
        closes
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Error> {
        let start = self.at;
        let mut rest = self.text.as_bytes()[start + 1..].iter();
        let mut is_escaped = false;
        while let Some(byte) = rest.next() {
            match byte {
                b'"' => break,
                b'\\' => {
                    is_escaped = true;
                    rest.next();
                }
                _ => {}
            }
        }
        self.at = self.text.len() - rest.len();
        let quoted = &self.text[start..self.at];
        if !is_escaped {
            return Ok(Cow::Borrowed(quoted.trim_matches('"')));
        }
        let place = |error: &serde_json::Error| start + error.column().saturating_sub(1);
        serde_json::from_str(quoted).map(Cow::Owned).map_err(|e| {
            let place = place(&e);
            Error::syntax(without_place(&e)).at(Span::new(place, place))
        })
    }

    fn number(&mut self) -> Result<Value<'a>, Error> {
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        let is_part = |byte: &&u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
        self.at += rest.iter().take_while(is_part).count();
        let number = &self.text[start..self.at];
        let integer = Integer::of_digits(number, 10);
        match integer {
            Some(integer @ (Integer::I64(_) | Integer::U64(_))) if number != "-0" => {
                return Ok(Value::Integer(integer));
            }
            _ => {}
        }
        let float = serde_json::from_str(number)
            .map_err(|error| Error::syntax(without_place(&error)).at(Span::new(start, self.at)))?;
        Ok(match integer {
            Some(integer) => Value::Wide(Box::new((integer, float))),
            None => Value::Float(float),
        })
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Value<'a> {
        self.at += word.len();
        value
    }

    fn skip_whitespace(&mut self) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        self.at += rest
            .iter()
            .take_while(|byte| b" \n\t\r".contains(byte))
            .count();
    }

    /// The next byte, or 0 at the end.
    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }
}
