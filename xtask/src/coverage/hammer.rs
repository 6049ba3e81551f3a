//! `cargo xtask coverage-hammer`: which loops that wait for another thread the stress programs go
//! through.
//!
//! Such a loop has `// HAMMER-WAIT-LOOP: tag` above it, and at least one stress program says that it
//! covers the tag. Whether it does is counted: the program is run, and the sites inside the loop
//! were visited or not. Loops of `crates/platform` have no sites, they count for themselves.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use raddle_source::File;
use serde::{Deserialize, Serialize};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::{make_directory, write};
use crate::hammer::{Sanitizer, program};
use crate::workspace::{Role, Workspace};
use crate::{Error, Verdict};

const MARK: &str = "HAMMER-WAIT-LOOP";

/// Calls in which a loop waits.
const WAITS: [&str; 6] = ["spin_loop", "yield_now", "park", "park_until", "pause", "wait"];

/// The stress programs go on for so long, together.
const SECONDS: u64 = 40;

/// Report which loops that wait for another thread the stress programs go through.
///
/// `// HAMMER-WAIT-LOOP: tag` marks a loop in the production code, `covers` of a stress program says
/// that it goes there, and the run counts whether it does.
#[derive(Debug, clap::Args)]
pub(crate) struct Hammer {
    /// Fail if a loop is not covered or was never waited in, or if a tag is wrong.
    #[arg(long)]
    check: bool,
    /// How long the stress programs go on, together.
    #[arg(long, value_name = "N", default_value_t = SECONDS)]
    seconds: u64,
    /// The seed of the delays.
    #[arg(long, value_name = "SEED", default_value = "1")]
    seed: String,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A loop that is marked.
#[derive(Debug, Serialize)]
struct Row {
    tag: String,
    file: String,
    line: usize,
    /// The stress programs that say they cover it.
    covered_by: Vec<String>,
    /// How often something in it was done.
    entered: u64,
    /// How often it waited.
    waited: u64,
}

#[derive(Debug, Serialize)]
struct Report {
    loops: Vec<Row>,
    problems: Vec<String>,
}

/// What the program tells of its sites.
#[derive(Deserialize)]
struct Told {
    sites: Vec<Site>,
    waits: BTreeMap<String, u64>,
    covers: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Site {
    file: String,
    line: usize,
    column: usize,
    visits: u64,
}

impl Hammer {
    /// Runs the verb.
    pub(crate) fn run(&self) -> Result<Verdict, Error> {
        let workspace = Workspace::own()?;
        let (mut sources, mut problems) = (Sources::default(), Vec::new());
        for package in &workspace.packages {
            if matches!(package.role, Role::Platform | Role::Production) {
                sources.read(&workspace, &package.directory.join("src"), &mut problems)?;
            }
        }
        let told = self.hammer(&workspace)?;
        let report = join(sources, &told, problems);
        report.print();
        if let Some(path) = &self.json {
            let json = serde_json::to_string_pretty(&report)
                .map_err(|error| Error::new(format!("cannot write JSON: {error}")))?;
            write(path, &format!("{json}\n"))?;
        }
        let good = !self.check || report.problems.is_empty();
        Ok(if good { Verdict::Good } else { Verdict::Bad })
    }

