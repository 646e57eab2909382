//! Positions in a file.

use super::MARK;

/// A line and a column, both from 1. The column counts characters, except for a byte order mark.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::file) struct Position {
    pub(in crate::file) line: usize,
    pub(in crate::file) column: usize,
}

impl Position {
    /// The position of the character that the byte at `offset` belongs to.
    pub(super) fn at(text: &[u8], offset: usize) -> Self {
        let mut offset = offset.min(text.len());
        while offset < text.len() && offset > 0 && !starts_character(text[offset]) {
            offset -= 1;
        }
        let before = &text[..offset];
        let line_start = before
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |end| end + 1);
        let line = &before[line_start..];
        let is_marked = line_start == 0 && line.starts_with(MARK.as_bytes());
        let line = if is_marked { &line[MARK.len()..] } else { line };
        Self {
            line: 1 + before.iter().filter(|&&byte| byte == b'\n').count(),
            column: 1 + line.iter().filter(|&&byte| starts_character(byte)).count(),
        }
    }

    /// Converts a parser's line and column, both from 1, with columns that count bytes (0 is the
    /// end of the line before). `None` if the text has no such position, because the numbers then
    /// come from somewhere else.
    #[cfg(feature = "json")]
    pub(super) fn of_byte_column(text: &str, line: usize, column: usize) -> Option<Self> {
        let index = line.checked_sub(1)?;
        let contents = text.split('\n').nth(index)?;
        let start = contents.as_ptr().addr() - text.as_ptr().addr();
        let offset = column.saturating_sub(1);
        (offset <= contents.len()).then(|| Self::at(text.as_bytes(), start + offset))
    }
}

/// Returns `true` for the first byte of a character, in UTF-8.
fn starts_character(byte: u8) -> bool {
    byte & 0b1100_0000 != 0b1000_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, offset: usize) -> (usize, usize) {
        let position = Position::at(text.as_bytes(), offset);
        (position.line, position.column)
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(at("", 0), (1, 1));
        assert_eq!(at("äöü", 2), (1, 2));
        assert_eq!(at("äöü", 3), (1, 2), "in the middle of a character");
        assert_eq!(at("a\n😀b", 6), (2, 2));
        assert_eq!(at("a\n", 2), (2, 1));
        assert_eq!(at("a", 9), (1, 2), "beyond the end");
        let marked = [at("\u{feff}a\nb", 3), at("\u{feff}a\nb", 4)];
        assert_eq!(marked, [(1, 1), (1, 2)], "behind a byte order mark");
        assert_eq!(at("\u{feff}a\nb", 6), (2, 2), "a line further");
    }

    #[cfg(feature = "json")]
    #[test]
    fn a_place_that_does_not_exist_is_none() {
        assert!(Position::of_byte_column("ab\nc", 2, 2).is_some());
        assert!(Position::of_byte_column("ab\nc", 3, 1).is_none());
        assert!(Position::of_byte_column("ab\nc", 1, 9).is_none());
        assert!(Position::of_byte_column("ab\nc", 0, 0).is_none());
    }
}
