//! The tree between text and value: the rules that hold for every format.
#![cfg(all(feature = "json", feature = "toml", feature = "yaml"))]

mod formats;

use std::collections::BTreeMap;

use formats::{Json, Toml, Yaml, read, refused};
use serde::Deserialize;
use serde::de::IgnoredAny;

type Map = BTreeMap<String, BTreeMap<String, u8>>;

#[test]
fn a_key_that_is_there_twice_is_refused_by_name() {
    let json = "{\"a\": {\"x\": 1,\n \"y\": 2, \"x\": 3}}";
    assert_eq!(refused::<Map>(Json, json), ":2:10: a.x: duplicate key");
    let toml = "[a]\nx = 1\ny = 2\nx = 3";
    assert_eq!(refused::<Map>(Toml, toml), ":4:1: a.x: duplicate key");
    let yaml = "a:\n  x: 1\n  y: 2\n  x: 3";
    assert_eq!(refused::<Map>(Yaml, yaml), ":4:3: a.x: duplicate key");

    // However they are written, and whatever takes them.
    let json = r#"[{"x": 1, "\u0078": 2}]"#;
    assert_eq!(
        refused::<IgnoredAny>(Json, json),
        ":1:11: [0].x: duplicate key"
    );
    for (toml, error) in [
        ("'a b' = 1\n\"a b\" = 2", ":2:1: duplicate key"),
        ("a.b.c = 1\n'a'.b.c = 2", ":2:7: a.b.c: duplicate key"),
        (
            "[[a]]\nb = 1\n[[a]]\nb = { c = 1, c = 2 }",
            ":4:14: a[1].b.c: duplicate key",
        ),
        ("[a.b]\n[a.b]", ":2:4: a.b: duplicate key"),
    ] {
        assert_eq!(refused::<IgnoredAny>(Toml, toml), error, "{toml}");
    }
    for (yaml, error) in [
        ("{x: 1, 'x': 2}", ":1:8: x: duplicate key"),
        ("16: a\n0x10: b", ":2:1: 0x10: duplicate key"),
        ("True: a\ntrue: b", ":2:1: true: duplicate key"),
        ("a: &a x\nb: {x: 1, *a : 2}", ":2:11: b.x: duplicate key"),
    ] {
        assert_eq!(refused::<IgnoredAny>(Yaml, yaml), error, "{yaml}");
    }
    let many = |n: usize| (0..n).map(|n| format!("\"k{n}\": 1,")).collect::<String>();
    let json = format!("{{{}\n \"k7\": 1}}", many(100));
    assert_eq!(
        refused::<IgnoredAny>(Json, &json),
        ":2:2: k7: duplicate key"
    );
}

