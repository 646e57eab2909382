//! Through the tree, every shape of serde's becomes the value that the parsers make of it themselves.
#![cfg(all(feature = "json", feature = "toml", feature = "yaml"))]

mod formats;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU8;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use formats::Bytes;
use proptest::prelude::*;
use rekindle::file::{self, File};
use rekindle::{Reading, Source};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::runtime::Runtime;

fn read<T>(make: fn(PathBuf) -> File<T>, contents: &str) -> Result<T, String>
where
    T: Send + Sync + 'static,
{
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
    let dir: TempDir = tempfile::tempdir().unwrap();
    let path: &Path = &dir.path().join("app.conf");
    std::fs::write(path, contents).unwrap();
    let file = make(path.to_owned()).quiet(Duration::ZERO);
    match RUNTIME.block_on(file.read(None)) {
        Ok(Reading::Stamped(value, _)) => Ok(value),
        Ok(_) => unreachable!("nothing is committed"),
        Err(error) => Err(error.to_string()),
    }
}

/// What is compared: `Debug`, so that a NaN is one.
trait Shape: DeserializeOwned + fmt::Debug + Send + Sync + 'static {}

impl<T: DeserializeOwned + fmt::Debug + Send + Sync + 'static> Shape for T {}

#[track_caller]
fn json<T: Shape>(contents: &str) {
    let direct: T = serde_json::from_str(contents).expect(contents);
    let ours = read(file::json::<T>, contents).expect(contents);
    assert_eq!(format!("{ours:?}"), format!("{direct:?}"), "{contents}");
}

#[track_caller]
fn toml<T: Shape>(contents: &str) {
    let direct: T = ::toml::from_str(contents).expect(contents);
    let ours = read(file::toml::<T>, contents).expect(contents);
    assert_eq!(format!("{ours:?}"), format!("{direct:?}"), "{contents}");
}

#[track_caller]
fn yaml<T: Shape>(contents: &str) {
    let direct: T = yaml_serde::from_str(contents).expect(contents);
    let ours = read(file::yaml::<T>, contents).expect(contents);
    assert_eq!(format!("{ours:?}"), format!("{direct:?}"), "{contents}");
}

type Map<T> = BTreeMap<String, T>;

#[derive(Debug, Deserialize)]
struct Unit;

#[derive(Debug, Deserialize)]
struct Newtype(#[allow(dead_code, reason = "shown by Debug")] u16);

#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "shown by Debug")]
struct Pair(u8, String);

#[derive(Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
enum Level {
    Info,
    Debug,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "shown by Debug")]
enum External {
    Unit,
    Newtype(u8),
    Nested(Option<Box<External>>),
    Tuple(u8, String),
    Struct { a: u8, b: Option<String> },
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind")]
#[allow(dead_code, reason = "shown by Debug")]
enum Internal {
    Unit,
    Newtype(Map<u8>),
    Struct { a: u8, level: Option<Level> },
}

#[derive(Debug, Deserialize)]
#[serde(tag = "t", content = "c")]
#[allow(dead_code, reason = "shown by Debug")]
enum Adjacent {
    Unit,
    Tuple(u8, u8),
    Struct { a: f64 },
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
#[allow(dead_code, reason = "shown by Debug")]
enum Untagged {
    Truth(bool),
    Small(u8),
    Number(i64),
    Float(f64),
    Text(String),
    List(Vec<Untagged>),
    Struct { a: u8 },
    Map(Map<Untagged>),
    Nothing,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "shown by Debug")]
struct Flat {
    a: u8,
    #[serde(flatten)]
    inner: Inner,
    #[serde(flatten)]
    rest: Map<Untagged>,
}

#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(dead_code, reason = "shown by Debug")]
struct Inner {
    max_size: u64,
    #[serde(alias = "colour")]
    color: Cow<'static, str>,
}

impl Default for Inner {
    fn default() -> Self {
        let (max_size, color) = (7, "red".into());
        Self { max_size, color }
    }
}

#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "shown by Debug")]
struct All {
    truth: bool,
    small: i8,
    large: u64,
    wide: i128,
    float: f64,
    single: f32,
    letter: char,
    text: String,
    path: PathBuf,
    newtype: Newtype,
    pair: Pair,
    tuple: (u8, bool),
    array: [u8; 2],
    some: Option<u8>,
    none: Option<u8>,
    nested: Option<Vec<Option<Level>>>,
    set: BTreeSet<Level>,
    levels: BTreeMap<Level, u8>,
    ports: BTreeMap<u16, bool>,
    truths: BTreeMap<bool, u8>,
    letters: BTreeMap<char, u8>,
    address: SocketAddr,
    ip: IpAddr,
    pause: Duration,
    nonzero: NonZeroU8,
    externals: Vec<External>,
    internal: Internal,
    adjacent: Adjacent,
    untagged: Vec<Untagged>,
    flat: Flat,
}

const ALL: &str = r#"{
    "truth": true, "small": -7, "large": 18446744073709551615, "wide": -170141183460469231731,
    "float": 1e-3, "single": 0.1, "letter": "ß", "text": "a \"b\" \u00e4\n", "path": "/etc",
    "newtype": 8080, "pair": [1, "x"], "tuple": [1, false], "array": [1, 2], "some": 1,
    "nested": ["info", "debug"], "set": ["debug", "info"], "levels": {"info": 1},
    "ports": {"80": true, "443": false}, "truths": {"true": 1}, "letters": {"a": 1},
    "address": "127.0.0.1:80", "ip": "::1", "pause": {"secs": 1, "nanos": 5}, "nonzero": 3,
    "externals": ["Unit", EXTERNALS],
    "internal": {"kind": "Struct", "a": 1, "level": "info"}, "adjacent": {"c": [1, 2], "t": "Tuple"},
    "untagged": [true, 7, -300, 1.5, "x", [1, [2]], {"a": 1}, {"b": 1, "c": {"d": "x"}}],
    "flat": {"a": 1, "maxSize": 5, "b": 1, "c": [true], "d": {"e": 1.5}}
}"#;

