//! What an error about a file says, and what it never says: a value (invariant 12).
#![cfg(all(feature = "json", feature = "toml", feature = "yaml"))]

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;
use rekindle::Source;
use rekindle::file::{self, File};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use tokio::runtime::Runtime;

const SECRET: &str = "hunter2";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "only their types matter")]
struct Config {
    printer: Option<Printer>,
    port: Option<u16>,
    mode: Option<Mode>,
    addr: Option<IpAddr>,
    hosts: Option<Vec<String>>,
    pair: Option<(u8, u8)>,
    ports: Option<BTreeMap<u16, bool>>,
    users: Option<BTreeMap<String, u16>>,
    either: Option<Either>,
    custom: Option<Custom>,
    letter: Option<char>,
    login: Option<Login>,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "only their types matter")]
struct Printer {
    message: String,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "only their types matter")]
enum Mode {
    Fast,
    Slow(u8),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
#[allow(dead_code, reason = "only their types matter")]
enum Either {
    Number(u8),
    Flag(bool),
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind")]
#[allow(dead_code, reason = "only their types matter")]
enum Login {
    Token { token: u32 },
}

/// As apps write it, with the value in the message.
#[derive(Debug)]
struct Custom;

impl<'de> Deserialize<'de> for Custom {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = String::deserialize(deserializer)?;
        Err(serde::de::Error::custom(format!(
            "{value} is not good: {value}, expected {value}"
        )))
    }
}

type Maker<T> = fn(PathBuf) -> File<T>;

/// The error for a file with these contents.
fn error_of<T: DeserializeOwned + Send + Sync + 'static>(
    make: Maker<T>,
    contents: impl AsRef<[u8]>,
) -> Option<Box<file::Error>> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.conf");
    fs::write(&path, contents).unwrap();
    let source = make(path).quiet(Duration::ZERO);
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
    let error = RUNTIME.block_on(source.read(None)).err()?;
    Some(
        error
            .downcast()
            .expect("errors of a file have their own type"),
    )
}

fn json(contents: &str) -> Box<file::Error> {
    error_of(file::json::<Config>, contents).expect("refused as JSON")
}

fn toml(contents: &str) -> Box<file::Error> {
    error_of(file::toml::<Config>, contents).expect("refused as TOML")
}

fn yaml(contents: &str) -> Box<file::Error> {
    error_of(file::yaml::<Config>, contents).expect("refused as YAML")
}

/// Everything that a caller, a log or a panic could make of it.
fn everything(error: &file::Error) -> String {
    let mut all = format!("{error} {error:#} {error:?} {error:#?}");
    all.push_str(&format!(
        " {:?} {:?} {:?}",
        error.line(),
        error.column(),
        error.key()
    ));
    let mut cause = error.source();
    while let Some(error) = cause {
        all.push_str(&format!(" {error} {error:?}"));
        cause = error.source();
    }
    all
}

/// The error without the directory that it is in.
#[track_caller]
fn says(error: &file::Error, expected: &str) {
    let full = error.to_string();
    let short = full.split_once("app.conf").expect("it names the file").1;
    assert_eq!(short, expected);
    let all = everything(error);
    assert!(!all.contains(SECRET), "{all}");
}

#[test]
fn path_line_column_key_and_expectation_are_told() {
    let error = json("{\n  \"printer\": {\n    \"message\": 5}}");
    says(
        &error,
        ":3:16: printer.message: invalid type, expected a string",
    );
    assert!(error.path().ends_with("app.conf"));
    assert_eq!((error.line(), error.column()), (Some(3), Some(16)));
    assert_eq!(error.key(), Some("printer.message"));

    let error = toml("[printer]\nmessage = 5\n");
    says(
        &error,
        ":2:11: printer.message: invalid type, expected a string",
    );
    let error = yaml("printer:\n  message: [5]\n");
    says(
        &error,
        ":2:12: printer.message: invalid type: a list, expected a string",
    );
}