    fn hammer(&self, workspace: &Workspace) -> Result<Told, Error> {
        let directory = workspace.target.join("coverage");
        make_directory(&directory)?;
        let file = directory.join("hammer-sites.json");
        let arguments = [
            ("--scenario", "stress/".to_owned()),
            ("--seconds", self.seconds.to_string()),
            ("--seed", self.seed.clone()),
            ("--sites", file.display().to_string()),
        ];
        let arguments: Vec<_> =
            arguments.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
        let status = program(Sanitizer::None, &arguments)?
            .status()
            .map_err(|error| Error::new(format!("cannot run cargo: {error}")))?;
        if !status.success() {
            return Err(Error::new("the stress programs failed: see above"));
        }
        let text = fs::read_to_string(&file)
            .map_err(|error| Error::new(format!("cannot read {}: {error}", file.display())))?;
        serde_json::from_str(&text)
            .map_err(|error| Error::new(format!("{} is not understood: {error}", file.display())))
    }
}

/// A loop in the source.
struct Marked {
    tag: String,
    file: String,
    first: usize,
    last: usize,
}

/// The sources, with their lines.
#[derive(Default)]
struct Sources {
    loops: Vec<Marked>,
    lines: BTreeMap<String, Vec<String>>,
}

impl Sources {
    fn read(
        &mut self,
        workspace: &Workspace,
        directory: &std::path::Path,
        problems: &mut Vec<String>,
    ) -> Result<(), Error> {
        let root = &workspace.root;
        for entry in walkdir::WalkDir::new(root.join(directory)).sort_by_file_name() {
            let entry = entry.map_err(|error| Error::new(error.to_string()))?;
            let path = entry.path();
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let text = fs::read_to_string(path)
                .map_err(|error| Error::new(format!("cannot read {}: {error}", path.display())))?;
            let name = path.strip_prefix(root).unwrap_or(path).display().to_string();
            self.loops.extend(marked(&name, &text, problems));
            self.lines.insert(name, text.lines().map(str::to_owned).collect());
        }
        Ok(())
    }

    /// The name of what is called at a site.
    fn called(&self, site: &Site) -> Option<&str> {
        let line = self.lines.get(&site.file)?.get(site.line.checked_sub(1)?)?;
        let call = line.get(site.column.checked_sub(1)?..)?.split(['(', '<']).next()?;
        // A path may have its turbofish at the end.
        call.trim_end_matches("::").rsplit([':', '.']).next()
    }
}

/// The first and the last line of each loop.
#[derive(Default)]
struct Loops(Vec<(usize, usize)>);

impl<'ast> Visit<'ast> for Loops {
    fn visit_expr(&mut self, expr: &'ast syn::Expr) {
        if matches!(expr, syn::Expr::Loop(_) | syn::Expr::While(_) | syn::Expr::ForLoop(_)) {
            let span = expr.span();
            self.0.push((span.start().line, span.end().line));
        }
        visit::visit_expr(self, expr);
    }
}

/// The marked loops of a file. What is wrong with the marks goes to `problems`.
fn marked(name: &str, text: &str, problems: &mut Vec<String>) -> Vec<Marked> {
    if !text.contains(MARK) {
        return Vec::new();
    }
    let file = File::new(name.into(), text);
    let mut loops = Loops::default();
    loops.visit_file(&file.syntax);
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let Some(comment) = line.trim_start().strip_prefix("//") else { continue };
        let Some(rest) = comment.trim_start().strip_prefix(MARK) else { continue };
        let tag = rest.strip_prefix(": ").map(str::trim).filter(|tag| {
            !tag.is_empty() && tag.chars().all(|c| c.is_ascii_lowercase() || c == '-')
        });
        let Some(tag) = tag else {
            problems.push(format!(
                "{name}:{}: write `// {MARK}: tag`, the tag in small letters and hyphens",
                index + 1
            ));
            continue;
        };
        // Other comments may stand between.
        let mut next = text.lines().enumerate().skip(index + 1);
        let next = next.find(|(_, line)| !line.trim_start().starts_with("//"));
        let below = next.map_or(0, |(index, _)| index + 1);
        match loops.0.iter().find(|(first, _)| *first == below) {
            Some(&(first, last)) => {
                found.push(Marked { tag: tag.to_owned(), file: name.to_owned(), first, last });
            }
            None => {
                problems.push(format!("{name}:{}: there is no loop below this mark", index + 1))
            }
        }
    }
    found
}

fn join(sources: Sources, told: &Told, mut problems: Vec<String>) -> Report {
    let mut rows: Vec<Row> = Vec::new();
    for marked in &sources.loops {
        if rows.iter().any(|row| row.tag == marked.tag) {
            problems
                .push(format!("{}:{}: a second loop `{}`", marked.file, marked.first, marked.tag));
        }
        let inside = |site: &&Site| {
            site.file == marked.file && (marked.first..=marked.last).contains(&site.line)
        };
        let sites = told.sites.iter().filter(inside);
        let waits = |site: &&Site| sources.called(site).is_some_and(|name| WAITS.contains(&name));
        let own = told.waits.get(&marked.tag).copied().unwrap_or(0);
        let row = Row {
            tag: marked.tag.clone(),
            file: marked.file.clone(),
            line: marked.first,
            covered_by: covering(told, &marked.tag),
            entered: own + sites.clone().map(|site| site.visits).sum::<u64>(),
            waited: own + sites.filter(waits).map(|site| site.visits).sum::<u64>(),
        };
        let place = format!("{}:{}: the loop `{}`", row.file, row.line, row.tag);
        if row.covered_by.is_empty() {
            problems.push(format!("{place} is covered by no stress program"));
        }
        if row.entered == 0 {
            problems.push(format!("{place} was never entered"));
        }
        rows.push(row);
    }
    for (stress, tags) in &told.covers {
        for tag in tags.iter().filter(|tag| !rows.iter().any(|row| row.tag == **tag)) {
            problems.push(format!("{stress} covers `{tag}`, and there is no such loop any more"));
        }
    }
    Report { loops: rows, problems }
}

fn covering(told: &Told, tag: &str) -> Vec<String> {
    let covers = told.covers.iter().filter(|(_, tags)| tags.iter().any(|known| known == tag));
    covers.map(|(stress, _)| stress.clone()).collect()
}

impl Report {
    fn print(&self) {
        println!("{:<16} {:>10} {:>10}  covered by", "loop", "entered", "waited");
        for row in &self.loops {
            let by = row.covered_by.join(", ");
            println!("{:<16} {:>10} {:>10}  {by}", row.tag, row.entered, row.waited);
        }
        self.problems.iter().for_each(|problem| println!("{problem}"));
        println!("{} loops, {} problems", self.loops.len(), self.problems.len());
    }
}

#[cfg(test)]
mod tests {
    use super::{Site, Sources, Told, join, marked};

