//! `docs/orderings.md`.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::ledger::{Fate, Row};

const HEAD: &str = "\
# Memory orderings, and what needs them

Written by `cargo xtask audit-orderings --write`; [how to read it](loom.md#reading-the-audit).

Each row is a mutant: one site of the production code that promises less than it says, in one way. A
scenario that fails for it is the reason why the code is as it is; where none fails, the source
says why (`ORDERING-AUDIT`). `fence#2` is the second fence in its function. `Ok->Err` is a
compare-exchange that takes effect and says that it did not; `Err->Ok` one that changes nothing and
says that it did; `drop` loses a notification, `drop-wake` the wake-ups that follow the operation.

";

/// The table, one section per file. Lines of the source are not in it: they move.
pub(crate) fn markdown(rows: &[Row]) -> String {
    let mut text = HEAD.to_owned();
    let killed = rows.iter().filter(|row| row.fate == Fate::Killed).count();
    let explained = rows.iter().filter(|row| row.fate != Fate::Killed && !row.is_bad()).count();
    let percent = 100.0 * killed as f64 / rows.len().max(1) as f64;
    let _ = writeln!(
        text,
        "{} mutants: {killed} killed ({percent:.1} %), {explained} explained, {} neither.",
        rows.len(),
        rows.len() - killed - explained
    );
    let mut files: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        files.entry(row.file()).or_default().push(row);
    }
    for (file, rows) in files {
        let _ = writeln!(text, "\n## {file}\n\n| function | operation | mutant | killed by |");
        text.push_str("|---|---|---|---|\n");
        for row in rows {
            let Row { function, operation, change, .. } = row;
            let by = match (&row.killer, &row.explanation) {
                (Some(killer), _) => format!("`{killer}`"),
                (None, Some(reason)) => format!("explained: {}", reason.replace('|', "\\|")),
                (None, None) => "**nobody**".to_owned(),
            };
            let _ = writeln!(text, "| `{function}` | `{operation}` | `{change}` | {by} |");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Fate, Row, markdown};

    #[test]
    fn a_row_has_its_killer_or_its_reason() {
        let killed = Row {
            id: String::new(),
            site: "crates/a/src/b.rs:3:5".to_owned(),
            function: "B::c".to_owned(),
            operation: "load#1(Acquire)".to_owned(),
            change: "Acquire->Relaxed".to_owned(),
            fate: Fate::Killed,
            killer: Some("b/holds".to_owned()),
            message: None,
            explanation: None,
            scenarios: 1,
            seconds: 0.0,
        };
        let reason = Some("the lock orders it".to_owned());
        let explained =
            Row { fate: Fate::Survived, killer: None, explanation: reason, ..killed.clone() };
        let text = markdown(&[killed, explained]);
        assert!(text.contains("2 mutants: 1 killed (50.0 %), 1 explained, 0 neither."), "{text}");
        assert!(text.contains("## crates/a/src/b.rs"), "{text}");
        let row = "| `B::c` | `load#1(Acquire)` | `Acquire->Relaxed` | `b/holds` |";
        assert!(text.contains(row), "{text}");
        assert!(text.contains("| explained: the lock orders it |"), "{text}");
        assert!(!text.contains(":3:5"), "{text}");
    }
}
