//! Finds the place of a value in a YAML document by its keys.
//!
//! The library knows the place of a value only while it reads that value. An error that comes later,
//! as from every `Deserialize` that first takes a string and then looks at it, is given the place of
//! the mapping around it, which may be many lines above. So the document is read once more, by a
//! visitor that goes down along the keys and fails at the value.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_path_to_error::{Path, Segment};

use super::{Position, position};

/// Where the value is to which `path` leads.
pub(super) fn seek(text: &str, path: &Path) -> Option<Position> {
    let path: Vec<_> = path.iter().collect();
    let deserializer = yaml_serde::Deserializer::from_str(text);
    Seek(&path)
        .deserialize(deserializer)
        .err()
        .as_ref()
        .and_then(position)
}

/// The keys that are still to go. It always fails: where it arrives, or where the way ends.
struct Seek<'a>(&'a [&'a Segment]);

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// The methods that are not here fail, which is what has to happen at a value that has no parts.
impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        if let Some((Segment::Seq { index }, rest)) = self.0.split_first() {
            for _ in 0..*index {
                elements.next_element::<IgnoredAny>()?;
            }
            elements.next_element_seed(Seek(rest))?;
        }
        Err(A::Error::custom("here"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        if let Some((Segment::Map { key }, rest)) = self.0.split_first() {
            while let Some(found) = entries.next_key::<String>()? {
                if found == *key {
                    entries.next_value_seed(Seek(rest))?;
                } else {
                    entries.next_value::<IgnoredAny>()?;
                }
            }
        }
        Err(A::Error::custom("here"))
    }
}
