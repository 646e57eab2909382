//! Escapes text from outside so that it stays within its line: file names, the texts of the app's
//! errors, triggers, keys. A line break in such a text would split a log line and could forge one, and
//! an escape sequence would reach the terminal.

use std::fmt::{self, Write};

/// Shows `T` with control characters and the like escaped as in a Rust literal: `\n`, `\u{1b}`.
/// Printable characters stay, quotes and backslashes too, so escaping twice changes nothing.
pub(crate) struct Escaped<T>(pub(crate) T);

impl<T: fmt::Display> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

/// Escapes what is written through it, as [`Escaped`] does.
pub(crate) struct Escaping<W>(pub(crate) W);

impl<W: Write> Write for Escaping<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| !is_plain(*c)) {
            self.0.write_str(&rest[..at])?;
            write!(self.0, "{}", c.escape_default())?;
            rest = &rest[at + c.len_utf8()..];
        }
        self.0.write_str(rest)
    }
}

/// Returns `true` if the character neither breaks a line nor controls how a terminal shows the rest of
/// it.
fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(
            c,
            // Line and paragraph separators.
            '\u{2028}' | '\u{2029}'
            // Marks, embeddings, overrides and isolates that change the direction of the text.
            | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// Returns `true` if [`Escaped`] would show the text as it is.
pub(crate) fn is_printable(text: &str) -> bool {
    text.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_controls_a_terminal_is_escaped_and_the_rest_is_not() {
        let hostile = "a\n\r\t\0\x1b[31m\x7f\u{85}\u{9b}\u{2028}\u{2029}\u{202e}\u{2066}b";
        let shown = Escaped(hostile).to_string();
        assert_eq!(
            shown,
            r"a\n\r\t\u{0}\u{1b}[31m\u{7f}\u{85}\u{9b}\u{2028}\u{2029}\u{202e}\u{2066}b"
        );
        assert!(!is_printable(hostile) && is_printable(&shown));
        assert_eq!(Escaped(&shown).to_string(), shown);
        let plain = r#"zażółć "C:\new" 'x' 日本 🦀"#;
        assert_eq!(Escaped(plain).to_string(), plain);
    }
}
