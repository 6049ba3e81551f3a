//! Glob patterns, with Redis's syntax: `*`, `?`, `[abc]`, `[^a-z]`, and `\` before what is meant
//! literally.
//!
//! All but `*` match exactly one byte. So when a match fails it is enough to let the *last* star
//! take one more byte: whatever an earlier star could do, the later one can do too. That keeps the
//! work within `pattern × text`, where recursion over all stars would be exponential.

/// Whether `pattern` matches all of `text`.
///
/// ```
/// assert!(raddle_kv::glob::matches(b"user:[0-9]*:na?e", b"user:42:name"));
/// ```
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Behind the last star, and where in the text to go on if the rest fails.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            if p == pattern.len() {
                return true;
            }
            retry = Some((p, t));
            continue;
        }
        match text.get(t) {
            None if p == pattern.len() => return true,
            // The last star cannot help: it would leave even less text for the rest.
            None => return false,
            Some(&byte) => {
                if p < pattern.len() {
                    let (matched, next) = element(pattern, p, byte);
                    if matched {
                        p = next;
                        t += 1;
                        continue;
                    }
                }
                let Some((behind_star, from)) = retry else { return false };
                retry = Some((behind_star, from + 1));
                p = behind_star;
                t = from + 1;
            }
        }
    }
}

/// Whether the element of `pattern` at `start` matches `byte`, and where the next one begins.
fn element(pattern: &[u8], start: usize, byte: u8) -> (bool, usize) {
    match pattern[start] {
        b'?' => (true, start + 1),
        b'[' => class(pattern, start + 1, byte),
        b'\\' if start + 1 < pattern.len() => (pattern[start + 1] == byte, start + 2),
        literal => (literal == byte, start + 1),
    }
}

/// A class whose `[` is behind us. A class that is not closed ends with the pattern.
fn class(pattern: &[u8], mut at: usize, byte: u8) -> (bool, usize) {
    let negated = pattern.get(at) == Some(&b'^');
    if negated {
        at += 1;
    }
    let mut matched = false;
    loop {
        match pattern[at..] {
            [] => return (matched != negated, at),
            [b']', ..] => return (matched != negated, at + 1),
            [b'\\', literal, ..] => {
                matched |= literal == byte;
                at += 2;
            }
            [first, b'-', last, ..] => {
                matched |= (first.min(last)..=first.max(last)).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                matched |= literal == byte;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, by recursion over all ways that a star can match.
    fn model(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|taken| model(rest, &text[taken..])),
            ([], _) | (_, []) => false,
            (_, [byte, tail @ ..]) => {
                let (matched, next) = element(pattern, 0, *byte);
                matched && model(&pattern[next..], tail)
            }
        }
    }

    #[test]
    fn elements_have_redis_meaning() {
        let yes: &[(&str, &str)] = &[
            ("h?llo", "hello"),
            ("h[ae]llo", "hallo"),
            ("h[^e]llo", "hallo"),
            ("h[a-b]llo", "hbllo"),
            ("h[b-a]llo", "hallo"),
            (r"h\*llo", "h*llo"),
            (r"[\]]", "]"),
            ("[a-", "-"),
            ("[abc", "b"),
            (r"a\", r"a\"),
            ("*", ""),
            ("**", "x"),
            ("a*b*c", "a12b34bc"),
        ];
        let no: &[(&str, &str)] = &[
            ("h?llo", "hllo"),
            ("h[^e]llo", "hello"),
            (r"h\*llo", "hello"),
            ("", "a"),
            ("a", ""),
            ("[]", "a"),
            ("a*b*c", "acb"),
            ("a*", "ba"),
        ];
        for (pattern, text) in yes {
            assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
        for (pattern, text) in no {
            assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_do_not_explode() {
        let pattern = b"a*".repeat(1000);
        let text = vec![b'a'; 10_000];
        assert!(matches(&pattern, &text));
        assert!(!matches(&[&pattern[..], b"b"].concat(), &text));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn matches_as_the_definition_says(
            pattern in r"([ab]|\*|\?|\[\^?[ab]\]|\[a-b\]|\\[*ab]|[\[\\]){0,8}",
            text in r"[ab*\[\\]{0,10}",
        ) {
            let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(matches(pattern, text), model(pattern, text));
        }
    }
}
