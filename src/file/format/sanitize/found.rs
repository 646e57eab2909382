//! What serde says was found: the grammar of `serde::de::Unexpected`.
//!
//! Each function gives what follows it in the message, or `None` if serde does not say it like that.

/// Forms without a value in them. `null` is what JSON calls a unit.
const KINDS: [&str; 14] = [
    "byte array",
    "unit value",
    "null",
    "Option value",
    "newtype struct",
    "sequence",
    "map",
    "enum",
    "unit variant",
    "newtype variant",
    "tuple variant",
    "struct variant",
    "boolean `true`",
    "boolean `false`",
];

/// A value of any kind.
pub(super) fn value(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix("string \"") {
        return string(rest);
    }
    if let Some(rest) = text.strip_prefix("character `") {
        let mut rest = rest.chars();
        rest.next()?;
        return rest.as_str().strip_prefix('`');
    }
    if let Some(rest) = text.strip_prefix("integer `") {
        let rest = digits(rest.strip_prefix('-').unwrap_or(rest))?.strip_prefix('`')?;
        // So serde says it of what does not fit into 64 bits.
        let wide = [" as u128", " as i128"];
        let without = wide.iter().find_map(|wide| rest.strip_prefix(wide));
        return Some(without.unwrap_or(rest));
    }
    if let Some(rest) = text.strip_prefix("floating point `") {
        let (number, rest) = rest.split_once('`')?;
        number.parse::<f64>().ok()?;
        return Some(rest);
    }
    KINDS.into_iter().find_map(|kind| {
        let rest = text.strip_prefix(kind)?;
        rest.starts_with(',').then_some(rest)
    })
}

/// A number without a sign, as that of a length.
pub(super) fn digits(text: &str) -> Option<&str> {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    (rest.len() < text.len()).then_some(rest)
}

/// A string as `Debug` shows it, behind its opening quote.
fn string(text: &str) -> Option<&str> {
    let mut rest = text.chars();
    loop {
        match rest.next()? {
            '"' => return Some(rest.as_str()),
            '\\' => _ = rest.next(),
            _ => {}
        }
    }
}
