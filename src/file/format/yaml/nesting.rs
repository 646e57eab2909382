//! Finds brackets that are nested too deeply, before the library does.
//!
//! With every token libyaml looks at every bracket that is open, so that 40 KB of `[` take many
//! seconds. More than [`MAX_DEPTH`] levels can be no value: that is where the library itself refuses
//! to go deeper, once it has scanned all of the file.
//!
//! This knows as much of YAML as is needed to tell brackets that nest from those in texts. Where it
//! errs, a file is only refused if it has as many brackets more that nothing closes.

use super::{Position, Problem};

const MAX_DEPTH: usize = 128;

/// Refuses a document with brackets that are nested too deeply.
pub(super) fn check(text: &str) -> Result<(), Problem> {
    let mut scan = Scan::default();
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        if let Some(column) = scan.line(line.as_bytes()) {
            return Err(Problem {
                position: Some(Position::at(text.as_bytes(), offset + column)),
                key: None,
                message: format!("nested too deeply; {MAX_DEPTH} levels are the limit"),
            });
        }
        offset += line.len();
    }
    Ok(())
}

#[derive(Default)]
struct Scan {
    /// How many brackets are open.
    depth: usize,
    /// The quote that is open.
    quote: Option<u8>,
    /// The indentation that the lines of the text after a `|` or `>` exceed.
    text: Option<usize>,
    /// Whether a value may begin here.
    start: bool,
}

impl Scan {
    /// Where in the line it gets too deep.
    fn line(&mut self, line: &[u8]) -> Option<usize> {
        let indentation = line.iter().take_while(|&&byte| byte == b' ').count();
        if let Some(text) = self.text {
            if indentation > text || line.trim_ascii().is_empty() {
                return None;
            }
            self.text = None;
        }
        if self.depth == 0 && self.quote.is_none() {
            self.start = true;
        }
        // The columns of the token that began last, and of the key or dash that a value belongs to.
        let (mut token, mut parent) = (0, 0);
        let mut column = 0;
        while let Some(&byte) = line.get(column) {
            let next = line.get(column + 1).copied().unwrap_or(b'\n');
            let is_alone = next.is_ascii_whitespace();
            if let Some(quote) = self.quote {
                if quote == b'"' && byte == b'\\' || quote == b'\'' && [byte, next] == *b"''" {
                    column += 1;
                } else if byte == quote {
                    self.quote = None;
                }
                column += 1;
                continue;
            }
            let began = self.start;
            match byte {
                b'#' if column == 0 || line[column - 1].is_ascii_whitespace() => return None,
                b'[' | b'{' if began || self.depth > 0 => {
                    self.depth += 1;
                    self.start = true;
                    if self.depth > MAX_DEPTH {
                        return Some(column);
                    }
                }
                b']' | b'}' if self.depth > 0 => {
                    self.depth -= 1;
                    self.start = false;
                }
                b',' if self.depth > 0 => self.start = true,
                b':' if self.depth > 0 || is_alone => {
                    self.start = true;
                    parent = token;
                }
                b'-' | b'?' if began && is_alone => parent = column,
                b'"' | b'\'' if began => {
                    self.quote = Some(byte);
                    self.start = false;
                }
                b'|' | b'>' if began && self.depth == 0 => {
                    self.text = Some(parent);
                    return None;
                }
                // An anchor or a tag comes before its value.
                b'&' | b'!' if began => {
                    let rest = line[column..].iter();
                    column += rest.take_while(|byte| !byte.is_ascii_whitespace()).count();
                    continue;
                }
                _ if byte.is_ascii_whitespace() => {}
                _ => self.start = false,
            }
            if began && !self.start {
                token = column;
            }
            column += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Option<(usize, usize)> {
        let position = check(text).err()?.position?;
        Some((position.line, position.column))
    }

    #[test]
    fn brackets_that_nest_are_counted_wherever_they_begin() {
        let deep = "[".repeat(200);
        assert_eq!(place(&deep), Some((1, 129)));
        for before in [
            "a: ",
            "- a: ",
            "? ",
            "- - ",
            "a: &b !c ",
            "a: {b: [c, ",
            "a: x # [\nb: ",
            "a: 'it''s [' \nb: ",
            "a: \"\\\"[\" \nb: ",
            "a: |\n [\n\n [\nb: ",
            "- a: >-\n    [\n  b: ",
            "a: [x\n, ",
        ] {
            assert!(place(&format!("{before}{deep}")).is_some(), "{before}");
        }
        let pretty: String = (0..200).map(|n| format!("{:n$}{{\"a\":\n", "")).collect();
        assert_eq!(place(&pretty), Some((129, 129)));
    }

    #[test]
    fn brackets_that_do_not_nest_are_not_counted() {
        let lines = |line: &str| format!("{}\n", line).repeat(200);
        for text in [
            format!("a: {}{}", "[".repeat(128), "]".repeat(128)),
            format!("a: [{}]", "[1], {b: 2}, ".repeat(200)),
            format!("a: x{}", "[".repeat(200)),
            format!("a: '{}'", "[".repeat(200)),
            format!("a: [\"{}\"]", "\\\"[".repeat(200)),
            format!("a: ['{}']", "''[".repeat(200)),
            lines("- x [ y"),
            lines("- '['"),
            lines("- a: [b] # ["),
            format!("a: |\n{}b: 1", lines("  [ \\033[31m")),
            format!("a:\n- b: >-\n{}  c: 1", lines("    { echo")),
            format!("- |\n{}", lines(" [")),
            "a: &b".to_owned(),
            "!".to_owned(),
        ] {
            assert_eq!(place(&text), None, "{text}");
        }
    }
}
