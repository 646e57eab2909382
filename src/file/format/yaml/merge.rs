//! Merge keys: `<<: *defaults`, `<<: [*these, *those]`.
//!
//! Merged entries count as entries of the map, except for keys that the map itself has. Of several
//! merged maps the earlier ones win. <https://yaml.org/type/merge.html>

use std::collections::HashSet;
use std::rc::Rc;

use super::super::tree::{Entry, Error, Node, Segment, Span, Value};

/// The map of these entries, with its merge keys applied.
pub(super) fn table<'a>(span: Span, entries: Vec<Entry<'a>>) -> Result<Node<'a>, Error> {
    let merges = |entry: &Entry<'_>| is_merge(&entry.key);
    if !entries.iter().any(merges) {
        return Node::table(span, entries);
    }
    // With the merge keys, so that a duplicate merge key is rejected.
    let Value::Table(entries) = Node::table(span, entries)?.value else {
        unreachable!("a table is made of entries");
    };
    let (merges, mut own): (Vec<_>, Vec<_>) = entries.into_iter().partition(merges);
    let mut known: HashSet<_> = own
        .iter()
        .map(|entry| entry.key.key_text().into_owned())
        .collect();
    for merge in merges {
        let key = Segment::key(&merge.key);
        for map in maps(merge.value).map_err(|error| error.below(key))? {
            for entry in map {
                if known.insert(entry.key.key_text().into_owned()) {
                    own.push(entry);
                }
            }
        }
    }
    Ok(Node::new(span, Value::Table(own)))
}

/// Returns `true` if the value of this key is merged.
pub(super) fn is_merge(key: &Node<'_>) -> bool {
    matches!(&key.value, Value::Plain(key) if key == "<<")
}

fn maps(value: Node<'_>) -> Result<Vec<Vec<Entry<'_>>>, Error> {
    let value = own(value);
    match value.value {
        Value::Array(items) => items.into_iter().map(map).collect(),
        _ => Ok(vec![map(value)?]),
    }
}

fn map(value: Node<'_>) -> Result<Vec<Entry<'_>>, Error> {
    let value = own(value);
    match value.value {
        Value::Table(entries) => Ok(entries),
        _ => {
            let message = "a merge key (`<<`) takes a map or a list of maps";
            Err(Error::told(message).at(value.span))
        }
    }
}

/// The node, as a copy if the tree shares it.
fn own(mut node: Node<'_>) -> Node<'_> {
    while let Value::Shared(shared) = node.value {
        node = Rc::unwrap_or_clone(shared);
    }
    node
}
