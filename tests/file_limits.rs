//! The limits of the tree between text and value: depth, aliases, time.
#![cfg(all(feature = "json", feature = "toml", feature = "yaml"))]

mod formats;

use std::time::{Duration, Instant};

use formats::{Format, Json, Toml, Yaml, read};
use serde::de::IgnoredAny;

/// Runs on the stack of a small thread, as on one of a runtime's, or of an app's.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(1 << 20);
    thread.spawn(test).unwrap().join().unwrap();
}

/// Refused or not, but soon, and without an overflow of the stack.
fn comes_to_an_end(format: Format, contents: &str) -> Result<IgnoredAny, String> {
    let start = Instant::now();
    let read = read::<IgnoredAny>(format, contents);
    let took = start.elapsed();
    assert!(
        took < Duration::from_secs(120),
        "{format:?} {took:?}: {contents:.40}"
    );
    read
}

#[test]
fn deep_nesting_is_refused_and_never_overflows_the_stack() {
    on_a_small_stack(|| {
        let nested = |open: &str, n: usize, inner: &str, close: &str| {
            format!("{}{inner}{}", open.repeat(n), close.repeat(n))
        };
        let message = "nested too deeply; 128 levels are the limit";
        for format in [Json, Yaml] {
            for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
                let levels = 128 / open.matches(['[', '{']).count();
                let fits = nested(open, levels, "1", close);
                assert!(comes_to_an_end(format, &fits).is_ok(), "{format:?} {open}");
                for n in [levels + 1, 300_000] {
                    let error = comes_to_an_end(format, &nested(open, n, "1", close));
                    assert!(
                        error.unwrap_err().ends_with(message),
                        "{format:?} {open} {n}"
                    );
                }
            }
        }
        for n in [129, 300_000] {
            for (open, close) in [("[", "]"), ("{a=", "}")] {
                let toml = format!("a = {}", nested(open, n, "1", close));
                assert!(comes_to_an_end(Toml, &toml).is_err());
            }
            let toml = format!("{} = 1", vec!["a"; n].join("."));
            assert!(comes_to_an_end(Toml, &toml).is_err());
            let toml = format!("[{}]\nb = 1", vec!["a"; n].join("."));
            assert!(comes_to_an_end(Toml, &toml).is_err());
            assert!(comes_to_an_end(Yaml, &format!("{}1", "- ".repeat(n))).is_err());
            assert!(comes_to_an_end(Yaml, &format!("{}1", "? ".repeat(n))).is_err());
        }
        let indented = |n: usize| -> String { (0..n).map(|n| format!("{:n$}a:\n", "")).collect() };
        assert!(comes_to_an_end(Yaml, &indented(127)).is_ok());
        assert!(comes_to_an_end(Yaml, &indented(2_000)).is_err());
        // Aliases lead deeper, too.
        let mut yaml = String::from("- &a0 [1]\n");
        for n in 1..200 {
            yaml.push_str(&format!("- &a{n} [*a{}]\n", n - 1));
        }
        assert!(comes_to_an_end(Yaml, &yaml).unwrap_err().ends_with(message));
    });
}

#[test]
fn aliases_that_repeat_too_much_are_refused() {
    let message = "the aliases up to here repeat more than 16 MiB of the file";
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..12 {
        let before = vec![format!("*a{}", n - 1); 10].join(", ");
        bomb.push_str(&format!("a{n}: &a{n} [{before}]\n"));
    }
    assert!(comes_to_an_end(Yaml, &bomb).unwrap_err().ends_with(message));
    // One long text, many times.
    let aliases = vec!["*a"; 100_000].join(", ");
    let bomb = format!("a: &a {}\nb: [{aliases}]", "x".repeat(1 << 20));
    assert!(comes_to_an_end(Yaml, &bomb).unwrap_err().ends_with(message));
    // By merging, with and without aliases.
    let mut bomb = String::from("a0: &a0 {x: [1, 2, 3, 4, 5, 6, 7, 8]}\n");
    for n in 1..30 {
        let before = n - 1;
        bomb.push_str(&format!(
            "a{n}: &a{n} {{x: [*a{before}, *a{before}], <<: *a{before}}}\n"
        ));
    }
    assert!(comes_to_an_end(Yaml, &bomb).unwrap_err().ends_with(message));
    let body = (0..30_000)
        .map(|n| format!("k{n}: 1, "))
        .collect::<String>();
    let bomb = format!("a: {}{{{body}}}{}", "{<<: ".repeat(100), "}".repeat(100));
    assert!(comes_to_an_end(Yaml, &bomb).unwrap_err().ends_with(message));
    // What is used now and then is used.
    let yaml = format!("a: &a {{x: 1}}\nb: [{}]", vec!["*a"; 1_000].join(", "));
    assert!(comes_to_an_end(Yaml, &yaml).is_ok());
}

#[test]
fn an_alias_inside_of_its_anchor_is_refused() {
    for yaml in ["&a [*a]", "a: &a {b: *a}", "a: &a\n  <<: *a"] {
        let error = comes_to_an_end(Yaml, yaml).unwrap_err();
        assert!(
            error.contains("an alias inside of what it stands for"),
            "{error}"
        );
    }
}

#[test]
fn large_and_odd_files_come_to_an_end() {
    // More than that only takes longer, unless it takes the square of that.
    let mib = 1 << 18;
    for (format, contents) in [
        (Json, format!("[{}0]", "0,".repeat(mib))),
        (
            Json,
            format!("{{\"a\": \"{}\"}}", "\\u00e4".repeat(mib / 6)),
        ),
        (Json, "[".repeat(mib)),
        (Json, "\"".repeat(mib)),
        (Toml, "[[a]]\n".repeat(mib / 24)),
        (Toml, format!("a = [{}]", "{},".repeat(mib / 12))),
        (Toml, "a=1\n".repeat(mib / 4)),
        (Yaml, "- \n".repeat(mib / 12)),
        (Yaml, "[".repeat(mib)),
        (Yaml, "{".repeat(mib)),
        (Yaml, "a: &a x\n".repeat(mib / 8)),
        (Yaml, format!("[{}]", "&a x,".repeat(mib / 20))),
        (Yaml, format!("[{}]", "!a x,".repeat(mib / 20))),
        (Yaml, format!("a: |\n{}", " x\n".repeat(mib / 12))),
        (Yaml, format!("a: '{}'", "x\n ".repeat(mib / 12))),
        (Yaml, "x\n".repeat(mib / 8)),
        (Yaml, "? ".repeat(mib / 8)),
        (Yaml, "---\n".repeat(mib / 8)),
        (Yaml, "#\n".repeat(mib / 8)),
        (Yaml, "\"".repeat(mib / 8)),
        (Yaml, format!("? {}: 1", "x".repeat(mib))),
    ] {
        _ = comes_to_an_end(format, &contents);
    }
}