    const SOURCE: &str = "\
fn wait(word: &Word) {
    // HAMMER-WAIT-LOOP: word
    // Until somebody sets it.
    while word.is_clear() {
        P::Threads::yield_now();
    }
}
fn other() {
    // HAMMER-WAIT-LOOP: nothing
    let x = 1;
    // HAMMER-WAIT-LOOP
    loop {}
}
";

    fn report(visits: u64, covers: &[&str]) -> Vec<String> {
        let mut problems = Vec::new();
        let loops = marked("a.rs", SOURCE, &mut problems);
        assert_eq!(problems.len(), 2, "a mark without a loop, and one without a tag: {problems:?}");
        let lines = [("a.rs".to_owned(), SOURCE.lines().map(str::to_owned).collect())].into();
        let told = Told {
            sites: vec![Site { file: "a.rs".to_owned(), line: 5, column: 9, visits }],
            waits: Default::default(),
            covers: [("stress/a".to_owned(), covers.iter().map(|it| (*it).to_owned()).collect())]
                .into(),
        };
        let report = join(Sources { loops, lines }, &told, Vec::new());
        assert_eq!((report.loops[0].line, report.loops[0].waited), (4, visits));
        report.problems
    }

    #[test]
    fn a_loop_that_is_covered_and_entered_is_well() {
        assert_eq!(report(3, &["word"]), [""; 0]);
    }

    #[test]
    fn what_is_missing_is_told() {
        assert!(report(3, &[])[0].contains("covered by no stress program"));
        assert!(report(0, &["word"])[0].contains("never entered"));
        assert!(report(3, &["word", "gone"])[0].contains("no such loop any more"));
    }
}
