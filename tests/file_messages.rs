//! Messages of types: those that are literals are shown, others only where the app allows it.
#![cfg(all(feature = "json", feature = "toml", feature = "yaml"))]

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::str::FromStr;
use std::time::Duration;

use rekindle::file::{self, Contents, Error, Includes};
use rekindle::{BoxError, Source};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use tempfile::TempDir;

const SECRET: &str = "hunter2";

const WITHHELD: &str =
    "the value was refused by its type (the message is withheld because it may contain the value)";

fn directory(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, contents) in files {
        fs::write(dir.path().join(name), contents).unwrap();
    }
    dir
}

/// Why the source refuses what it reads, without the directory.
async fn error_of<T: Send + Sync + 'static>(source: file::File<T>) -> String {
    let error = source.quiet(Duration::ZERO).read(None).await;
    let error = error.err().expect("it is refused");
    let all = format!("{error} {error:?}");
    let error = error.downcast::<Error>().expect("an error of a file");
    assert_eq!(all.contains(SECRET), error.to_string().contains(SECRET));
    let name = error.path().file_name().unwrap().to_str().unwrap();
    let full = error.to_string();
    full[full.find(name).unwrap()..].to_owned()
}

/// What is said about a value, in each format.
async fn said<T: DeserializeOwned + Send + Sync + 'static>(value: &str) -> String {
    let value = serde_json::to_string(value).unwrap();
    let dir = directory(&[
        ("a.json", &format!("{{\"key\": {value}}}")),
        ("a.toml", &format!("key = {value}")),
        ("a.yaml", &format!("key: {value}")),
    ]);
    let path = |name| dir.path().join(name);
    type Map<T> = BTreeMap<String, T>;
    let json = error_of(file::json::<Map<T>>(path("a.json"))).await;
    let json = json.strip_prefix("a.json:1:9: key: ").expect(&json);
    let toml = error_of(file::toml::<Map<T>>(path("a.toml"))).await;
    assert_eq!(toml, format!("a.toml:1:7: key: {json}"));
    let yaml = error_of(file::yaml::<Map<T>>(path("a.yaml"))).await;
    assert_eq!(yaml, format!("a.yaml:1:6: key: {json}"));
    json.to_owned()
}

/// A type that reads a text with `FromStr`, as `serde_with` and many apps do.
struct Parsed<T>(#[allow(dead_code, reason = "only its type matters")] T);

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// A type that refuses everything with its own text.
struct Says;

impl<'de> Deserialize<'de> for Says {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Err(serde::de::Error::custom(text))
    }
}

/// As `url` says it: the message of its parser is what was expected.
struct Expects;

impl<'de> Deserialize<'de> for Expects {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let unexpected = serde::de::Unexpected::Str("hunter2");
        Err(serde::de::Error::invalid_value(unexpected, &&*text))
    }
}

#[tokio::test]
async fn messages_of_the_parsers_of_std_are_shown() {
    let syntax = |what: &str| format!("invalid {what} syntax");
    assert_eq!(said::<SocketAddr>(SECRET).await, syntax("socket address"));
    assert_eq!(
        said::<SocketAddrV4>(SECRET).await,
        syntax("IPv4 socket address")
    );
    assert_eq!(
        said::<SocketAddrV6>(SECRET).await,
        syntax("IPv6 socket address")
    );
    assert_eq!(said::<IpAddr>("127.0.0").await, syntax("IP address"));
    assert_eq!(said::<Ipv4Addr>("::1").await, syntax("IPv4 address"));
    assert_eq!(said::<Ipv6Addr>("").await, syntax("IPv6 address"));
    for value in ["", "7x", "300", SECRET] {
        assert_eq!(said::<Parsed<u8>>(value).await, shown::<u8>(value));
    }
    assert_eq!(said::<Parsed<i8>>("-300").await, shown::<i8>("-300"));
    type NonZero = std::num::NonZeroU8;
    assert_eq!(said::<Parsed<NonZero>>("0").await, shown::<NonZero>("0"));
    for value in ["", SECRET] {
        assert_eq!(said::<Parsed<f32>>(value).await, shown::<f32>(value));
        assert_eq!(said::<Parsed<bool>>(value).await, shown::<bool>(value));
        assert_eq!(said::<Parsed<char>>(value).await, shown::<char>(value));
    }
}

/// What std itself says, of the version that the tests run with.
fn shown<T: FromStr<Err: Display> + Debug>(value: &str) -> String {
    value
        .parse::<T>()
        .map(|_| ())
        .map_err(|e| e.to_string())
        .unwrap_err()
}

#[tokio::test]
async fn messages_that_are_literals_of_known_crates_are_shown() {
    for literal in [
        "relative URL without a base",
        "invalid port number",
        "a cannot-be-a-base URL doesn’t have a host to set",
        "invalid HTTP method",
        "failed to parse header value",
        "invalid uri character",
        "input contains invalid characters",
        "unexpected end of input while parsing minor version number",
        "value of major version number exceeds u64::MAX",
        "the 'offset hour' component could not be parsed",
    ] {
        assert_eq!(said::<Says>(literal).await, literal);
        assert_eq!(said::<Expects>(literal).await, literal);
    }
    let uuid = "UUID parsing failed: invalid character: found `h` at 0";
    assert_eq!(said::<Says>(uuid).await, "UUID parsing failed");
}

