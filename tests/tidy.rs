//! The English of the documentation, as far as a program can judge it.

use std::fs;
use std::path::{Path, PathBuf};

/// The Rust files of the library.
fn sources(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Each line of the library's sources and of the README, with its place.
fn lines() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("README.md")];
    sources(&root.join("src"), &mut files);
    let mut lines = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.strip_prefix(root).unwrap().display().to_string();
        for (number, line) in text.lines().enumerate() {
            lines.push((format!("{name}:{}", number + 1), line.to_owned()));
        }
    }
    lines
}

/// A summary is a noun phrase, or a verb in the third person.
#[test]
fn no_summary_begins_with_a_question_word() {
    const WORDS: [&str; 9] = [
        "What", "How", "Whether", "Why", "Which", "When", "Where", "Who", "Whoever",
    ];
    let mut found = Vec::new();
    let mut in_docs = false;
    for (place, line) in lines() {
        let text = line.trim_start().strip_prefix("/// ");
        let first = text.and_then(|text| text.split(' ').next());
        if !in_docs && first.is_some_and(|word| WORDS.contains(&word)) {
            found.push(format!("{place}: {}", line.trim()));
        }
        in_docs = line.trim_start().starts_with("///");
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// A sentence names the actor: the caller, the worker, inotify.
#[test]
fn no_sentence_hides_its_actor() {
    let hidden = ["nobody", "whoever", "somebody"];
    let mut found = Vec::new();
    for (place, line) in lines() {
        let lower = line.to_lowercase();
        let mut words = lower.split(|c: char| !c.is_alphanumeric());
        if words.any(|word| hidden.contains(&word)) {
            found.push(format!("{place}: {}", line.trim()));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
