//! YAML.
//!
//! The tree is built from the events of the parser, which give each part its position and show if a
//! text has quotes.
//!
//! An alias stands for the node of its anchor, which the tree holds once for all aliases. A value
//! that is made of the tree has a copy for each, though, and copies multiply if the repeated part
//! itself has aliases. What all aliases together repeat is therefore bounded: each node counts, and
//! each byte of a text.

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Tag};
use serde::de::DeserializeOwned;

use super::tree::{Entry, Error, MAX_DEPTH, Node, Plain, Segment, Span, Value};
use super::{Problem, document};

mod merge;

/// The most that aliases may repeat: the bytes of texts, and [`NODE`] for each node.
const MAX_REPEATED: usize = 16 << 20;

/// The cost of a repeated node, about its size in memory.
const NODE: usize = 32;

pub(in crate::file) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = document(bytes)?;
    let root = Reader::new(text).document();
    let root = root.map_err(|error| error.problem(text, None))?;
    super::value(text, &root)
}

struct Reader<'a> {
    events: Parser<'a, granit_parser::StrInput<'a>>,
    anchors: HashMap<usize, Anchor<'a>>,
    repeated: usize,
}

/// The node that an alias stands for.
struct Anchor<'a> {
    node: Rc<Node<'a>>,
    size: Size,
}

/// The size of a part of the tree, including what aliases repeat in it.
#[derive(Clone, Copy, Default)]
struct Size {
    bytes: usize,
    depth: usize,
}

impl Size {
    fn add(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.depth = self.depth.max(other.depth);
    }
}

/// An event of the parser, its span, and the start of its span with the tag.
struct Step<'a> {
    event: Event<'a>,
    span: Span,
    start: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        let options = granit_parser::options! {
            // As libyaml and most others do.
            block_scalar_eof_without_line_feed: true,
            emit_comments: false,
            flow_nesting_limit: MAX_DEPTH,
            block_nesting_limit: MAX_DEPTH,
        };
        Self {
            events: Parser::new_from_str_with_options(text, options),
            anchors: HashMap::new(),
            repeated: 0,
        }
    }

    /// Reads the only document of a text. An empty text is an empty document.
    fn document(mut self) -> Result<Node<'a>, Error> {
        let mut root = None;
        loop {
            let step = self.next()?;
            match step.event {
                Event::StreamEnd => break,
                Event::DocumentStart(..) if root.is_some() => {
                    let message = "a second document begins here; a file may have one";
                    return Err(Error::syntax(message).at(step.span));
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                _ => root = Some(self.node(step, 0)?.0),
            }
        }
        let empty = || Node::new(Span::new(0, 0), Value::Plain(Cow::Borrowed("")));
        Ok(root.unwrap_or_else(empty))
    }

    fn next(&mut self) -> Result<Step<'a>, Error> {
        match self.events.next_event() {
            Some(Ok((event, span))) => {
                let bytes = span.byte_range().unwrap_or_default();
                let tag = span.tag_start().and_then(|tag| tag.byte_offset());
                Ok(Step {
                    event,
                    span: Span::new(bytes.start, bytes.end),
                    start: tag.unwrap_or(bytes.start),
                })
            }
            Some(Err(error)) => Err(refused(&error)),
            None => Err(Error::syntax("unexpected end")),
        }
    }

    /// Reads the node that begins with this event.
    fn node(&mut self, step: Step<'a>, depth: usize) -> Result<(Node<'a>, Size), Error> {
        let Step { event, span, start } = step;
        let mut size = Size {
            bytes: NODE,
            depth: 0,
        };
        let (node, anchor) = match event {
            Event::Alias(id) => return self.alias(id, depth, span),
            Event::Scalar(text, style, anchor, tag) => {
                // The parser reports a plain scalar without a text as `~`.
                let is_empty = style == ScalarStyle::Plain && span.start() == span.end();
                let text = if is_empty { Cow::Borrowed("") } else { text };
                size.bytes += text.len();
                let node = Node::new(span, scalar(text, style, tag.as_deref(), span)?);
                (tagged(node, tag.as_deref(), start), anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                super::check_depth(depth + 1, span)?;
                let (items, end) = self.items(depth + 1, &mut size)?;
                let span = Span::new(span.start(), end.end());
                (
                    tagged(Node::new(span, Value::Array(items)), tag.as_deref(), start),
                    anchor,
                )
            }
            Event::MappingStart(_, anchor, tag) => {
                super::check_depth(depth + 1, span)?;
                let (entries, end) = self.entries(depth + 1, &mut size)?;
                let span = Span::new(span.start(), end.end());
                (
                    tagged(merge::table(span, entries)?, tag.as_deref(), start),
                    anchor,
                )
            }
            _ => return Err(Error::syntax("no value where one is expected").at(span)),
        };
        match anchor {
            0 => Ok((node, size)),
            id => Ok((self.anchored(id, node, size), size)),
        }
    }

    fn items(&mut self, depth: usize, size: &mut Size) -> Result<(Vec<Node<'a>>, Span), Error> {
        let mut items = Vec::new();
        let mut inner = Size::default();
        loop {
            let step = self.next()?;
            if step.event == Event::SequenceEnd {
                inner.depth += 1;
                size.add(inner);
                return Ok((items, step.span));
            }
            let item = self.node(step, depth);
            let (item, size) = item.map_err(|error| error.below(Segment::Index(items.len())))?;
            inner.add(size);
            items.push(item);
        }
    }

    fn entries(&mut self, depth: usize, size: &mut Size) -> Result<(Vec<Entry<'a>>, Span), Error> {
        let mut entries = Vec::new();
        let mut inner = Size::default();
        loop {
            let step = self.next()?;
            if step.event == Event::MappingEnd {
                inner.depth += 1;
                size.add(inner);
                return Ok((entries, step.span));
            }
            let (key, size) = self.node(step, depth)?;
            if let Value::Array(_) | Value::Table(_) = key.untagged().value {
                let message = "a key is a text, a number, a boolean or null, not a list or a map";
                return Err(Error::told(message).at(key.span));
            }
            inner.add(size);
            let step = self.next()?;
            let value = self.node(step, depth);
            let (value, size) = value.map_err(|error| error.below(Segment::key(&key)))?;
            inner.add(size);
            if merge::is_merge(&key) {
                // `merge::table` may copy it.
                self.repeat(size, key.span)?;
            }
            entries.push(Entry { key, value });
        }
    }

    fn anchored(&mut self, id: usize, node: Node<'a>, size: Size) -> Node<'a> {
        let span = node.span;
        let node = Rc::new(node);
        let shared = Value::Shared(Rc::clone(&node));
        self.anchors.insert(id, Anchor { node, size });
        Node::new(span, shared)
    }

    fn alias(&mut self, id: usize, depth: usize, span: Span) -> Result<(Node<'a>, Size), Error> {
        // The parser knows an anchor from its beginning, the reader from the end of its node.
        let Some(anchor) = self.anchors.get(&id) else {
            return Err(Error::told("an alias inside of what it stands for").at(span));
        };
        super::check_depth(depth + anchor.size.depth, span)?;
        let (shared, size) = (Value::Shared(Rc::clone(&anchor.node)), anchor.size);
        self.repeat(size, span)?;
        Ok((Node::new(span, shared), size))
    }

    fn repeat(&mut self, size: Size, span: Span) -> Result<(), Error> {
        self.repeated = self.repeated.saturating_add(size.bytes);
        if self.repeated > MAX_REPEATED {
            let max = MAX_REPEATED >> 20;
            let message = format!("the aliases up to here repeat more than {max} MiB of the file");
            return Err(Error::told(message).at(span));
        }
        Ok(())
    }
}

/// Converts the parser's error. Its messages are literals except one, which quotes a character.
fn refused(error: &ScanError) -> Error {
    let refused = match error.kind() {
        ErrorKind::RecursionLimitExceeded => super::too_deep(),
        ErrorKind::UnexpectedCharacter { .. } => Error::syntax("unexpected character"),
        kind => Error::syntax(kind.to_string()),
    };
    let offset = error.marker().byte_offset().unwrap_or(0);
    refused.at(Span::new(offset, offset))
}

fn tagged<'a>(node: Node<'a>, tag: Option<&Tag>, start: usize) -> Node<'a> {
    match tag.and_then(variant) {
        Some(name) => {
            let span = Span::new(start, node.span.end());
            Node::new(span, Value::Tagged(Box::new((name, node))))
        }
        None => node,
    }
}