#[test]
fn keys_that_only_look_alike_are_accepted() {
    let map = read::<BTreeMap<String, u8>>(Yaml, "7: 1\n07: 2\nx: 3\nX: 4");
    assert_eq!(map.unwrap().len(), 4);
    let map = read::<BTreeMap<String, u8>>(Json, r#"{"1": 1, "01": 2, "": 3}"#);
    assert_eq!(map.unwrap().len(), 3);
}

#[test]
fn a_list_or_a_map_is_no_key_in_yaml() {
    let message = "a key is a text, a number, a boolean or null, not a list or a map";
    for (yaml, place) in [
        ("? [a, b]\n: 1\n? [\"a, b\"]\n: 2", ":1:3"),
        ("a: {{x: 1}: 2}", ":1:5: a"),
        ("? !x [a]\n: 1", ":1:3"),
        ("a: &a [x]\nb: {*a : 1}", ":2:5: b"),
        ("? ? ? [a]\n: 1", ":1:7"),
    ] {
        let error = format!("{place}: {message}");
        assert_eq!(refused::<IgnoredAny>(Yaml, yaml), error, "{yaml}");
    }
}

/// As with `#[serde(alias)]`: for the file they are two keys.
#[test]
fn a_field_under_two_of_its_names_is_refused_at_the_second() {
    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only its type matters")]
    struct Config {
        #[serde(alias = "colour")]
        color: u8,
    }
    let error = ":1:14: colour: duplicate field `color`";
    assert_eq!(
        refused::<Config>(Json, r#"{"color": 1, "colour": 2}"#),
        error
    );
    let error = ":2:1: colour: duplicate field `color`";
    assert_eq!(refused::<Config>(Toml, "color = 1\ncolour = 2"), error);
    assert_eq!(refused::<Config>(Yaml, "color: 1\ncolour: 2"), error);
}

#[derive(Debug, Deserialize, PartialEq)]
struct Printer {
    message: String,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Config {
    printer: Printer,
}

#[test]
fn a_list_is_no_struct() {
    let error = ":1:1: invalid type: a list, expected struct Config";
    assert_eq!(
        refused::<Config>(Json, r#"[["hi"], ["http://localhost"]]"#),
        error
    );
    assert_eq!(refused::<Config>(Yaml, "- - hi"), error);
    let error = "printer: invalid type: a list, expected struct Printer";
    let json = r#"{"printer": ["hi"]}"#;
    assert_eq!(refused::<Config>(Json, json), format!(":1:13: {error}"));
    assert_eq!(
        refused::<Config>(Toml, "printer = ['hi']"),
        format!(":1:11: {error}")
    );
    assert_eq!(
        refused::<Config>(Yaml, "printer: [hi]"),
        format!(":1:10: {error}")
    );

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only its type matters")]
    enum Shape {
        Round { radius: u8 },
    }
    let error = refused::<Shape>(Json, r#"{"Round": [1]}"#);
    assert_eq!(
        error,
        ":1:11: Round: invalid type: a list, expected struct variant Shape::Round"
    );
    assert!(read::<Shape>(Json, r#"{"Round": {"radius": 1}}"#).is_ok());
}

#[test]
fn a_list_that_is_too_long_for_a_tuple_is_refused() {
    type Pairs = BTreeMap<String, (u8, u8)>;
    let error = "a: invalid length, expected a list of length 2";
    assert_eq!(
        refused::<Pairs>(Json, r#"{"a": [1, 2, 3]}"#),
        format!(":1:7: {error}")
    );
    assert_eq!(
        refused::<Pairs>(Toml, "a = [1, 2, 3]"),
        format!(":1:5: {error}")
    );
    assert_eq!(
        refused::<Pairs>(Yaml, "a: [1, 2, 3]"),
        format!(":1:4: {error}")
    );
}

#[test]
fn a_tuple_variant_written_as_a_table_has_its_length() {
    #[derive(Debug, Deserialize, PartialEq)]
    enum Shape {
        Two(u8, u8),
    }
    type Shapes = BTreeMap<String, Shape>;
    let shapes = read::<Shapes>(Toml, "a.Two = { 0 = 1, 1 = 2 }").unwrap();
    assert_eq!(shapes["a"], Shape::Two(1, 2));
    for (toml, error) in [
        (
            "a.Two = { 0 = 1, 1 = 2, 2 = 3 }",
            ":1:9: a.Two: invalid length, expected a list of length 2",
        ),
        (
            "a.Two = { 0 = 1 }",
            ":1:9: a.Two: invalid length, expected tuple variant Shape::Two with 2 elements",
        ),
        (
            "a.Two = { 0 = 1, 1 = 'x' }",
            ":1:22: a.Two[1]: invalid type, expected u8",
        ),
    ] {
        assert_eq!(refused::<Shapes>(Toml, toml), error, "{toml}");
    }
}

/// Where the type is known, a tag says nothing about it.
#[test]
fn a_tag_is_ignored_for_every_type_but_an_enum() {
    type All = (u16, i64, i128, u128, f32, bool, String, char, Vec<u8>);
    let yaml = "[!x 80, !x -1, !x 1, !x 2, !x 1.5, !x true, !x text, !x c, !x [1]]";
    let expected = (80, -1, 1, 2, 1.5, true, "text".to_owned(), 'c', vec![1]);
    assert_eq!(read::<All>(Yaml, yaml).unwrap(), expected);
    let keys = read::<BTreeMap<u16, u8>>(Yaml, "!x 80: 1").unwrap();
    assert_eq!(keys[&80], 1);
}

fn merged(yaml: &str) -> BTreeMap<String, u8> {
    let mut maps = read::<BTreeMap<String, IgnoredOr<BTreeMap<String, u8>>>>(Yaml, yaml).unwrap();
    maps.remove("it").unwrap().0.unwrap()
}

/// A value, or something else that is there only for its anchor.
struct IgnoredOr<T>(Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for IgnoredOr<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either<T> {
            Value(T),
            Ignored(IgnoredAny),
        }
        Either::deserialize(deserializer).map(|either| match either {
            Either::Value(value) => Self(Some(value)),
            Either::Ignored(_) => Self(None),
        })
    }
}

#[test]
fn merge_keys_of_yaml_are_merged() {
    let map = |pairs: &[(&str, u8)]| -> BTreeMap<String, u8> {
        pairs.iter().map(|&(key, n)| (key.to_owned(), n)).collect()
    };
    // The example of the specification: the own keys win, wherever they are.
    let yaml = "base: &base {x: 1, y: 2}\nit:\n  y: 3\n  <<: *base\n  z: 4";
    assert_eq!(merged(yaml), map(&[("x", 1), ("y", 3), ("z", 4)]));
    // Of several, the earlier one.
    let yaml = "list: [&a {x: 1, r: 10}, &b {x: 0, y: 2}]\nit: {<<: [*b, *a], r: 5}";
    assert_eq!(merged(yaml), map(&[("x", 0), ("y", 2), ("r", 5)]));
    // What was merged itself is merged, too, and the anchor may be of a list.
    let yaml = "a: &a {x: 1}\nb: &b {<<: *a, y: 2}\nc: &c [*b, {z: 3}]\nit: {<<: *c}";
    assert_eq!(merged(yaml), map(&[("x", 1), ("y", 2), ("z", 3)]));
    // In place, and without anything.
    assert_eq!(merged("it: {<<: {x: 1}, y: 2}"), map(&[("x", 1), ("y", 2)]));
    assert_eq!(merged("it: {<<: [], y: 2}"), map(&[("y", 2)]));
    // With quotes it is a key like any other.
    assert_eq!(merged("it: {'<<': 1}"), map(&[("<<", 1)]));
}

#[test]
fn merge_keys_of_yaml_that_merge_nothing_are_refused() {
    let message = "a merge key (`<<`) takes a map or a list of maps";
    for (yaml, place) in [
        ("it: {<<: hunter2}", ":1:10: it.<<"),
        ("it:\n  <<:\n  x: 1", ":2:5: it.<<"),
        ("it: {<<: [{x: 1}, 2]}", ":1:19: it.<<"),
        ("a: &a hunter2\nit: {<<: *a}", ":1:7: it.<<"),
        ("it: {<<: !x {y: 1}}", ":1:10: it.<<"),
    ] {
        assert_eq!(
            refused::<Map>(Yaml, yaml),
            format!("{place}: {message}"),
            "{yaml}"
        );
    }
    let yaml = "it: {<<: {x: 1}, <<: {y: 1}}";
    assert_eq!(refused::<Map>(Yaml, yaml), ":1:18: it.<<: duplicate key");
}

#[test]
fn a_second_document_of_yaml_is_refused() {
    let message = "a second document begins here; a file may have one";
    for (yaml, place) in [
        ("a: {x: 1}\n---\na: {x: 2}", ":2:1"),
        ("---\na: {x: 1}\n---\n", ":3:1"),
        ("a: {x: 1}\n...\n---\nhunter2", ":3:1"),
        ("a: {x: 1}\n...\nhunter2", ":3:1"),
    ] {
        assert_eq!(
            refused::<Map>(Yaml, yaml),
            format!("{place}: {message}"),
            "{yaml}"
        );
    }
    for yaml in [
        "---\na: {x: 1}",
        "%YAML 1.2\n---\na: {x: 1}\n...\n",
        "a: {x: 1}\n...\n# end",
    ] {
        assert!(read::<Map>(Yaml, yaml).is_ok(), "{yaml}");
    }
}

#[test]
fn integers_have_up_to_128_bits() {
    type Numbers = BTreeMap<String, i128>;
    let (least, most) = (i128::MIN, i128::MAX);
    let json = format!("{{\"a\": {least}, \"b\": {most}, \"c\": 18446744073709551616, \"d\": -1}}");
    let numbers = read::<Numbers>(Json, &json).unwrap();
    assert_eq!(numbers, serde_json::from_str(&json).unwrap());
    let toml = format!("a = {least}\nb = {most}\nc = 18446744073709551616\nd = -1");
    assert_eq!(read::<Numbers>(Toml, &toml).unwrap(), numbers);
    let yaml = format!("a: {least}\nb: {most}\nc: 0x10000000000000000\nd: -1");
    assert_eq!(read::<Numbers>(Yaml, &yaml).unwrap(), numbers);

    type Unsigned = (u128, u64, f64);
    let json = format!("[{}, {}, {most}]", u128::MAX, u64::MAX);
    let direct: Unsigned = serde_json::from_str(&json).unwrap();
    assert_eq!(read::<Unsigned>(Json, &json).unwrap(), direct);
    assert_eq!(read::<Unsigned>(Yaml, &json).unwrap(), direct);
    // As serde_json has it for a type that takes anything.
    let value = read::<serde_json::Value>(Json, &json).unwrap();
    assert_eq!(
        value,
        serde_json::from_str::<serde_json::Value>(&json).unwrap()
    );

    let beyond = format!("{}0", u128::MAX);
    assert!(read::<(u128,)>(Json, &format!("[{beyond}]")).is_err());
    let error = refused::<Numbers>(Toml, &format!("a = {beyond}"));
    assert_eq!(error, ":1:5: a: integer number overflowed");
    assert!(read::<(u128,)>(Yaml, &format!("[{beyond}]")).is_err());
}
