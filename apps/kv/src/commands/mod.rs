//! The commands.
//!
//! [`execute`] finds the command, checks what can be checked without knowing it, and calls its
//! function. These functions know nothing of sockets. They lock what they touch, do all of their
//! work, and unlock; none suspends with a lock held. A function that cannot write its whole reply
//! says so before it has changed anything.

mod catalogue;
mod connection;
mod documentation;
mod expiry;
mod keys;
mod pubsub;
mod server;
mod strings;

use std::borrow::Cow;

use raddle::on::{Atomic, Ordering, Platform};

pub use catalogue::{Command, Group, Spec, flag};

use crate::aof::Journal;
use crate::protocol::{Args, Output, Protocol, Shortage, parse_integer};
use crate::session::Session;

/// What the connection has to do after a command, other than go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// Make so many bytes of room for replies, and run the command again.
    Room(usize),
    /// Send what there is to send, and close.
    Close,
}

/// Why a command's function ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The reply is this error.
    Error(Cow<'static, [u8]>),
    /// The reply does not fit. Nothing has been changed.
    Room(usize),
    /// The connection ends.
    Close,
}

pub(crate) type Outcome = Result<(), Failure>;

impl From<Shortage> for Failure {
    fn from(shortage: Shortage) -> Self {
        Self::Room(shortage.bytes)
    }
}

impl Failure {
    const fn error(message: &'static str) -> Self {
        Self::Error(Cow::Borrowed(message.as_bytes()))
    }

    /// An error whose text quotes the client. What is quoted is cut at 128 bytes, as in Redis.
    fn quoting(before: &str, quoted: &[u8], after: &str) -> Self {
        let quoted = &quoted[..quoted.len().min(128)];
        Self::Error(Cow::Owned([before.as_bytes(), quoted, after.as_bytes()].concat()))
    }
}

const SYNTAX: Failure = Failure::error("ERR syntax error");
const NOT_INTEGER: Failure = Failure::error("ERR value is not an integer or out of range");
const NO_PROTOCOL: Failure = Failure::error("NOPROTO unsupported protocol version");

fn wrong_arity(command: &Spec) -> Failure {
    let message = format!("ERR wrong number of arguments for '{}' command", command.name);
    Failure::Error(Cow::Owned(message.into_bytes()))
}

fn integer(argument: &[u8]) -> Result<i64, Failure> {
    parse_integer(argument).ok_or(NOT_INTEGER)
}

/// Runs one command and writes its reply.
///
/// # Errors
/// What the connection has to do now. If that is to make room, the command has done nothing.
#[inline]
pub fn execute<P: Platform>(
    session: &mut Session<'_, P>,
    args: Args<'_>,
    out: &mut Output,
) -> Result<(), Interruption> {
    debug_assert!(out.spare() >= Output::RESERVE, "the connection keeps a reserve");
    let start = out.len();
    let Err(failure) = find_and_run(session, args, out) else {
        session.tally.commands += 1;
        return Ok(());
    };
    match failure {
        Failure::Error(message) => {
            out.truncate(start);
            out.error(&message);
            session.tally.commands += 1;
            Ok(())
        }
        Failure::Room(bytes) => {
            out.truncate(start);
            Err(Interruption::Room(bytes))
        }
        Failure::Close => Err(Interruption::Close),
    }
}

#[inline]
fn find_and_run<P: Platform>(
    session: &mut Session<'_, P>,
    args: Args<'_>,
    out: &mut Output,
) -> Outcome {
    let Some(mut command) = Command::find(args.at(0)) else { return unknown(args) };
    if command.spec().keys.0 == 0 && args.len() > 1 && command.children().next().is_some() {
        command = command.find_child(args.at(1)).ok_or_else(|| {
            let parent = command.spec().name.to_uppercase();
            let after = format!("'. Try {parent} HELP.");
            Failure::quoting("ERR unknown subcommand '", args.at(1), &after)
        })?;
    }
    if !command.spec().accepts(args.len()) {
        return Err(wrong_arity(command.spec()));
    }
    if session.subscriptions() > 0 && out.protocol() == Protocol::Resp2 {
        refuse_while_subscribed(command)?;
    }
    session.client.activity.command.store(command as usize + 1, Ordering::Relaxed);
    if let Some(journal) = session.shared.keyspace.journal() {
        if journal.has_failed() {
            refuse_after_failure(journal, command.spec(), args)?;
        } else if command.spec().flags & (flag::WRITE | flag::READONLY) != 0 {
            session.unsettled.get_or_insert(out.len());
        }
    }
    run(command, session, args, out)
}

/// What is written down no more is not done, and what may be gone tomorrow is not shown.
#[cold]
fn refuse_after_failure<P: Platform>(
    journal: &Journal<P>,
    command: &Spec,
    args: Args<'_>,
) -> Outcome {
    if command.flags & flag::WRITE != 0 {
        return Err(Failure::error(
            "MISCONF Errors writing to the append-only file: commands that write are refused until \
             the server is started again",
        ));
    }
    let (first, last, step) = command.keys;
    let (Ok(first @ 1..), Ok(step)) = (usize::try_from(first), usize::try_from(step)) else {
        return Ok(());
    };
    let end = args.len().saturating_add_signed(isize::from(last.min(0)));
    let last = usize::try_from(last).unwrap_or(end);
    for index in (first..=last).step_by(step.max(1)) {
        if args.get(index).is_some_and(|key| journal.is_in_doubt(key)) {
            return Err(Failure::error(
                "MISCONF Errors writing to the append-only file: what this key has now may not \
                 be there when the server is started again",
            ));
        }
    }
    Ok(())
}

