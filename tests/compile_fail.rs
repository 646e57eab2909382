//! The mistakes that people make, and what the compiler says to them.
//!
//! Each program in `tests/compile_fail/` makes one mistake. Its lines that begin with `//~ ` are
//! what the compiler's errors have to say: most of it comes from the
//! `#[diagnostic::on_unimplemented]` texts in `src/`, and tells what to write instead. The rest of an
//! error is rustc's own wording, which depends on its release and on the length of the checkout's
//! path. To read all of one, after the test has run:
//!
//! ```text
//! cargo check --manifest-path target/tmp/compile_fail/Cargo.toml --bin no_handle
//! ```
//!
//! The twins in `tests/compile_pass.rs` are the same programs without the mistake.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Deserializer, Value};

const CHECKOUT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn a_mistake_is_answered_with_what_to_write() {
    let programs = programs();
    let errors = check(&programs);
    let mut missing = String::new();
    for (name, path) in &programs {
        let source = fs::read_to_string(path).unwrap();
        let said = errors.get(name).map_or("", String::as_str);
        let mut expected = source
            .lines()
            .filter_map(|line| line.strip_prefix("//~ "))
            .peekable();
        assert!(expected.peek().is_some(), "{name} expects nothing");
        for sentence in expected.filter(|sentence| !said.contains(sentence)) {
            writeln!(missing, "{name}: no error says \"{sentence}\"\n{said}").unwrap();
        }
    }
    assert!(missing.is_empty(), "\n{missing}");
}

#[test]
fn each_mistake_has_a_twin() {
    for name in programs().keys() {
        let twin = format!("fn {name}()");
        assert!(include_str!("compile_pass.rs").contains(&twin), "{name}");
    }
}

/// The programs by name.
fn programs() -> BTreeMap<String, PathBuf> {
    let programs: BTreeMap<_, _> = fs::read_dir(Path::new(CHECKOUT).join("tests/compile_fail"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path))
        .collect();
    assert!(!programs.is_empty());
    programs
}

/// Compiles the programs and returns the errors of each.
///
/// They are the binaries of a package in the target directory, beside what was compiled for it, so
/// that this is done once. Its dependencies are those of the workspace's lock file, which are there:
/// nothing is downloaded.
fn check(programs: &BTreeMap<String, PathBuf>) -> BTreeMap<String, String> {
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compile_fail");
    fs::create_dir_all(&package).unwrap();
    fs::copy(
        Path::new(CHECKOUT).join("Cargo.lock"),
        package.join("Cargo.lock"),
    )
    .unwrap();
    fs::write(package.join("Cargo.toml"), manifest(programs)).unwrap();

    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["check", "--bins", "--keep-going", "--offline", "--quiet"])
        .arg("--message-format=json")
        .arg("--manifest-path")
        .arg(package.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(package.join("target"))
        // The configuration of cargo is looked for from here upwards.
        .current_dir(CHECKOUT)
        .output()
        .unwrap();

    let mut errors = BTreeMap::<_, String>::new();
    for message in Deserializer::from_slice(&output.stdout).into_iter::<Value>() {
        let message = message.unwrap();
        let diagnostic = &message["message"];
        if message["reason"] == "compiler-message" && diagnostic["level"] == "error" {
            let name = message["target"]["name"].as_str().unwrap();
            let said = errors.entry(name.to_owned()).or_default();
            write_sentences(said, diagnostic);
        }
    }
    assert!(
        errors.keys().all(|name| programs.contains_key(name)) && !errors.is_empty(),
        "{errors:#?}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    errors
}

fn manifest(programs: &BTreeMap<String, PathBuf>) -> String {
    // The features that add implementations of the traits whose absence is explained.
    let features = [
        ("signal", cfg!(feature = "signal")),
        ("file", cfg!(feature = "file")),
    ];
    let features: Vec<_> = features
        .iter()
        .filter_map(|(name, is_on)| is_on.then_some(name))
        .collect();
    let mut manifest = format!(
        r#"[package]
name = "compile_fail"
edition = "2024"
publish = false

[dependencies]
rekindle = {{ path = {CHECKOUT:?}, default-features = false, features = {features:?} }}
tokio = "1"

[workspace]
"#
    );
    for (name, path) in programs {
        write!(manifest, "\n[[bin]]\nname = {name:?}\npath = {path:?}\n").unwrap();
    }
    manifest
}

/// The error and its notes, without the excerpts of the program: those would have its comments, and
/// with them the very sentences that are looked for.
fn write_sentences(text: &mut String, diagnostic: &Value) {
    let code = diagnostic["code"]["code"].as_str().unwrap_or_default();
    let message = diagnostic["message"].as_str().unwrap();
    writeln!(text, "error[{code}]: {message}").unwrap();
    for note in diagnostic["children"].as_array().unwrap() {
        let message = note["message"].as_str().unwrap();
        writeln!(text, "  {message}").unwrap();
    }
}