const EXTERNALS: &str = r#"{"Newtype": 1}, {"Nested": {"Nested": "Unit"}}, {"Tuple": [1, "x"]},
    {"Struct": {"a": 1, "b": "y"}}, {"Struct": {"a": 1}}"#;

/// The same as TOML, in which an inline table is written with `=`, and integers have 64 bits.
fn toml_of(value: &serde_json::Value) -> String {
    use serde_json::Value::{Array, Null, Object};
    match value {
        Array(items) => {
            let items: Vec<_> = items.iter().map(toml_of).collect();
            format!("[{}]", items.join(", "))
        }
        Object(entries) => format!("{{{}}}", entries_of(entries, ", ")),
        Null => "\"\"".to_owned(),
        other => other.to_string().replace("\\u007f", "\\u007F"),
    }
}

fn entries_of(entries: &serde_json::Map<String, serde_json::Value>, between: &str) -> String {
    let entries = entries.iter().filter(|(_, value)| !value.is_null());
    let entries = entries
        .map(|(key, value)| format!("{} = {}", serde_json::Value::from(&key[..]), toml_of(value)));
    entries.collect::<Vec<_>>().join(between)
}

#[test]
fn every_shape_of_json_is_as_serde_json_has_it() {
    json::<All>(&ALL.replace("EXTERNALS", EXTERNALS));
    json::<(Unit, (), Option<Unit>)>("[null, null, null]");
    json::<Vec<External>>(r#"[{"Unit": null}, "Unit", {"Nested": null}]"#);
    json::<Vec<Adjacent>>(r#"[{"t": "Unit"}, {"c": {"a": 1}, "t": "Struct"}]"#);
    json::<Vec<Internal>>(r#"[{"kind": "Unit"}, {"x": 1, "kind": "Newtype"}]"#);
    json::<Vec<Untagged>>(r#"[null, {}, [], "", 1e300, 18446744073709551616, -0]"#);
    json::<(f64, f32, f64)>("[-0, 1e-46, 123456789012345678901234567890]");
    json::<BTreeMap<Newtype2, u8>>(r#"{"7": 1}"#);
    json::<BTreeMap<Option<u8>, u8>>(r#"{"7": 1}"#);
    json::<(i128, f64)>("[-0, -0]");
    json::<HashMap<i128, ()>>(r#"{"-170141183460469231731687303715884105728": null}"#);
    json::<(Bytes, Bytes)>(r#"["abc", [1, 2]]"#);
    json::<String>(r#""\ud83d\ude00 \\ \/ \b\f\n\r\t""#);
    json::<serde_json::Value>(" \t\r\n{\"a\" : [ 1 , {} , [ ] ] } ");
}

#[derive(Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Newtype2(u8);

#[test]
fn every_shape_of_toml_is_as_toml_has_it() {
    let value: serde_json::Value =
        serde_json::from_str(&ALL.replace("EXTERNALS", EXTERNALS)).unwrap();
    let serde_json::Value::Object(mut all) = value else {
        unreachable!("it is a map");
    };
    // serde_json makes a float of it.
    all.insert("wide".into(), 1.into());
    toml::<All>(&entries_of(&all, "\n"));
    toml::<Map<External>>("a = 'Unit'\nb = { Unit = {} }\nc = { Tuple = { 0 = 1, 1 = 'x' } }");
    toml::<Map<External>>("[a.Struct]\na = 1\n[b]\nNested = 'Unit'");
    toml::<Map<Untagged>>("a = 0x1F\nb = 0o7\nc = 0b1\nd = 1_000\ne = +1.5e3\nf = -inf\ng = nan");
    toml::<Map<i128>>("a = 170141183460469231731687303715884105727");
    toml::<Map<i8>>("a = +99\nb = +0\nc = -1");
    toml::<::toml::Table>("a = 1\n[b.c]\nd = [{ e = 1 }, {}]\n[[f]]\n[[f]]\ng.h = ''''x'\n'''");
    toml::<Map<Adjacent>>("a = { t = 'Unit' }\nb = { c = { a = 1 }, t = 'Struct' }");
}

#[test]
fn dates_and_places_of_toml_are_as_toml_has_them() {
    use ::toml::Spanned;
    use ::toml::value::{Date, Datetime, Time};

    let dates = "a = 1979-05-27T07:32:00Z\nb = 1979-05-27\nc = 07:32:00.5\n\
                 d = 1979-05-27 00:32:00.999999-07:00";
    toml::<Map<Datetime>>(dates);
    toml::<::toml::Table>(dates);
    toml::<Map<::toml::Value>>(dates);
    toml::<Map<Option<Datetime>>>(dates);
    toml::<Map<Date>>("a = 1979-05-27");
    toml::<Map<Time>>("a = 07:32:00");
    toml::<BTreeMap<String, Spanned<Datetime>>>(dates);
    // No string, and no map that the user wrote.
    for contents in ["a = 1979-05-27", "a = 07:32:00"] {
        assert!(::toml::from_str::<Map<String>>(contents).is_err());
        for (error, expected) in [
            (read(file::toml::<Map<String>>, contents).err(), "a string"),
            (
                read(file::toml::<Map<Map<String>>>, contents).err(),
                "a map",
            ),
            (
                read(file::toml::<Map<Inner>>, contents).err(),
                "struct Inner",
            ),
        ] {
            let end = format!(":1:5: a: invalid type: a date or time, expected {expected}");
            let error = error.expect(expected);
            assert!(error.ends_with(&end), "{error}");
        }
    }
    toml::<Map<Spanned<u8>>>("a = 1\n'b c' = 22");
    toml::<BTreeMap<Spanned<String>, u8>>("a = 1\n'b c' = 22");
    toml::<Map<Vec<Spanned<Map<Spanned<String>>>>>>("[[a]]\nb = 'c'\n[[a]]\nb = \"\"\"d\"\"\"");
    // A byte order mark counts, because the bytes of the file have it.
    toml::<Map<Spanned<u8>>>("\u{feff}a = 1");
    for (file, contents) in [
        (
            file::yaml as fn(PathBuf) -> File<Map<Spanned<u8>>>,
            "a: 1\nb: 22",
        ),
        (file::json, r#"{"a": 1, "b": 22}"#),
    ] {
        for contents in [contents.to_owned(), format!("\u{feff}{contents}")] {
            let spans = read(file, &contents).unwrap();
            assert_eq!(&contents[spans["b"].span()], "22", "{contents}");
        }
    }
}

#[test]
fn every_shape_of_yaml_is_as_yaml_serde_has_it() {
    let tags = "!Newtype 1, !Nested Unit, !Tuple [1, x], !Struct {a: 1, b: 'y'}";
    let mut all = ALL.replace("EXTERNALS", tags);
    for key in ["80", "443", "true"] {
        all = all.replace(&format!("\"{key}\":"), &format!("{key}:"));
    }
    yaml::<All>(&all);
    yaml::<Vec<External>>(
        "- Unit\n- !Unit\n- !Newtype 1\n- !Tuple\n  - 1\n  - x\n- !Struct\n  a: 1",
    );
    yaml::<Vec<Untagged>>("[null, ~, true, 0x1F, 0o7, 0b1, +1, 1e3, .5, -.inf, .nan, 007, 1_000]");
    yaml::<Vec<Untagged>>(
        "- yes\n- 'true'\n- \"1\"\n- 1979-05-27\n- 12:30\n- +x\n- 1.2.3\n- |\n  x\n",
    );
    yaml::<Vec<String>>("[1, true, ~, 1.50, 0x10, 'x', \"\\u00e4\", a b, '']");
    yaml::<Vec<Option<String>>>("[~, null, 'null', '~', '', 1]");
    yaml::<Map<String>>(
        "a: >\n  folded\n  text\n\n  more\nb: |-\n  kept\n   as is\nc: 'it''s'\nd:",
    );
    yaml::<Map<String>>("a: |\n  no end");
    yaml::<Map<String>>("a: |+\n\n\nb: x\nc: |\nd: >+\n\ne: ''\nf: |+\n\n");
    yaml::<Map<Option<u8>>>("a:\nb: ~\nc: 1");
    yaml::<Map<Vec<u8>>>("a:\nb: []\nc:\n- 1\n- 2");
    yaml::<Map<Inner>>("a:\nb: {}\nc: {colour: blue}");
    yaml::<Inner>("");
    yaml::<Option<u8>>("# nothing");
    yaml::<Vec<f64>>("[1, 1.5, 012, .inf, 1e3, -0.0]");
    yaml::<Vec<(i64, u128)>>("[[-0x10, 0o17], [-1, 340282366920938463463374607431768211455]]");
    yaml::<Vec<Untagged>>("[!!str 1, !!int 1, !!float 1, !!bool true, !!null ~, !!str ~]");
    yaml::<BTreeMap<u16, String>>("80: http\n443: https");
    yaml::<Map<Map<u8>>>("a: &a {x: 1}\nb: *a\nc: &c\n  y: 2\nd: *c");
    yaml::<Vec<Level>>("[&a info, *a, debug]");
    yaml::<Vec<Internal>>("- kind: Unit\n- {x: 1, kind: Newtype}");
    yaml::<Vec<Adjacent>>("- t: Unit\n- {c: {a: 1}, t: Struct}");
    yaml::<(Unit, (), Newtype, char)>("[~, null, 7, x]");
    yaml::<yaml_serde::Value>("a: [1, 1.5, x, ~, true, {b: !tag c}]\n1: 2\n? x\n: y");
}

/// Values without a null in a list, which TOML cannot have.
fn values() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        (0..1000i64).prop_map(serde_json::Value::from),
        (-1e9..1e9f64).prop_map(|n| serde_json::Value::from(n + 0.5)),
        "[ -~äß€😀\n\t]{0,12}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        let key = "[a-z ß:#'-]{0,6}";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
            prop::collection::btree_map(key, inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_value_is_what_the_parsers_make_of_it(value in values()) {
        let contents = value.to_string();
        json::<serde_json::Value>(&contents);
        json::<Untagged>(&contents);
        json::<serde_json::Value>(&serde_json::to_string_pretty(&value).unwrap());
        yaml::<yaml_serde::Value>(&contents);
        yaml::<yaml_serde::Value>(&yaml_serde::to_string(&value).unwrap());
        toml::<::toml::Table>(&format!("value = {}", toml_of(&value)));
        toml::<Map<Untagged>>(&format!("value = {}", toml_of(&value)));
    }

    /// What is not accepted as JSON is not accepted here, and what is, means the same.
    #[test]
    fn any_text_is_json_only_if_serde_json_says_so(text in r#"[\[\]{}",:0-9.eE+\\untrfalse -]{0,24}"#) {
        let direct = serde_json::from_str::<serde_json::Value>(&text);
        match read(file::json::<serde_json::Value>, &text) {
            Ok(value) => prop_assert_eq!(value, direct.unwrap()),
            Err(error) => {
                let is_refused = direct.is_err() || error.contains("duplicate key");
                prop_assert!(is_refused, "{} {}", text, error);
            }
        }
    }
}
