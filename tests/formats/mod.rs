//! Reading a text in each format.
#![allow(dead_code, reason = "no test uses all of it")]

use std::fmt;
use std::fs;
use std::time::Duration;

use rekindle::file::{self, Error, File};
use rekindle::{Reading, Source};
use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Format {
    Json,
    Toml,
    Yaml,
}

pub(crate) use Format::{Json, Toml, Yaml};

/// The value of a file with these contents, or why it is refused.
pub(crate) fn read<T>(format: Format, contents: &str) -> Result<T, String>
where
    T: DeserializeOwned + Send + Sync + 'static,
{
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.conf");
    fs::write(&path, contents).unwrap();
    let file: File<T> = match format {
        Json => file::json(path),
        Toml => file::toml(path),
        Yaml => file::yaml(path),
    };
    let file = file.quiet(Duration::ZERO);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    match runtime.block_on(file.read(None)) {
        Ok(Reading::Stamped(value, _)) => Ok(value),
        Ok(_) => unreachable!("nothing is committed"),
        Err(error) => {
            let error = error.downcast::<Error>().unwrap().to_string();
            Err(error.split_once("app.conf").unwrap().1.to_owned())
        }
    }
}

pub(crate) fn refused<T>(format: Format, contents: &str) -> String
where
    T: DeserializeOwned + Send + Sync + 'static,
{
    match read::<T>(format, contents) {
        Ok(_) => panic!("accepted as {format:?}: {:.200}", contents),
        Err(error) => error,
    }
}

/// As `serde_bytes` does it.
#[derive(Debug)]
pub(crate) struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<Bytes, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = seq.next_element()? {
                    bytes.push(byte);
                }
                Ok(Bytes(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Any)
    }
}