/// The name of the variant in a tag of the user's own.
fn variant<'a>(tag: &Tag) -> Option<Cow<'a, str>> {
    let name = match tag.handle() {
        "!" => Some(tag.suffix()),
        "" => tag.suffix().strip_prefix('!'),
        _ => None,
    };
    let name = name.filter(|name| !name.is_empty());
    name.map(|name| Cow::Owned(name.to_owned()))
}

/// The value of a scalar, typed by its tag if it has one.
fn scalar<'a>(
    text: Cow<'a, str>,
    style: ScalarStyle,
    tag: Option<&Tag>,
    span: Span,
) -> Result<Value<'a>, Error> {
    let plain = |text| match style {
        ScalarStyle::Plain => Value::Plain(text),
        _ => Value::String(text),
    };
    let Some(tag) = tag.filter(|tag| variant(tag).is_none()) else {
        return Ok(plain(text));
    };
    let (expected, value) = match (tag.core_suffix(), Plain::of(&text)) {
        (Some("null"), Plain::Null) => return Ok(Value::Null),
        (Some("null"), _) => ("null", None),
        (Some("bool"), Plain::Bool(truth)) => return Ok(Value::Bool(truth)),
        (Some("bool"), _) => ("a boolean", None),
        (Some("int"), Plain::Integer(number)) => return Ok(Value::Integer(number)),
        (Some("int"), _) => ("an integer", None),
        (Some("float"), Plain::Float(number)) => return Ok(Value::Float(number)),
        (Some("float"), Plain::Integer(number)) => {
            ("a float", number.to_string().parse().ok().map(Value::Float))
        }
        (Some("float"), _) => ("a float", None),
        _ => return Ok(Value::String(text)),
    };
    value.ok_or_else(|| Error::told(format!("invalid value, expected {expected}")).at(span))
}
