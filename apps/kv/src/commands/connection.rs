//! Commands about the connection itself.

use core::fmt::Write as _;

use raddle::on::{Atomic, Clock, Ordering, Platform};

use super::{Command, Failure, NO_PROTOCOL, Outcome, SYNTAX, integer, wrong_arity};
use crate::client::{Client, Cut, Description};
use crate::protocol::{Args, Output, Protocol, parse_integer};
use crate::pubsub::Kind;
use crate::session::Session;

type S<'a, 's, P> = &'a mut Session<'s, P>;

/// The version of Redis whose behaviour this is.
pub(super) const REDIS_VERSION: &str = "7.0.15";

pub(super) fn ping<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
) -> Outcome {
    if args.len() > 2 {
        return Err(wrong_arity(Command::Ping.spec()));
    }
    let message = args.get(1);
    if session.subscriptions() > 0 && out.protocol() == Protocol::Resp2 {
        // A subscriber of the old protocol takes everything for a message.
        let message = message.unwrap_or_default();
        out.room(message.len() + 64)?;
        out.array(2);
        out.bulk(b"pong");
        out.bulk(message);
        return Ok(());
    }
    match message {
        None => out.raw(b"+PONG\r\n"),
        Some(message) => {
            out.room(message.len())?;
            out.bulk(message);
        }
    }
    Ok(())
}

pub(super) fn echo(args: Args<'_>, out: &mut Output) -> Outcome {
    out.room(args.at(1).len())?;
    out.bulk(args.at(1));
    Ok(())
}

const WRONG_PASSWORD: Failure =
    Failure::error("WRONGPASS invalid username-password pair or user is disabled.");

pub(super) fn auth(args: Args<'_>, out: &mut Output) -> Outcome {
    match args.len() {
        2 => Err(Failure::error(
            "ERR AUTH <password> called without any password configured for the default user. Are \
             you sure your configuration is correct?",
        )),
        3 if args.at(1) == b"default" => {
            out.ok();
            Ok(())
        }
        3 => Err(WRONG_PASSWORD),
        _ => Err(SYNTAX),
    }
}

pub(super) fn hello<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
) -> Outcome {
    let mut protocol = out.protocol();
    if let Some(version) = args.get(1) {
        protocol = match parse_integer(version) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => return Err(NO_PROTOCOL),
            None => {
                return Err(Failure::error(
                    "ERR Protocol version is not an integer or out of range",
                ));
            }
        };
    }
    let mut name = None;
    let mut index = 2;
    while index < args.len() {
        if args.is(index, "auth") && index + 2 < args.len() {
            if args.at(index + 1) != b"default" {
                return Err(WRONG_PASSWORD);
            }
            index += 3;
        } else if args.is(index, "setname") && index + 1 < args.len() {
            name = Some(printable(args.at(index + 1)).ok_or(BAD_NAME)?);
            index += 2;
        } else {
            let option = args.at(index);
            return Err(Failure::quoting("ERR Syntax error in HELLO option '", option, "'"));
        }
    }
    if let Some(name) = name {
        describe(session, |description| description.name = name.into())?;
    }
    session.set_protocol(protocol, out);
    out.map(7);
    out.bulk(b"server");
    out.bulk(b"redis");
    out.bulk(b"version");
    out.bulk(REDIS_VERSION.as_bytes());
    out.bulk(b"proto");
    out.integer(if protocol == Protocol::Resp3 { 3 } else { 2 });
    out.bulk(b"id");
    out.count(session.client.id as usize);
    out.bulk(b"mode");
    out.bulk(b"standalone");
    out.bulk(b"role");
    out.bulk(b"master");
    out.bulk(b"modules");
    out.array(0);
    Ok(())
}

pub(super) fn quit(out: &mut Output) -> Outcome {
    out.ok();
    Err(Failure::Close)
}

pub(super) fn reset<P: Platform>(session: S<'_, '_, P>, out: &mut Output) -> Outcome {
    for kind in [Kind::Channel, Kind::Pattern] {
        let all = session.all(kind);
        session.silence(kind, all.iter().map(|topic| &**topic));
        session.collect(out, 0)?;
        session.has_lost_nothing()?;
        all.iter().for_each(|topic| session.forget(kind, topic));
    }
    session.set_protocol(Protocol::Resp2, out);
    describe(session, |description| description.name = Box::default())?;
    out.simple("RESET");
    Ok(())
}

pub(super) fn select(args: Args<'_>, out: &mut Output) -> Outcome {
    match integer(args.at(1))? {
        0 => {
            out.ok();
            Ok(())
        }
        _ => Err(Failure::error("ERR DB index is out of range")),
    }
}

const BAD_NAME: Failure =
    Failure::error("ERR Client names cannot contain spaces, newlines or special characters.");

/// The text, if a line of `CLIENT LIST` can hold it.
fn printable(text: &[u8]) -> Option<&[u8]> {
    text.iter().all(|byte| (b'!'..=b'~').contains(byte)).then_some(text)
}

