//! Inline requests: a line of words, for people with a terminal.

use super::Span;

/// The line has a quote that is not closed, or text that touches a closing quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unbalanced;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    None,
    Single,
    Double,
}

/// Splits the first `length` bytes of `line` into words, by Redis's rules of quoting. A word is
/// never longer than its source, so escapes are resolved in place.
///
/// Linear in `length`.
pub(super) fn split(
    line: &mut [u8],
    length: usize,
    words: &mut Vec<Span>,
) -> Result<(), Unbalanced> {
    let mut read = 0;
    loop {
        while read < length && is_space(line[read]) {
            read += 1;
        }
        if read == length {
            return Ok(());
        }
        let start = read;
        let mut write = start;
        let mut quote = Quote::None;
        loop {
            let Some(&byte) = line[..length].get(read) else {
                if quote == Quote::None {
                    break;
                }
                return Err(Unbalanced);
            };
            let literal = match (quote, byte) {
                (Quote::None, b' ' | b'\n' | b'\r' | b'\t') => break,
                (Quote::None, b'"') => {
                    quote = Quote::Double;
                    read += 1;
                    continue;
                }
                (Quote::None, b'\'') => {
                    quote = Quote::Single;
                    read += 1;
                    continue;
                }
                (Quote::Double, b'"') | (Quote::Single, b'\'') => {
                    read += 1;
                    if read < length && !is_space(line[read]) {
                        return Err(Unbalanced);
                    }
                    break;
                }
                (Quote::Double, b'\\') => {
                    let (literal, taken) = unescape(&line[read..length]);
                    read += taken - 1;
                    literal
                }
                (Quote::Single, b'\\') if line[..length].get(read + 1) == Some(&b'\'') => {
                    read += 1;
                    b'\''
                }
                (_, byte) => byte,
            };
            read += 1;
            line[write] = literal;
            write += 1;
        }
        words.push(Span::new(start, write));
    }
}

/// What C's `isspace` accepts.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// The byte that an escape stands for and the length of the escape; `text` begins at its backslash.
fn unescape(text: &[u8]) -> (u8, usize) {
    match *text {
        [_, b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
            (hex(high) << 4 | hex(low), 4)
        }
        [_, b'n', ..] => (b'\n', 2),
        [_, b'r', ..] => (b'\r', 2),
        [_, b't', ..] => (b'\t', 2),
        [_, b'b', ..] => (0x08, 2),
        [_, b'a', ..] => (0x07, 2),
        [_, other, ..] => (other, 2),
        _ => (b'\\', 1),
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Vec<Vec<u8>>, Unbalanced> {
        let mut line = line.as_bytes().to_vec();
        let mut spans = Vec::new();
        let length = line.len();
        split(&mut line, length, &mut spans)?;
        Ok(spans.iter().map(|s| line[s.start as usize..s.end as usize].to_vec()).collect())
    }

    fn check(line: &str, expected: &[&str]) {
        let expected: Vec<_> = expected.iter().map(|word| word.as_bytes().to_vec()).collect();
        assert_eq!(words(line), Ok(expected), "{line:?}");
    }

    #[test]
    fn words_are_split_at_spaces() {
        check("", &[]);
        check("  \t ", &[]);
        check("set a b", &["set", "a", "b"]);
        check(" set\ta   b ", &["set", "a", "b"]);
    }

    #[test]
    fn quotes_group_and_escape() {
        check(r#"set "a b" 'c d'"#, &["set", "a b", "c d"]);
        check(r#""" ''"#, &["", ""]);
        check(r#""\x41\n\"\q""#, &["A\n\"q"]);
        check(r#"'\' \n'"#, &["' \\n"]);
        check(r#"foo"bar baz""#, &["foobar baz"]);
        check(r#""\xzz""#, &["xzz"]);
    }

    #[test]
    fn unbalanced_quotes_are_refused() {
        for line in [r#"""#, "'", r#"get "a"#, r#""a"b"#, "'a'b", r#""\"#, r#""a\""#] {
            assert_eq!(words(line), Err(Unbalanced), "{line:?}");
        }
    }
}