#[tokio::test]
async fn messages_that_only_contain_a_literal_are_withheld() {
    for message in [
        "invalid socket address syntax: hunter2",
        "hunter2: invalid socket address syntax",
        "invalid socket address syntax\nhunter2",
        "invalid socket address syntax ",
        "Invalid socket address syntax",
        "unexpected end of input while parsing hunter2",
        "unexpected end of input while parsing ",
        "value of hunter2 exceeds u64::MAX",
        "value of  exceeds u64::MAX",
        "the 'hunter2' component could not be parsed",
        "UUID parsing failed hunter2",
        "UUID parsing failed",
        "invalid digit found in string (hunter2)",
        "",
    ] {
        assert_eq!(said::<Says>(message).await, WITHHELD, "{message}");
    }
    // serde's own form, which is made of parts only if serde makes it.
    for message in [
        "invalid type: string \"hunter2\", expected hunter2",
        "invalid length 7, expected hunter2",
        "missing field `hunter2`",
        "duplicate field `hunter2`",
        "unknown variant `x`, expected `hunter2`",
    ] {
        assert_eq!(said::<Says>(message).await, WITHHELD, "{message}");
    }
    // A field that is not in the file is no field.
    let message = said::<Says>("unknown field `hunter2`").await;
    assert_eq!(message, "unknown field `?`");
    let message = said::<Says>("unknown field `key`").await;
    assert_eq!(message, "unknown field `key`");
}

#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "only its type matters")]
enum Level {
    Info,
    Debug,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "only their types matter")]
struct Config {
    level: Option<Level>,
    port: Option<u16>,
    says: Option<Quotes>,
}

/// As apps do it, with the value in the message.
#[derive(Debug)]
struct Quotes;

impl<'de> Deserialize<'de> for Quotes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Err(serde::de::Error::custom(format!("`{text}` is\tnot good")))
    }
}

#[tokio::test]
async fn values_are_shown_only_if_the_app_allows_it() {
    for (contents, sanitized, full) in [
        (
            r#"{"level": "hunter2"}"#,
            "1:11: level: unknown variant, expected `Info` or `Debug`",
            "1:11: level: unknown variant `hunter2`, expected `Info` or `Debug`",
        ),
        (
            r#"{"port": "hunter2"}"#,
            "1:10: port: invalid type, expected u16",
            "1:10: port: invalid type: string \"hunter2\", expected u16",
        ),
        (
            r#"{"says": "hunter2"}"#,
            &format!("1:10: says: {WITHHELD}"),
            "1:10: says: `hunter2` is\\tnot good",
        ),
    ] {
        let dir = directory(&[("a.conf", contents)]);
        let path = dir.path().join("a.conf");
        assert_eq!(
            error_of(file::json::<Config>(&path)).await,
            format!("a.conf:{sanitized}")
        );
        let shows = file::json::<Config>(&path).show_values();
        assert_eq!(error_of(shows).await, format!("a.conf:{full}"));
        let shows = file::json::<Config>(&path).show_values().optional();
        assert_eq!(error_of(shows).await, format!("a.conf:{full}"));
        let shows = file::yaml::<Config>(&path).show_values();
        assert_eq!(error_of(shows).await, format!("a.conf:{full}"));
    }
}

#[tokio::test]
async fn values_of_included_files_stay_hidden() {
    type Map = BTreeMap<String, u8>;
    let dir = directory(&[("a.toml", "a = 1"), ("b.toml", "b = 'hunter2'")]);
    let path = |name: &str| dir.path().join(name);
    let merge = |_: Map, includes: &Includes| -> Result<Map, BoxError> {
        let included = includes.set(["b.toml"])?;
        Ok(included[0].toml()?)
    };
    let source = file::toml::<Map>(path("a.toml"))
        .show_values()
        .include(merge);
    assert_eq!(
        error_of(source).await,
        "b.toml:1:5: b: invalid type, expected u8"
    );
    let source = file::toml::<Map>(path("a.toml"))
        .include(merge)
        .show_values();
    assert_eq!(
        error_of(source).await,
        "b.toml:1:5: b: invalid type, expected u8"
    );

    // Not even if the file that is included is one that the source names, too.
    let again = |_: Map, includes: &Includes| -> Result<BTreeMap<String, String>, BoxError> {
        Ok(includes.set(["a.toml"])?[0].toml()?)
    };
    let dir = directory(&[("a.toml", "a = 7")]);
    let source = file::toml::<Map>(dir.path().join("a.toml")).show_values();
    let error = error_of(source.include(again)).await;
    assert_eq!(error, "a.toml:1:5: a: invalid type, expected a string");
}

#[tokio::test]
async fn files_of_a_set_show_values_if_the_set_does() {
    let dir = directory(&[("a.toml", "a = 'hunter2'")]);
    let set = || file::set([dir.path().join("*.toml")]).quiet(Duration::ZERO);
    let error = |contents: &Contents| {
        let error = contents.toml::<BTreeMap<String, u8>>().unwrap_err();
        let error = format!("{error} {error:?}");
        error.contains(SECRET)
    };
    for (source, shows) in [(set(), false), (set().show_values(), true)] {
        let Ok(rekindle::Reading::Stamped(files, _)) = source.read(None).await else {
            panic!("it can be read");
        };
        assert_eq!(error(&files[0]), shows);
        assert!(!format!("{files:?}").contains(SECRET));
    }
}