#[test]
fn a_string_where_a_number_is_expected_is_not_quoted() {
    says(
        &json(r#"{"port": "hunter2"}"#),
        ":1:10: port: invalid type, expected u16",
    );
    says(
        &toml("port = 'hunter2'"),
        ":1:8: port: invalid type, expected u16",
    );
    says(
        &yaml("port: hunter2"),
        ":1:7: port: invalid type, expected u16",
    );
    // Words that the message itself has do not confuse it.
    let tricky = r#"{"port": "a, expected hunter2"}"#;
    says(&json(tricky), ":1:10: port: invalid type, expected u16");
    says(&yaml(tricky), ":1:10: port: invalid type, expected u16");
    says(
        &yaml("port: 'port: invalid type: hunter2, expected hunter2'"),
        ":1:7: port: invalid type, expected u16",
    );
    says(
        &json(r#"{"port": "x at line 1 column 4"}"#),
        ":1:10: port: invalid type, expected u16",
    );
}

#[test]
fn a_number_out_of_range_is_not_quoted() {
    for error in [
        json(r#"{"port": 7777777}"#),
        toml("port = 7777777"),
        yaml("port: 7777777"),
    ] {
        assert!(
            error
                .to_string()
                .ends_with("port: invalid value, expected u16"),
            "{error}"
        );
        assert!(!everything(&error).contains("7777777"));
    }
    let error = toml("port = 99999999999999999999999999999999999999999");
    assert!(!everything(&error).contains("9999"), "{error}");
    let error = json(r#"{"port": 1e7777}"#);
    assert!(!everything(&error).contains("7777"), "{error}");
}

#[test]
fn an_unknown_variant_is_a_value_and_an_unknown_field_is_a_key() {
    let expected = "unknown variant, expected `Fast` or `Slow`";
    says(
        &json(r#"{"mode": "hunter2"}"#),
        &format!(":1:10: mode: {expected}"),
    );
    says(
        &toml("mode = 'hunter2'"),
        &format!(":1:8: mode: {expected}"),
    );
    says(&yaml("mode: hunter2"), &format!(":1:7: mode: {expected}"));
    says(
        &yaml("mode: !hunter2 1"),
        &format!(":1:7: mode: {expected}"),
    );
    says(
        &yaml("mode: !Slow hunter2"),
        ":1:13: mode.Slow: invalid type, expected u8",
    );

    for error in [
        json(r#"{"prot": "hunter2"}"#),
        toml("prot = 'hunter2'"),
        yaml("prot: hunter2"),
    ] {
        let text = error.to_string();
        assert!(
            text.contains(": prot: unknown field `prot`, expected one of `printer`, `port`"),
            "{text}"
        );
        assert_eq!(error.key(), Some("prot"));
        assert!(!everything(&error).contains(SECRET));
    }
}

#[test]
fn missing_and_duplicate_fields_are_named() {
    says(
        &json(r#"{"printer": {}}"#),
        ":1:13: printer: missing field `message`",
    );
    says(
        &toml("printer = {}"),
        ":1:11: printer: missing field `message`",
    );
    says(
        &yaml("printer: {}"),
        ":1:10: printer: missing field `message`",
    );
    says(
        &json(r#"{"port": 1, "port": "hunter2"}"#),
        ":1:13: port: duplicate key",
    );
    says(
        &toml("port = 1\nport = 'hunter2'"),
        ":2:1: port: duplicate key",
    );
    says(&yaml("port: 1\nport: hunter2"), ":2:1: port: duplicate key");
    says(
        &json(r#"{"login": {"kind": "hunter2"}}"#),
        ":1:20: login.kind: unknown variant, expected `Token`",
    );
    says(
        &json(r#"{"login": {"kind": "Token", "token": "hunter2"}}"#),
        ":1:11: login: invalid type, expected u32",
    );
}

#[test]
fn what_the_app_s_own_types_say_is_withheld() {
    let withheld = "the value was refused by its type (the message is withheld because it may contain the value)";
    let json = json(r#"{"custom": "hunter2"}"#);
    says(&json, &format!(":1:12: custom: {withheld}"));
    let toml = toml("custom = 'hunter2'");
    says(&toml, &format!(":1:10: custom: {withheld}"));
    let yaml = yaml("custom: hunter2");
    says(&yaml, &format!(":1:9: custom: {withheld}"));
}

/// The YAML library only knows the place of the mapping around such a value.
#[test]
fn the_place_in_yaml_is_that_of_the_value() {
    let message = "unknown variant, expected `Fast` or `Slow`";
    let error = yaml("# a comment\nprinter:\n  message: x\nmode: hunter2\n");
    says(&error, &format!(":4:7: mode: {message}"));

    type Deep = BTreeMap<String, Vec<BTreeMap<String, Mode>>>;
    let contents = "a:\n- {}\n- x: Fast\n  y: hunter2\n";
    let error = error_of(file::yaml::<Deep>, contents).unwrap();
    says(&error, &format!(":4:6: a[1].y: {message}"));
}

#[test]
fn sequences_and_enums_without_tags_are_told_by_index_and_type() {
    says(
        &json(r#"{"hosts": ["a", ["hunter2"]]}"#),
        ":1:17: hosts[1]: invalid type: a list, expected a string",
    );
    says(
        &toml("hosts = ['a', ['hunter2']]"),
        ":1:15: hosts[1]: invalid type: a list, expected a string",
    );
    says(
        &yaml("hosts: [a, [hunter2]]"),
        ":1:12: hosts[1]: invalid type: a list, expected a string",
    );
    let message = "data did not match any variant of untagged enum Either";
    says(
        &json(r#"{"either": "hunter2"}"#),
        &format!(":1:12: either: {message}"),
    );
    says(
        &toml("either = 'hunter2'"),
        &format!(":1:10: either: {message}"),
    );
    says(
        &yaml("either: hunter2"),
        &format!(":1:9: either: {message}"),
    );
    says(
        &json(r#"{"pair": [1]}"#),
        ":1:10: pair: invalid length, expected a tuple of size 2",
    );
    says(
        &json(r#"{"letter": "hunter2"}"#),
        ":1:12: letter: invalid value, expected a character",
    );
}

#[test]
fn keys_are_shown_if_they_look_like_keys() {
    says(
        &json(r#"{"users": {"ann": "hunter2"}}"#),
        ":1:19: users.ann: invalid type, expected u16",
    );
    says(
        &json(r#"{"users": {"a\nb": "hunter2"}}"#),
        ":1:20: users.?: invalid type, expected u16",
    );
    // Without a space after the colon, YAML takes all of it for the key.
    says(
        &yaml("{password:hunter2}"),
        ":1:2: unknown field `?`, expected one of `printer`, `port`, `mode`, `addr`, `hosts`, `pair`, `ports`, `users`, `either`, `custom`, `letter`, `login`",
    );
    says(
        &yaml("users: {ann:hunter2}"),
        ":1:20: users.?: invalid type, expected u16",
    );
}

#[test]
fn columns_count_characters_not_bytes() {
    says(
        &json(r#"{"users": {"ä😀": 1, "ü": "x"}}"#),
        ":1:26: users.ü: invalid type, expected u16",
    );
    says(
        &toml("users = {'ä😀' = 1, 'ü' = 'x'}"),
        ":1:26: users.ü: invalid type, expected u16",
    );
    says(
        &yaml("users: {'ä😀': 1, 'ü': x}"),
        ":1:23: users.ü: invalid type, expected u16",
    );
    says(
        &json("{\"users\": {\"ä\": 1,\n\"😀😀\" x}}"),
        ":2:6: expected `:`",
    );
}

#[test]
fn a_byte_order_mark_is_no_error() {
    assert!(error_of(file::json::<Config>, "\u{feff}{\"port\": 1}").is_none());
    assert!(error_of(file::toml::<Config>, "\u{feff}port = 1").is_none());
    assert!(error_of(file::yaml::<Config>, "\u{feff}port: 1").is_none());
    says(
        &json("\u{feff}{\"port\": \"x\"}"),
        ":1:10: port: invalid type, expected u16",
    );
    says(
        &toml("\u{feff}port = 'x'"),
        ":1:8: port: invalid type, expected u16",
    );
    says(
        &yaml("\u{feff}hosts: []\nport: x"),
        ":2:7: port: invalid type, expected u16",
    );
    says(
        &yaml("\u{feff}port: x"),
        ":1:7: port: invalid type, expected u16",
    );
    says(&json("\u{feff}{port}"), ":1:2: key must be a string");
    says(
        &toml("\u{feff}port = 1\nport = 2"),
        ":2:1: port: duplicate key",
    );
}

#[test]
fn bytes_that_are_no_utf8_are_told_by_their_place() {
    let contents = b"port: 1\n# \xC3\xA4 hunter2 \xFF hunter2";
    let expected = ":2:13: not valid UTF-8; save the file in that encoding";
    says(&error_of(file::json::<Config>, contents).unwrap(), expected);
    says(&error_of(file::toml::<Config>, contents).unwrap(), expected);
    says(&error_of(file::yaml::<Config>, contents).unwrap(), expected);
    says(&error_of(file::text, contents).unwrap(), expected);
}

#[test]
fn an_empty_file_says_so() {
    for contents in ["", " \n", "\u{feff}", "\u{feff}\n"] {
        for make in [file::json::<Printer> as Maker<_>, file::toml, file::yaml] {
            let error = error_of(make, contents).unwrap();
            assert!(
                error.to_string().ends_with("(the file is empty)"),
                "{error}"
            );
        }
    }
}

/// Broken in every way that came to mind, with the secret where it breaks.
#[test]
fn syntax_errors_quote_nothing() {
    let broken_json = [
        r#"{"port": "hunter2}"#,
        r#"{"port": "hunter2"#,
        "{\"port\": \"hunter2\n\"}",
        r#"{"port": hunter2}"#,
        r#"{"port": "\hunter2"}"#,
        r#"{"port": "\uhunter2"}"#,
        r#"{"port": "\ud800hunter2"}"#,
        "{\"port\": \"hunter2\u{1}\"}",
        r#"{"port" "hunter2"}"#,
        r#"{"port": 1 "hunter2"}"#,
        r#"{"hosts": ["hunter2" "hunter2"]}"#,
        r#"{"hosts": ["hunter2",]}"#,
        r#"{"port": 1} hunter2"#,
        r#"{hunter2: 1}"#,
        r#"hunter2"#,
        r#""hunter2""#,
        r#"{"port": 01}"#,
        r#"{"ports": {"hunter2": true}}"#,
    ];
    for contents in broken_json {
        let error = json(contents);
        assert!(
            !without_keys(&error).contains(SECRET),
            "{contents}: {error}"
        );
        assert!(error.line().is_some(), "{contents}: {error}");
    }
    let broken_toml = [
        "port = 'hunter2",
        "port = \"hunter2",
        "port = \"\"\"hunter2",
        "port = hunter2",
        "port = \"\\hunter2\"",
        "port = \"\\uhunter2\"",
        "port = \"hunter2\u{1}\"",
        "port 'hunter2'",
        "port = 1 'hunter2'",
        "port = 1hunter2",
        "port = 0xhunter2",
        "port = 1979-13-99hunter2",
        "port = 1979-05-27T99:99:99hunter2",
        "port = 25:61:hunter2",
        "port = 1.hunter2",
        "hosts = ['hunter2' 'hunter2']",
        "hosts = ['hunter2'",
        "printer = {message = 'hunter2'",
        "printer = {message 'hunter2'}",
        "printer.message = 'hunter2'\nprinter = 'hunter2'",
        "[printer]\nmessage='hunter2'\n[printer]\nmessage='hunter2'",
        "[printer\nmessage='hunter2'",
        "hunter2",
        "= hunter2",
        "'''hunter2''' = 1",
        "[ports]\nhunter2 = true",
    ];
    for contents in broken_toml {
        let error = toml(contents);
        assert!(
            !without_keys(&error).contains(SECRET),
            "{contents}: {error}"
        );
        assert!(error.line().is_some(), "{contents}: {error}");
    }
    let broken_yaml = [
        "port: 'hunter2",
        "port: \"hunter2",
        "port: \"\\hunter2\"",
        "port: \"\\xhunter2\"",
        "port: \"hunter2\u{1}\"",
        "printer:\n\tmessage: hunter2",
        "printer:\n  message: hunter2\n\tmessage: hunter2",
        "port: *hunter2",
        "port: &hunter2 hunter2",
        "port: !hunter2 x",
        "port: !!int hunter2",
        "port: !<hunter2 x",
        "port: {hunter2",
        "hosts: [hunter2",
        "hosts: [hunter2, 'hunter2' hunter2]",
        "port: 1\n  hunter2",
        "port: 1\nhunter2",
        "port: hunter2: hunter2",
        "port: @hunter2",
        "port: `hunter2`",
        "port: |hunter2\n x",
        "port: %hunter2\n%hunter2",
        "%hunter2\n---\nport: x",
        "%TAG hunter2",
        "--- hunter2\n--- hunter2",
        "hunter2",
        "- hunter2",
        "? hunter2\n? hunter2",
        "<<: hunter2",
        "<<: *hunter2",
        "port: 1\n---\nport: hunter2",
        "ports: {hunter2: true}",
    ];
    for contents in broken_yaml {
        let error = yaml(contents);
        assert!(
            !without_keys(&error).contains(SECRET),
            "{contents}: {error}"
        );
    }
}

/// In these messages of serde nothing follows the value.
#[test]
fn a_type_without_variants_or_fields_tells_no_value() {
    #[derive(Debug, Deserialize)]
    enum Never {}
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}

    let error = error_of(
        file::json::<BTreeMap<String, Never>>,
        r#"{"a": "x`, expected `hunter2\u001b[31m"}"#,
    );
    says(
        &error.unwrap(),
        ":1:7: a: unknown variant, there are no variants",
    );
    let error = error_of(file::json::<Nothing>, r#"{"x, expected hunter2": 1}"#);
    says(
        &error.unwrap(),
        ":1:2: unknown field `?`, there are no fields",
    );
}

/// An app's own messages that begin as serde's do.
#[test]
fn messages_that_imitate_those_of_serde_tell_no_value() {
    #[derive(Debug)]
    struct Imitates;
    impl<'de> Deserialize<'de> for Imitates {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            Err(serde::de::Error::custom(String::deserialize(deserializer)?))
        }
    }
    for message in [
        "invalid length 7, expected 16 characters, got hunter2",
        "invalid length hunter2, expected 16, expected hunter2",
        "invalid value: hunter2, expected hunter2",
        "invalid value: string hunter2, expected hunter2",
        "invalid value: string \"a\\\", expected hunter2",
        "invalid value: integer `hunter2`, expected hunter2",
        "invalid value: character `hunter2`, expected hunter2",
        "invalid type: map of hunter2, expected hunter2",
        "invalid type: map, expected \u{1b}[31mhunter2",
        "unknown variant `x`, expected one of `a`, `b`, got `hunter2`",
        "unknown variant `x`, expected hunter2",
        "unknown field `x` in `hunter2`",
        "missing field `x` in hunter2",
        "no variant of enum hunter2 is good",
        "data did not match any variant of untagged enum hunter2 x",
    ] {
        let value = serde_json::to_string(message).unwrap();
        for error in [
            error_of(file::json::<(Imitates,)>, format!("[{value}]")),
            error_of(
                file::toml::<BTreeMap<String, Imitates>>,
                format!("a = {}", value.replace("\\u001b", "\\u001B")),
            ),
            error_of(file::yaml::<(Imitates,)>, format!("[{value}]")),
        ] {
            let all = everything(&error.expect("it is refused"));
            assert!(!all.contains(SECRET), "{message}: {all}");
            assert!(!all.contains('\u{1b}'), "{message}: {all}");
        }
    }
}

/// serde has no list of what is expected there.
#[test]
fn an_unknown_field_beside_flattened_ones_is_named() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only their types matter")]
    struct Flattened {
        a: u8,
        #[serde(flatten)]
        rest: Rest,
    }
    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only their types matter")]
    struct Rest {
        b: u8,
    }
    for error in [
        error_of(file::json::<Flattened>, r#"{"a": 1, "b": 2, "colour": 3}"#),
        error_of(file::toml::<Flattened>, "a = 1\nb = 2\ncolour = 3"),
        error_of(file::yaml::<Flattened>, "a: 1\nb: 2\ncolour: 3"),
    ] {
        let text = error.unwrap().to_string();
        assert!(text.ends_with(": unknown field `colour`"), "{text}");
    }
}

/// The YAML library takes minutes for as many open brackets, and only then refuses them.
#[test]
fn what_is_nested_too_deeply_is_refused_at_once() {
    let deep = "[".repeat(400_000);
    says(
        &yaml(&format!("port: {deep}")),
        ":1:135: nested too deeply; 128 levels are the limit",
    );
    says(&toml(&format!("port = {deep}")), ":1:88: nested too deeply");
    let deep_key = format!("{}a = 1", "a.".repeat(100));
    says(&toml(&deep_key), ": nested too deeply");
    says(
        &toml(&format!("[{}a]", "a.".repeat(100))),
        ": nested too deeply",
    );
    let deep = format!(r#"{{"either": {deep}"#);
    assert!(json(&deep).to_string().contains("EOF while parsing a list"));
    let deep = format!("{{\"either\": {}{}}}", "[".repeat(200), "]".repeat(200));
    says(
        &json(&deep),
        ":1:139: nested too deeply; 128 levels are the limit",
    );
}

/// Everything but what may be shown because it is a key.
fn without_keys(error: &file::Error) -> String {
    let all = everything(error);
    match error.key() {
        Some(key) => all.replace(key, "").replace("`hunter2`", ""),
        None => all,
    }
}

/// The contents with the secret at one of many places.
fn documents(secret: &str) -> Vec<(Maker<Config>, String)> {
    let (quoted, whole) = (serde_json::to_string(secret).unwrap(), secret);
    // Without quotes a new line could make a key of it, and keys are told.
    let secret = secret.replace('\n', " ");
    let keys = [
        "port", "mode", "addr", "either", "custom", "letter", "pair", "printer", "ports", "users",
        "login",
    ];
    let mut documents: Vec<(Maker<Config>, String)> = Vec::new();
    for key in keys {
        documents.push((file::json, format!("{{\"{key}\": {quoted}}}")));
        documents.push((file::json, format!("{{\"{key}\": {secret}}}")));
        documents.push((file::json, format!("{{\"{key}\": \"{secret}\"}}")));
        documents.push((file::json, format!("{{\"{key}\": [{quoted}]}}")));
        documents.push((file::json, format!("{{\"{key}\": {quoted}")));
        documents.push((file::toml, format!("{key} = {quoted}")));
        documents.push((file::toml, format!("{key} = {secret}")));
        documents.push((file::toml, format!("{key} = '{secret}'")));
        documents.push((file::toml, format!("{key} = '''{whole}'''")));
        documents.push((file::toml, format!("{key} = [{quoted}]")));
        documents.push((file::toml, format!("{key} = [\"{secret}")));
        documents.push((file::yaml, format!("{key}: {quoted}")));
        documents.push((file::yaml, format!("{key}: {secret}")));
        documents.push((file::yaml, format!("{key}: '{secret}'")));
        documents.push((file::yaml, format!("{key}: |\n  {secret}")));
        documents.push((file::yaml, format!("{key}: [{secret}]")));
        documents.push((file::yaml, format!("{key}: !{secret}")));
        documents.push((file::yaml, format!("{key}: \"{secret}")));
    }
    documents
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_secret_is_ever_told(noise in "[ -~äß€😀\n]{0,12}", core in "[0-9]{6}[A-Z]{6}", tail in "[ -~ü]{0,8}") {
        // The core cannot occur by chance.
        for (make, contents) in documents(&format!("{noise}{core}{tail}")) {
            if let Some(error) = error_of(make, &contents) {
                let all = everything(&error);
                prop_assert!(!all.contains(&core) , "{contents}\n{all}");
            }
        }
    }
}
