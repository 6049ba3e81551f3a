//! What the server tells of its commands: `COMMAND`, and the `HELP` of those with subcommands.

use super::{Command, Group, Outcome, SYNTAX, Spec, flag};
use crate::glob;
use crate::protocol::{Args, Output};

/// More than the description or the documentation of a command without subcommands takes.
const LENGTH_MAX: usize = 1536;

fn room(out: &Output, commands: usize) -> Outcome {
    Ok(out.room(commands * LENGTH_MAX)?)
}

pub(super) fn count(out: &mut Output) -> Outcome {
    out.count(Command::top_level().count());
    Ok(())
}

pub(super) fn all(out: &mut Output) -> Outcome {
    room(out, Command::ALL.len())?;
    out.array(Command::top_level().count());
    Command::top_level().for_each(|command| describe(command, out));
    Ok(())
}

/// The commands that are named, each with what is found under its name.
fn named<'a>(args: Args<'a>) -> impl Iterator<Item = (&'a [u8], Option<Command>)> + Clone {
    args.from(2).map(|name| {
        let command = match name.iter().position(|byte| *byte == b'|') {
            None => Command::find(name),
            Some(bar) => {
                Command::find(&name[..bar]).and_then(|parent| parent.find_child(&name[bar + 1..]))
            }
        };
        (name, command)
    })
}

pub(super) fn info(args: Args<'_>, out: &mut Output) -> Outcome {
    if args.len() == 2 {
        return all(out);
    }
    let count = |(_, command): (_, Option<Command>)| match command {
        Some(command) => 1 + command.children().count(),
        None => 1,
    };
    room(out, named(args).map(count).sum())?;
    out.array(args.len() - 2);
    for (_, command) in named(args) {
        match command {
            Some(command) => describe(command, out),
            None => out.null(),
        }
    }
    Ok(())
}

pub(super) fn docs(args: Args<'_>, out: &mut Output) -> Outcome {
    let chosen: Vec<Command> = if args.len() == 2 {
        Command::top_level().collect()
    } else {
        named(args).filter_map(|(_, command)| command).collect()
    };
    let children: usize = chosen.iter().map(|command| command.children().count()).sum();
    room(out, chosen.len() + children)?;
    out.map(chosen.len());
    chosen.iter().for_each(|command| document(*command, out));
    Ok(())
}

pub(super) fn list(args: Args<'_>, out: &mut Output) -> Outcome {
    let pattern = match args.len() {
        2 => None,
        5 if args.is(2, "filterby") && args.is(3, "pattern") => {
            Some(args.at(4).to_ascii_lowercase())
        }
        _ => return Err(SYNTAX),
    };
    let chosen: Vec<&str> = Command::top_level()
        .map(|command| command.spec().name)
        .filter(|name| pattern.as_ref().is_none_or(|p| glob::matches(p, name.as_bytes())))
        .collect();
    room(out, 2)?;
    out.array(chosen.len());
    chosen.iter().for_each(|name| out.bulk(name.as_bytes()));
    Ok(())
}

pub(super) fn help(parent: Command, out: &mut Output) -> Outcome {
    room(out, parent.children().count())?;
    out.array(1 + 2 * parent.children().count());
    let name = parent.spec().name.to_uppercase();
    out.simple(&format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for child in parent.children() {
        out.simple(&child.spec().short_name().to_uppercase());
        out.simple(&format!("    {}", child.spec().summary));
    }
    Ok(())
}

/// The ten elements that `COMMAND INFO` has for a command.
fn describe(command: Command, out: &mut Output) {
    let spec = command.spec();
    let (first, last, step) = spec.keys;
    out.array(10);
    out.bulk(spec.name.as_bytes());
    out.integer(spec.arity.into());
    statuses(&flags(spec), out);
    out.integer(first.into());
    out.integer(last.into());
    out.integer(step.into());
    statuses(&categories(spec), out);
    out.array(0);
    if first == 0 {
        out.array(0);
    } else {
        out.array(1);
        key_spec(spec, out);
    }
    out.array(command.children().count());
    command.children().for_each(|child| describe(child, out));
}

fn statuses(names: &[&str], out: &mut Output) {
    out.set(names.len());
    names.iter().for_each(|name| out.simple(name));
}

fn flags(spec: &Spec) -> Vec<&'static str> {
    let set = |bit: usize| spec.flags & 1 << bit != 0;
    flag::NAMES.iter().enumerate().filter(|(bit, _)| set(*bit)).map(|(_, name)| *name).collect()
}

/// The categories of access control follow from flags and group.
fn categories(spec: &Spec) -> Vec<&'static str> {
    let is = |flag: u16| spec.flags & flag != 0;
    let contains_others = Command::find(spec.name.as_bytes())
        .is_some_and(|command| command.children().next().is_some())
        && spec.arity == -2;
    let keyspace = spec.group == Group::Generic || is(flag::WRITE) && spec.group == Group::Server;
    let all = [
        ("@keyspace", keyspace || spec.name == "dbsize"),
        ("@read", is(flag::READONLY)),
        ("@write", is(flag::WRITE)),
        ("@string", spec.group == Group::String),
        ("@pubsub", is(flag::PUBSUB)),
        ("@admin", is(flag::ADMIN)),
        ("@fast", is(flag::FAST)),
        ("@slow", !is(flag::FAST)),
        ("@dangerous", is(flag::DANGEROUS)),
        ("@connection", spec.group == Group::Connection && !contains_others),
    ];
    all.iter().filter(|(_, applies)| *applies).map(|(name, _)| *name).collect()
}

/// Where the keys are, in the form that cluster clients read.
fn key_spec(spec: &Spec, out: &mut Output) {
    let (first, last, step) = spec.keys;
    let reads = spec.flags & flag::READONLY != 0;
    let usage: &[&str] = if reads { &["RO", "access"] } else { &["RW", "update"] };
    out.map(3);
    out.bulk(b"flags");
    statuses(usage, out);
    out.bulk(b"begin_search");
    out.map(2);
    out.bulk(b"type");
    out.bulk(b"index");
    out.bulk(b"spec");
    out.map(1);
    out.bulk(b"index");
    out.integer(first.into());
    out.bulk(b"find_keys");
    out.map(2);
    out.bulk(b"type");
    out.bulk(b"range");
    out.bulk(b"spec");
    out.map(3);
    out.bulk(b"lastkey");
    out.integer(if last < 0 { last } else { last - first }.into());
    out.bulk(b"keystep");
    out.integer(step.into());
    out.bulk(b"limit");
    out.integer(0);
}

/// An entry of `COMMAND DOCS`.
fn document(command: Command, out: &mut Output) {
    let spec = command.spec();
    let group = match spec.group {
        Group::Connection => "connection",
        Group::Generic => "generic",
        Group::Pubsub => "pubsub",
        Group::Server => "server",
        Group::String => "string",
    };
    let children = command.children().count();
    out.bulk(spec.name.as_bytes());
    out.map(4 + usize::from(children > 0));
    for (name, value) in [
        ("summary", spec.summary),
        ("since", spec.since),
        ("group", group),
        ("complexity", spec.complexity),
    ] {
        out.bulk(name.as_bytes());
        out.bulk(value.as_bytes());
    }
    if children > 0 {
        out.bulk(b"subcommands");
        out.map(children);
        command.children().for_each(|child| document(child, out));
    }
}
