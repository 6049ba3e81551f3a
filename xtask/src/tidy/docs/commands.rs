//! Whether a command that documentation shows exists.

use clap::CommandFactory;

use crate::Cli;
use crate::workspace::{Kind, Package, Workspace};

/// What is wrong with a line of shell.
pub(crate) fn check(workspace: &Workspace, line: &str) -> Vec<String> {
    commands(line).iter().flat_map(|words| check_words(workspace, words)).collect()
}

/// The words of each command of a line: `a && B=c d | e` gives `[a]`, `[d]` and `[e]`.
fn commands(line: &str) -> Vec<Vec<&str>> {
    let mut commands = vec![Vec::new()];
    for word in line.split_whitespace() {
        match word {
            "&&" | "||" | "|" | ";" | "&" => commands.push(Vec::new()),
            word if word.starts_with('#') => break,
            word => {
                let command = commands.last_mut().filter(|command| {
                    let prefix = matches!(word, "nice" | "time" | "env" | "sudo");
                    !(command.is_empty() && (prefix || is_assignment(word)))
                });
                if let Some(command) = command {
                    command.push(word.trim_end_matches(';').trim_matches(['"', '\'']));
                }
                if word.ends_with(';') {
                    commands.push(Vec::new());
                }
            }
        }
    }
    commands.retain(|command| !command.is_empty());
    commands
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|char| char.is_ascii_uppercase() || char == '_')
    })
}

fn check_words(workspace: &Workspace, words: &[&str]) -> Vec<String> {
    match words {
        ["cargo", rest @ ..] => {
            let rest = match rest {
                [toolchain, rest @ ..] if toolchain.starts_with('+') => rest,
                rest => rest,
            };
            // What follows `--` is for the program.
            let end = rest.iter().position(|word| *word == "--").unwrap_or(rest.len());
            match &rest[..end] {
                ["xtask", arguments @ ..] => xtask(arguments),
                ["nextest", _, arguments @ ..] | [_, arguments @ ..] => cargo(workspace, arguments),
                [] => Vec::new(),
            }
        }
        [program, ..] => path(workspace, program).into_iter().collect(),
        [] => Vec::new(),
    }
}

/// A word that stands for what the reader fills in.
fn is_placeholder(word: &str) -> bool {
    word.starts_with(['<', '$', '[', '…']) || !word.chars().any(|char| char.is_ascii_lowercase())
}

fn xtask(arguments: &[&str]) -> Vec<String> {
    let Some((verb, arguments)) = arguments.split_first() else { return Vec::new() };
    if verb.starts_with('-') || *verb == "help" || is_placeholder(verb) {
        return Vec::new();
    }
    let command = Cli::command();
    let Some(definition) = command.find_subcommand(verb) else {
        return vec![format!(
            "`cargo xtask` has no verb `{verb}`: `cargo xtask --help` lists them"
        )];
    };
    let known = |flag: &str| {
        flag == "help" || definition.get_arguments().any(|known| known.get_long() == Some(flag))
    };
    arguments
        .iter()
        .filter_map(|word| word.trim_start_matches('[').strip_prefix("--"))
        .map(|flag| flag.split(['=', ']']).next().unwrap_or(flag))
        .filter(|flag| !known(flag))
        .map(|flag| format!("`cargo xtask {verb}` has no `--{flag}`"))
        .collect()
}

fn cargo(workspace: &Workspace, arguments: &[&str]) -> Vec<String> {
    let mut options = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.split_once('=') {
            Some((option, value)) => options.push((option, value)),
            None => {
                let names = ["-p", "--package", "--bin", "--test", "--bench", "--example"];
                if let (true, Some(value)) = (names.contains(word), words.clone().next()) {
                    options.push((word, value));
                }
            }
        }
    }
    options.retain(|(_, value)| !is_placeholder(value));
    let mut wrong = Vec::new();
    let mut packages: Vec<&Package> = Vec::new();
    for (_, name) in options.iter().filter(|(option, _)| matches!(*option, "-p" | "--package")) {
        match workspace.package(name) {
            Some(package) => packages.push(package),
            None => wrong.push(format!("the workspace has no package `{name}`")),
        }
    }
    if !wrong.is_empty() {
        return wrong;
    }
    for (option, name) in options {
        let kind = match option {
            "--bin" => Kind::Binary,
            "--test" => Kind::Test,
            "--bench" => Kind::Bench,
            "--example" => Kind::Example,
            _ => continue,
        };
        let has = |package: &Package| package.has(kind, name);
        let exists = if packages.is_empty() {
            workspace.packages.iter().any(has)
        } else {
            packages.iter().any(|package| has(package))
        };
        if !exists {
            let what = option.trim_start_matches('-');
            wrong.push(format!("there is no {what} `{name}` in the package"));
        }
    }
    wrong
}

/// A program that is called by its path must exist, or be built by the workspace.
fn path(workspace: &Workspace, program: &str) -> Option<String> {
    let path = program.strip_prefix("./").unwrap_or(program);
    if !program.contains('/') || program.starts_with(['/', '~', '$']) {
        return None;
    }
    let exists = match path.strip_prefix("target/") {
        Some(built) => {
            let name = built.rsplit('/').next().unwrap_or(built);
            workspace.targets(Kind::Binary).any(|target| target.name == name)
        }
        None => workspace.root.join(path).exists(),
    };
    (!exists).then(|| format!("there is no program `{program}`"))
}

#[cfg(test)]
mod tests {
    use super::commands;

    #[test]
    fn a_line_is_split_into_its_commands() {
        let words = commands("RUST_LOG=x nice cargo a --b=c && ./d 'e'; f | g # h");
        let expected: &[&[&str]] = &[&["cargo", "a", "--b=c"], &["./d", "e"], &["f"], &["g"]];
        assert_eq!(words, expected);
    }
}