#[cold]
fn unknown(args: Args<'_>) -> Outcome {
    let name = args.at(0);
    // The old way to attack a server from a browser is to make it read an HTTP request.
    if args.is(0, "host:") || args.is(0, "post") {
        return Err(Failure::Close);
    }
    let mut quoted = Vec::new();
    for argument in args.from(1) {
        if quoted.len() >= 128 {
            break;
        }
        let argument = &argument[..argument.len().min(128 - quoted.len())];
        quoted.extend_from_slice(b"'");
        quoted.extend_from_slice(argument);
        quoted.extend_from_slice(b"' ");
    }
    let name = &name[..name.len().min(128)];
    let message = [b"ERR unknown command '", name, b"', with args beginning with: ", &quoted[..]];
    Err(Failure::Error(Cow::Owned(message.concat())))
}

#[cold]
fn refuse_while_subscribed(command: Command) -> Outcome {
    use Command::{Ping, Psubscribe, Punsubscribe, Quit, Reset, Subscribe, Unsubscribe};
    match command {
        Ping | Quit | Reset | Subscribe | Psubscribe | Unsubscribe | Punsubscribe => Ok(()),
        _ => Err(Failure::quoting(
            "ERR Can't execute '",
            command.spec().name.as_bytes(),
            "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this \
             context",
        )),
    }
}

#[inline]
fn run<P: Platform>(
    command: Command,
    session: &mut Session<'_, P>,
    args: Args<'_>,
    out: &mut Output,
) -> Outcome {
    use crate::pubsub::Kind::{Channel, Pattern};
    use expiry::{Origin, Unit};
    match command {
        Command::Ping => connection::ping(session, args, out),
        Command::Echo => connection::echo(args, out),
        Command::Auth => connection::auth(args, out),
        Command::Hello => connection::hello(session, args, out),
        Command::Quit => connection::quit(out),
        Command::Reset => connection::reset(session, out),
        Command::Select => connection::select(args, out),
        Command::ClientGetname => connection::client_getname(session, out),
        Command::ClientId => connection::client_id(session, out),
        Command::ClientInfo => connection::client_info(session, out),
        Command::ClientList => connection::client_list(session, args, out),
        Command::ClientSetinfo => connection::client_setinfo(session, args, out),
        Command::ClientSetname => connection::client_setname(session, args, out),

        Command::Get => strings::get(session, args, out),
        Command::Set => strings::set(session, args, out),
        Command::Setnx => strings::setnx(session, args, out),
        Command::Setex => strings::setex(session, args, out, Unit::Seconds),
        Command::Psetex => strings::setex(session, args, out, Unit::Milliseconds),
        Command::Getset => strings::getset(session, args, out),
        Command::Getdel => strings::getdel(session, args, out),
        Command::Append => strings::append(session, args, out),
        Command::Strlen => strings::strlen(session, args, out),
        Command::Incr => strings::add(session, args.at(1), 1, out),
        Command::Decr => strings::add(session, args.at(1), -1, out),
        Command::Incrby => strings::incrby(session, args, out),
        Command::Decrby => strings::decrby(session, args, out),
        Command::Mget => strings::mget(session, args, out),
        Command::Mset => strings::mset(session, args, out),

        Command::Del | Command::Unlink => keys::del(session, args, out),
        Command::Exists | Command::Touch => keys::exists(session, args, out),
        Command::Expire => expiry::expire(session, args, out, Unit::Seconds, Origin::Now),
        Command::Pexpire => expiry::expire(session, args, out, Unit::Milliseconds, Origin::Now),
        Command::Expireat => expiry::expire(session, args, out, Unit::Seconds, Origin::Epoch),
        Command::Pexpireat => expiry::expire(session, args, out, Unit::Milliseconds, Origin::Epoch),
        Command::Ttl => expiry::ttl(session, args, out, Unit::Seconds),
        Command::Pttl => expiry::ttl(session, args, out, Unit::Milliseconds),
        Command::Persist => expiry::persist(session, args, out),
        Command::Type => keys::type_of(session, args, out),
        Command::Keys => keys::keys(session, args, out),
        Command::Scan => keys::scan(session, args, out),
        Command::Dbsize => keys::dbsize(session, out),
        Command::Flushall | Command::Flushdb => keys::flush(session, args, out),

        Command::Bgrewriteaof => server::rewrite(session, out),
        Command::Info => server::info(session, args, out),
        Command::Time => server::time::<P>(out),
        Command::ConfigGet => server::config_get(session, args, out),
        Command::Command => documentation::all(out),
        Command::CommandCount => documentation::count(out),
        Command::CommandDocs => documentation::docs(args, out),
        Command::CommandInfo => documentation::info(args, out),
        Command::CommandList => documentation::list(args, out),
        Command::ClientHelp => documentation::help(Command::Client, out),
        Command::CommandHelp => documentation::help(Command::Command, out),
        Command::ConfigHelp => documentation::help(Command::Config, out),
        Command::PubsubHelp => documentation::help(Command::Pubsub, out),

        Command::Publish => pubsub::publish(session, args, out),
        Command::Subscribe => pubsub::subscribe(session, args, out, Channel),
        Command::Psubscribe => pubsub::subscribe(session, args, out, Pattern),
        Command::Unsubscribe => pubsub::unsubscribe(session, args, out, Channel),
        Command::Punsubscribe => pubsub::unsubscribe(session, args, out, Pattern),
        Command::PubsubChannels => pubsub::channels(session, args, out),
        Command::PubsubNumsub => pubsub::numsub(session, args, out),
        Command::PubsubNumpat => pubsub::numpat(session, out),

        Command::Client | Command::Config | Command::Pubsub => {
            unreachable!("without a subcommand there are too few arguments")
        }
    }
}
