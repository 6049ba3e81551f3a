//! `docs/bench.md`: the last quiet run of each group, with a picture.
//!
//! `docs/bench/<group>.json` keeps what a group measured and `docs/bench/<group>.svg` is its picture; the page
//! is made of all that are there, so that a run of one group leaves the others as they were.

use std::fmt::Write;
use std::path::Path;

use super::promise::{self, Judged};
use super::record::{self, Case, Measured, Run};
use super::table::time;
use super::{Group, chart};
use crate::Error;

/// Writes the files of the groups of `run`, and the page of all groups.
pub(super) fn write(root: &Path, run: &Run, groups: &[Group]) -> Result<(), Error> {
    let folder = root.join("docs/bench");
    for measured in &run.groups {
        let kept = Run { groups: vec![measured.clone()], ..run.clone() };
        record::write_json(&folder.join(format!("{}.json", measured.group)), &kept)?;
        let svg = chart::svg(measured);
        record::write(&folder.join(format!("{}.svg", measured.group)), &svg)?;
    }
    let mut sections = Vec::new();
    for group in groups {
        let file = folder.join(format!("{}.json", group.name));
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let kept: Run = serde_json::from_str(&text).map_err(|error| {
            let name = group.name;
            let again = format!("remove it and run `cargo xtask bench --group {name}`");
            Error::new(format!("{}: {error}: {again}", file.display()))
        })?;
        sections.push((group, kept));
    }
    let file = root.join("docs/bench.md");
    record::write(&file, &page(&sections))?;
    println!("\nwrote {} and docs/bench/", file.strip_prefix(root).unwrap_or(&file).display());
    Ok(())
}

const INTRODUCTION: &str = "\
# Benchmarks

Written by `cargo xtask bench`, which runs everything, or `cargo xtask bench --group NAME` for one
group. The benches are in `benches/benches`, one file for each group; `cargo bench -p raddle-benches`
runs them alone.

**Read the ratios, not the times.** Each figure is criterion's median for one iteration, with its
ratio to `raddle` in parentheses: *(2.00)* takes twice as long. All subjects of a case ran in the
same run, with the same number of threads or workers, and each checks a count or a sum of what it
did. Subjects that begin with `raddle` are ours; `work-alone` is what all of a case have to do besides; the
others are rivals.

A group is recorded only if the machine did nothing else meanwhile: a *probe* before, between and after the
groups measures how much longer a fixed piece of work takes on two threads at once than on one, and
for how much of its time a thread that could run had to wait for a core. `--compare` relates ours to
the geometric mean of the rivals in both runs; see `cargo xtask bench --help`.

A *promise* is a bound that the project sets itself. A missed one is shown as missed.
";

fn page(sections: &[(&Group, Run)]) -> String {
    let mut text = INTRODUCTION.to_owned();
    for (group, run) in sections {
        for measured in &run.groups {
            section(&mut text, group, run, measured);
        }
    }
    text
}

fn section(text: &mut String, group: &Group, run: &Run, measured: &Measured) {
    let (name, about) = (group.name, group.about);
    let (ratio, waiting) = (run.probe.ratio, 100.0 * run.probe.waiting);
    let _ = write!(text, "\n## {name}\n\n{about}\n\n![{name}](bench/{name}.svg)\n\n");
    cases(text, &measured.cases);
    let own = Run { groups: vec![measured.clone()], ..run.clone() };
    promises(text, &promise::judge(&own));
    for note in &measured.notes {
        let _ = writeln!(text, "* {note}");
    }
    if !measured.notes.is_empty() {
        text.push('\n');
    }
    let machine = &run.machine;
    let _ = writeln!(
        text,
        "{machine}. Probe: two threads took at most {ratio:.2} times as long as one, and waited for a core \
         for {waiting:.1} % of their time."
    );
}

/// A table with a column for each subject that any of the cases has; cases with other subjects than the
/// one before begin a new table.
fn cases(text: &mut String, cases: &[Case]) {
    let names = |case: &Case| case.subjects.iter().map(|it| it.subject.clone()).collect::<Vec<_>>();
    let mut columns = Vec::new();
    for case in cases {
        if names(case) != columns {
            if !columns.is_empty() {
                text.push('\n');
            }
            columns = names(case);
            let _ = writeln!(text, "| case | {} |", columns.join(" | "));
            let _ = writeln!(text, "|---|{}", "---|".repeat(columns.len()));
        }
        let cell = |it| match case.ratio(it) {
            Some(ratio) => format!("{} ({ratio:.2})", time(it.median_ns)),
            None => time(it.median_ns),
        };
        let cells: Vec<_> = case.subjects.iter().map(cell).collect();
        let _ = writeln!(text, "| {} | {} |", case.case, cells.join(" | "));
    }
    text.push('\n');
}

fn promises(text: &mut String, judged: &[Judged]) {
    if judged.is_empty() {
        return;
    }
    text.push_str("| promise | measured | bound | |\n|---|---|---|---|\n");
    for it in judged {
        let value = it.value.as_deref().unwrap_or("-");
        let state = it.state.name();
        let _ = writeln!(text, "| {} | {value} | {} | {state} |", it.what, it.bound);
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::GROUPS;
    use super::super::record::tests::{case, run};
    use super::write;

    #[test]
    fn a_run_of_one_group_keeps_the_sections_of_the_others() {
        let root = std::env::temp_dir().join(format!("xtask-page-{}", std::process::id()));
        let read = |file: &str| std::fs::read_to_string(root.join(file)).expect("written");
        let medians = [("raddle", 4.0), ("may", 10.0)];
        let locks = run("locks", vec![case("one", &medians)]);
        let mut tasks = run("tasks", vec![case("yield", &medians), case("two", &medians[..1])]);
        tasks.groups[0].notes.push("it was counted".to_owned());
        write(&root, &locks, GROUPS).expect("written");
        assert!(!read("docs/bench.md").contains("## tasks"));
        write(&root, &tasks, GROUPS).expect("written");
        let page = read("docs/bench.md");
        let place = |what: &str| page.find(what).unwrap_or_else(|| panic!("{what} in {page}"));
        assert!(place("## tasks") < place("## locks"), "in the order of the groups");
        for what in [
            "![tasks](bench/tasks.svg)",
            "| case | raddle | may |\n|---|---|---|\n| yield | 4.00 ns (1.00) | 10.0 ns (2.50) |",
            "| case | raddle |\n|---|---|\n| two | 4.00 ns (1.00) |",
            "| yield: raddle / may | 0.40 | ≤ 0.6 | kept |",
            "* it was counted",
            "two cores. Probe: two threads took at most 1.00 times",
        ] {
            place(what);
        }
        assert!(read("docs/bench/tasks.svg").starts_with("<svg "));
        std::fs::write(root.join("docs/bench/tasks.json"), "{").expect("written");
        let error = write(&root, &locks, GROUPS).expect_err("half a file").to_string();
        assert!(error.contains("tasks.json") && error.contains("--group tasks"), "{error}");
        std::fs::remove_dir_all(&root).expect("removed");
    }
}