/// Changes the client's description, if there is memory for it; else the client is cut off.
fn describe<P: Platform>(session: S<'_, '_, P>, change: impl FnOnce(&mut Description)) -> Outcome {
    let (ledger, client) = (&session.shared.ledger, &session.client);
    let mut description = client.description.lock();
    let mut changed = description.clone();
    change(&mut changed);
    let (before, after) = (description.len(), changed.len());
    if !ledger.try_charge(client, after) {
        client.cut(Cut::ClientMemory);
        return Err(Failure::Close);
    }
    *description = changed;
    ledger.release(client, before);
    Ok(())
}

pub(super) fn client_setname<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
) -> Outcome {
    let name = printable(args.at(2)).ok_or(BAD_NAME)?;
    describe(session, |description| description.name = name.into())?;
    out.ok();
    Ok(())
}

pub(super) fn client_getname<P: Platform>(session: S<'_, '_, P>, out: &mut Output) -> Outcome {
    let description = session.client.description.lock();
    if description.name.is_empty() {
        out.null();
    } else {
        out.room(description.name.len())?;
        out.bulk(&description.name);
    }
    Ok(())
}

pub(super) fn client_setinfo<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
) -> Outcome {
    let (name, version) = (args.is(2, "lib-name"), args.is(2, "lib-ver"));
    if !name && !version {
        return Err(Failure::quoting("ERR Unrecognized option '", args.at(2), "'"));
    }
    let Some(value) = printable(args.at(3)) else {
        let option = if name { "lib-name" } else { "lib-ver" };
        let after = " cannot contain spaces, newlines or special characters.";
        return Err(Failure::quoting("ERR ", option.as_bytes(), after));
    };
    describe(session, |description| {
        let field = if name { &mut description.library } else { &mut description.library_version };
        *field = value.into();
    })?;
    out.ok();
    Ok(())
}

pub(super) fn client_id<P: Platform>(session: S<'_, '_, P>, out: &mut Output) -> Outcome {
    out.count(session.client.id as usize);
    Ok(())
}

pub(super) fn client_info<P: Platform>(session: S<'_, '_, P>, out: &mut Output) -> Outcome {
    let mut lines = String::new();
    line(&session.client, &mut lines);
    out.room(lines.len())?;
    out.verbatim(lines.as_bytes());
    Ok(())
}

pub(super) fn client_list<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
) -> Outcome {
    let mut ids = None;
    let mut subscribers = None;
    if args.len() == 4 && args.is(2, "type") {
        subscribers = Some(match &args.at(3).to_ascii_lowercase()[..] {
            b"normal" => Some(false),
            b"pubsub" => Some(true),
            b"master" | b"replica" | b"slave" => None,
            _ => {
                return Err(Failure::quoting("ERR Unknown client type '", args.at(3), "'"));
            }
        });
    } else if args.len() > 3 && args.is(2, "id") {
        let parsed: Result<Vec<i64>, Failure> = args
            .from(3)
            .map(|id| parse_integer(id).ok_or(const { Failure::error("ERR Invalid client ID") }))
            .collect();
        ids = Some(parsed?);
    } else if args.len() != 2 {
        return Err(SYNTAX);
    }
    let mut lines = String::new();
    for client in session.shared.ledger.clients() {
        let subscriber = client.activity.channels.load(Ordering::Relaxed)
            + client.activity.patterns.load(Ordering::Relaxed)
            > 0;
        let chosen = ids.as_ref().is_none_or(|ids| ids.contains(&(client.id as i64)))
            && subscribers.is_none_or(|wanted| wanted == Some(subscriber));
        if chosen {
            line(&client, &mut lines);
        }
    }
    out.room(lines.len())?;
    out.verbatim(lines.as_bytes());
    Ok(())
}

/// One line of `CLIENT LIST`. Fields that mean nothing here have the values that Redis gives them
/// when they mean nothing there.
fn line<P: Platform>(client: &Client<P>, lines: &mut String) {
    let description = client.description.lock().clone();
    let activity = &client.activity;
    let load = |value: &P::AtomicUsize| value.load(Ordering::Relaxed);
    let (channels, patterns) = (load(&activity.channels), load(&activity.patterns));
    let command = match load(&activity.command) {
        0 => "NULL",
        index => Command::ALL[index - 1].spec().name,
    };
    let (input, output) = (load(&activity.input), load(&activity.output));
    // Writing to a string cannot fail.
    let _ = writeln!(
        lines,
        "id={} addr={} laddr={} fd=0 name={} age={} idle={} flags={} db=0 sub={channels} \
         psub={patterns} ssub=0 multi=-1 qbuf={input} qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 \
         rbp=0 obl={output} oll=0 omem={} tot-mem={} events=r cmd={command} user=default redir=-1 \
         resp={} lib-name={} lib-ver={}",
        client.id,
        client.peer,
        client.local,
        String::from_utf8_lossy(&description.name),
        (P::Clock::now() - client.since).as_secs(),
        client.idle().as_secs(),
        if channels + patterns > 0 { "P" } else { "N" },
        output,
        client.memory(),
        load(&activity.protocol),
        String::from_utf8_lossy(&description.library),
        String::from_utf8_lossy(&description.library_version),
    );
}
