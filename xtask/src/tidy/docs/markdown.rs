//! As much of Markdown as links, headings and commands need.

use raddle_source::Place;

/// A line, and where it begins.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) place: Place,
    pub(crate) text: String,
}

/// What a page contains that can be checked.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// The targets of links.
    pub(crate) links: Vec<(Place, String)>,
    /// The commands of shell blocks, continued lines joined, and code spans that begin with
    /// `cargo`.
    pub(crate) commands: Vec<(Place, String)>,
    /// The names that links can use for the headings, as GitHub makes them.
    pub(crate) anchors: Vec<String>,
}

/// A code block that is open.
struct Fence {
    /// How many of which character closes it.
    mark: String,
    /// Whether each command follows a prompt, since output stands between them.
    prompts: bool,
    shell: bool,
    /// A command that the next line continues.
    open: Option<(Place, String)>,
}

impl Page {
    /// Reads a page.
    pub(crate) fn read(lines: &[Line]) -> Self {
        let mut page = Self::default();
        let mut fence: Option<Fence> = None;
        for line in lines {
            let trimmed = line.text.trim();
            match &mut fence {
                Some(open) if trimmed.starts_with(&open.mark) => fence = None,
                Some(open) => open.command(line, &mut page.commands),
                None => match Fence::begin(trimmed) {
                    Some(begun) => fence = Some(begun),
                    None => page.prose(line),
                },
            }
        }
        page
    }

    fn prose(&mut self, line: &Line) {
        let mut text = String::new();
        // Every second part is a code span; in its place blanks keep the columns.
        for (index, part) in line.text.split('`').enumerate() {
            if index % 2 == 1 {
                if part.starts_with("cargo ") {
                    let place = line.at(text.chars().count());
                    self.commands.push((place, part.to_owned()));
                }
                text.push('`');
                text.extend(part.chars().map(|_| ' '));
                text.push('`');
            } else {
                text.push_str(part);
            }
        }
        if line.text.starts_with('#') {
            let anchor = anchor(&line.text);
            let repeats = self.anchors.iter().filter(|known| **known == anchor).count();
            let suffix = if repeats == 0 { String::new() } else { format!("-{repeats}") };
            self.anchors.push(anchor + &suffix);
        }
        if let Some((_, target)) =
            text.strip_prefix('[').and_then(|definition| definition.split_once("]: "))
        {
            self.link(line.place, target);
        }
        for (start, _) in text.match_indices("](") {
            let target: String = balanced(&text[start + 2..]);
            self.link(line.at(text[..start + 2].chars().count()), &target);
        }
    }

    fn link(&mut self, place: Place, target: &str) {
        // What follows the target is a title.
        if let Some(target) = target.split_whitespace().next() {
            let target = target.trim_start_matches('<').trim_end_matches('>');
            self.links.push((place, target.to_owned()));
        }
    }
}

impl Line {
    fn at(&self, column: usize) -> Place {
        Place { column: self.place.column + column, ..self.place }
    }
}

impl Fence {
    fn begin(line: &str) -> Option<Self> {
        let length = |mark: char| line.chars().take_while(|&char| char == mark).count();
        let (mark, count) =
            ['`', '~'].map(|mark| (mark, length(mark))).into_iter().max_by_key(|m| m.1)?;
        if count < 3 {
            return None;
        }
        let language = line[count..].split([',', ' ']).next().unwrap_or("");
        Some(Self {
            mark: mark.to_string().repeat(count),
            prompts: matches!(language, "console" | "shell-session"),
            shell: matches!(language, "sh" | "bash" | "shell" | "console" | "shell-session"),
            open: None,
        })
    }

    fn command(&mut self, line: &Line, commands: &mut Vec<(Place, String)>) {
        if !self.shell {
            return;
        }
        let text = line.text.trim();
        let (place, mut command) = match (self.open.take(), text.strip_prefix("$ ")) {
            (Some((place, before)), _) => (place, before + text),
            (None, Some(command)) => (line.place, command.to_owned()),
            (None, None) if self.prompts => return,
            (None, None) => (line.place, text.to_owned()),
        };
        if command.ends_with('\\') {
            command.pop();
            self.open = Some((place, command));
        } else {
            commands.push((place, command));
        }
    }
}

/// The name that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter_map(|char| match char {
            ' ' => Some('-'),
            '-' | '_' => Some(char),
            char => char.is_alphanumeric().then_some(char),
        })
        .collect()
}

/// What precedes the parenthesis that closes the one before `text`.
fn balanced(text: &str) -> String {
    let mut depth = 1;
    text.chars()
        .take_while(|char| {
            match char {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            depth > 0
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Line, Page};
    use raddle_source::Place;

    fn page(text: &str) -> Page {
        let line = |(index, text): (usize, &str)| Line {
            place: Place { line: index + 1, column: 1 },
            text: text.to_owned(),
        };
        Page::read(&text.lines().enumerate().map(line).collect::<Vec<_>>())
    }

    #[test]
    fn links_are_found_where_they_are_links() {
        let page =
            page("a [b](c.md) `[d](e)` [f`g`](h_(i).md \"title\")\n[j]: <k.md>\n```\n[l](m)\n```");
        let links: Vec<_> =
            page.links.iter().map(|(place, t)| (place.line, place.column, t.as_str())).collect();
        assert_eq!(links, [(1, 7, "c.md"), (1, 29, "h_(i).md"), (2, 1, "k.md")]);
    }

    #[test]
    fn commands_follow_a_prompt_where_output_does() {
        let page =
            page("```console\n$ cargo a \\\n    --b\nout\n```\n```sh\ncargo c\n```\n`cargo d` `e`");
        let commands: Vec<_> = page.commands.iter().map(|(_, command)| command.as_str()).collect();
        assert_eq!(commands, ["cargo a --b", "cargo c", "cargo d"]);
    }

    #[test]
    fn anchors_are_those_of_github() {
        let page = page("# What it's for: `Arc<T>`\n## Why\n## Why\n");
        assert_eq!(page.anchors, ["what-its-for-arct", "why", "why-1"]);
    }
}
