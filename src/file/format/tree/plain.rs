//! Unquoted texts, typed by the core schema of YAML.

use std::borrow::Cow;

use super::Integer;

/// The type of an unquoted text.
pub(in crate::file::format) enum Plain {
    Null,
    Bool(bool),
    Integer(Integer),
    Float(f64),
    Text,
}

impl Plain {
    pub(in crate::file::format) fn of(text: &str) -> Self {
        if text.is_empty() || is_null(text) {
            return Self::Null;
        }
        match text {
            "true" | "True" | "TRUE" => return Self::Bool(true),
            "false" | "False" | "FALSE" => return Self::Bool(false),
            _ => {}
        }
        if let Some(number) = integer(text) {
            return Self::Integer(number);
        }
        match float(text) {
            Some(number) if !has_leading_zero(text) => Self::Float(number),
            _ => Self::Text,
        }
    }
}

/// The text with one spelling for each integer, boolean and null.
pub(super) fn canonical(text: &str) -> Cow<'_, str> {
    match Plain::of(text) {
        Plain::Null => Cow::Borrowed("null"),
        Plain::Bool(true) => Cow::Borrowed("true"),
        Plain::Bool(false) => Cow::Borrowed("false"),
        Plain::Integer(number) => Cow::Owned(number.to_string()),
        Plain::Float(_) | Plain::Text => Cow::Borrowed(text),
    }
}

pub(super) fn is_null(text: &str) -> bool {
    matches!(text, "null" | "Null" | "NULL" | "~")
}

fn integer(text: &str) -> Option<Integer> {
    let (sign, number) = match text.as_bytes().first()? {
        b'+' => ("", &text[1..]),
        b'-' => ("-", &text[1..]),
        _ => ("", text),
    };
    let radix = match number.get(..2) {
        Some("0x") => 16,
        Some("0o") => 8,
        Some("0b") => 2,
        _ => 10,
    };
    let digits = if radix == 10 { number } else { &number[2..] };
    if digits.starts_with(['+', '-']) || radix == 10 && has_leading_zero(number) {
        return None;
    }
    match sign {
        "" => Integer::of_digits(digits, radix),
        _ => Integer::of_digits(&format!("-{digits}"), radix),
    }
}

/// Parses a float. A number with a leading zero, such as that of an article or a telephone, is a
/// text unless a float is asked for.
pub(super) fn float(text: &str) -> Option<f64> {
    let number = text.strip_prefix('+').unwrap_or(text);
    match number {
        ".inf" | ".Inf" | ".INF" => return Some(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" if number == text => return Some(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" if number == text => return Some(f64::NAN),
        _ => {}
    }
    if number != text && number.starts_with(['+', '-']) {
        return None;
    }
    number
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite())
}

fn has_leading_zero(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut digits = digits.bytes();
    digits.next() == Some(b'0') && digits.len() > 0 && digits.all(|byte| byte.is_ascii_digit())
}
