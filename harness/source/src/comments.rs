//! The comments of a source file, which syn throws away, and where its braces are.
//!
//! A small lexer: it knows just enough of Rust's tokens (strings, raw strings, characters,
//! lifetimes, nested block comments) to tell a comment from text that looks like one.

use super::Place;

/// One line of comment. A block comment gives one of these per line that it covers.
#[derive(Debug)]
pub struct Comment {
    /// Where it begins on its line.
    pub place: Place,
    /// What it says, without the slashes of a line comment.
    pub text: String,
    /// Whether nothing but white space precedes it on its line.
    pub own_line: bool,
    /// Whether it is documentation, which syn keeps as an attribute.
    pub doc: bool,
}

/// An opening or closing brace outside strings and comments.
#[derive(Debug)]
pub(crate) struct Brace {
    pub(crate) place: Place,
    pub(crate) opens: bool,
}

/// What the lexer finds.
#[derive(Debug, Default)]
pub(crate) struct Trivia {
    /// In the order of the text.
    pub(crate) comments: Vec<Comment>,
    /// In the order of the text.
    pub(crate) braces: Vec<Brace>,
}

/// Finds the comments and braces of `text`.
pub(crate) fn scan(text: &str) -> Trivia {
    let mut lexer = Lexer {
        chars: text.chars().collect(),
        at: 0,
        place: Place::START,
        blank: true,
        found: Trivia::default(),
    };
    lexer.run();
    lexer.found
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    place: Place,
    /// Whether only white space has been seen on this line.
    blank: bool,
    found: Trivia,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn bump(&mut self) -> Option<char> {
        let char = self.peek(0)?;
        self.at += 1;
        if char == '\n' {
            self.place = Place { line: self.place.line + 1, column: 1 };
            self.blank = true;
        } else {
            self.place.column += 1;
            self.blank &= char.is_whitespace();
        }
        Some(char)
    }

    fn run(&mut self) {
        // Whether the character before can end an identifier: then `r"` and `'` mean other things.
        let mut in_word = false;
        while let Some(char) = self.peek(0) {
            let word = in_word;
            in_word = char.is_alphanumeric() || char == '_';
            match char {
                '/' if self.peek(1) == Some('/') => self.line_comment(),
                '/' if self.peek(1) == Some('*') => self.block_comment(),
                '"' => self.string(),
                '\'' => self.quote(),
                'r' if !word && self.raw_hashes(1).is_some() => self.raw_string(1),
                'b' | 'c' if !word && self.peek(1) == Some('r') && self.raw_hashes(2).is_some() => {
                    self.raw_string(2);
                }
                '{' | '}' => {
                    self.found.braces.push(Brace { place: self.place, opens: char == '{' });
                    self.bump();
                }
                _ => {
                    self.bump();
                }
            }
        }
    }

    fn line_comment(&mut self) {
        let (place, own_line, start) = (self.place, self.blank, self.at);
        while self.peek(0).is_some_and(|char| char != '\n') {
            self.bump();
        }
        let text: String = self.chars[start + 2..self.at].iter().collect();
        // Four slashes are a plain comment again.
        let doc = text.starts_with('!') || (text.starts_with('/') && !text.starts_with("//"));
        self.found.comments.push(Comment { place, text, own_line, doc });
    }

    fn block_comment(&mut self) {
        let doc = matches!(self.peek(2), Some('!')) || {
            self.peek(2) == Some('*') && !matches!(self.peek(3), Some('*' | '/'))
        };
        let mut depth = 0_usize;
        let (mut place, mut own_line, mut text) = (self.place, self.blank, String::new());
        loop {
            let (open, close) = match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => (true, false),
                (Some('*'), Some('/')) => (false, true),
                (None, _) => break,
                _ => (false, false),
            };
            if open || close {
                self.bump();
                self.bump();
                if close {
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                } else {
                    depth += 1;
                }
                continue;
            }
            match self.bump() {
                Some('\n') => {
                    let line = std::mem::take(&mut text);
                    self.found.comments.push(Comment { place, text: line, own_line, doc });
                    (place, own_line) = (self.place, true);
                }
                Some(char) => text.push(char),
                None => break,
            }
        }
        self.found.comments.push(Comment { place, text, own_line, doc });
    }

    fn string(&mut self) {
        self.bump();
        while let Some(char) = self.bump() {
            match char {
                '"' => return,
                '\\' => {
                    self.bump();
                }
                _ => {}
            }
        }
    }

    /// A character literal or a lifetime.
    fn quote(&mut self) {
        let literal = self.peek(1) == Some('\\') || self.peek(2) == Some('\'');
        self.bump();
        if !literal {
            return;
        }
        while let Some(char) = self.bump() {
            match char {
                '\'' => return,
                '\\' => {
                    self.bump();
                }
                _ => {}
            }
        }
    }

    /// How many `#` stand between here and the quote of a raw string; none if it is not one.
    fn raw_hashes(&self, ahead: usize) -> Option<usize> {
        let hashes = (ahead..).take_while(|&ahead| self.peek(ahead) == Some('#')).count();
        (self.peek(ahead + hashes) == Some('"')).then_some(hashes)
    }

    fn raw_string(&mut self, prefix: usize) {
        let hashes = self.raw_hashes(prefix).unwrap_or(0);
        for _ in 0..prefix + hashes + 1 {
            self.bump();
        }
        while let Some(char) = self.bump() {
            if char == '"' && (0..hashes).all(|ahead| self.peek(ahead) == Some('#')) {
                for _ in 0..hashes {
                    self.bump();
                }
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::scan;

    fn texts(source: &str) -> Vec<String> {
        scan(source).comments.into_iter().map(|comment| comment.text).collect()
    }

    #[test]
    fn strings_and_characters_hide_no_comment_and_are_none() {
        let source = r##"let a = "// no"; let b = r#"// " no"#; let c = '"'; // yes
            let d: &'static str = "\"// no"; let e = b'\''; /* and this */ let f = br"// no";"##;
        assert_eq!(texts(source), [" yes", " and this "]);
    }

    #[test]
    fn block_comments_nest_and_give_a_line_each() {
        let comments = scan("x /* one /* two */\n three */ y").comments;
        let lines: Vec<_> = comments.iter().map(|c| (c.place.line, c.own_line)).collect();
        assert_eq!(lines, [(1, false), (2, true)]);
    }

    #[test]
    fn documentation_is_told_from_comments() {
        let docs: Vec<_> = scan("/// a\n//! b\n//// c\n// d\n/** e */\n/* f */\n/**/")
            .comments
            .into_iter()
            .map(|c| c.doc)
            .collect();
        assert_eq!(docs, [true, true, false, false, true, false, false]);
    }

    #[test]
    fn braces_in_strings_and_comments_do_not_count() {
        assert_eq!(scan("{ \"}\" /* } */ '}' // }\n}").braces.len(), 2);
    }
}
