//! How long keys live.
//!
//! Clients speak of seconds or milliseconds from now or from 1970. The keyspace knows milliseconds
//! of the platform's monotonic clock, so that a jump of the wall clock moves no deadline.

use raddle::on::{Clock, Platform};

use super::{Command, Failure, Outcome, integer};
use crate::keyspace::now_ms;
use crate::protocol::{Args, Output};
use crate::session::Session;
use crate::table::Entry;

type S<'a, 's, P> = &'a mut Session<'s, P>;

/// What a number of a client counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
}

/// Where a client's number begins to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Now,
    Epoch,
}

fn wall_ms<P: Platform>() -> i64 {
    i64::try_from(P::Clock::wall().as_millis()).unwrap_or(i64::MAX)
}

/// Milliseconds from now, which may be in the past; `None` for what has no place on Redis's clock.
fn from_now<P: Platform>(number: i64, unit: Unit, origin: Origin) -> Option<i64> {
    let milliseconds = match unit {
        Unit::Seconds => number.checked_mul(1000)?,
        Unit::Milliseconds => number,
    };
    let wall = wall_ms::<P>();
    match origin {
        Origin::Now => wall.checked_add(milliseconds).map(|_| milliseconds),
        Origin::Epoch => Some(milliseconds.saturating_sub(wall)),
    }
}

fn deadline<P: Platform>(from_now: i64) -> u64 {
    now_ms::<P>().saturating_add_signed(from_now)
}

fn invalid(command: Command) -> Failure {
    Failure::quoting("ERR invalid expire time in '", command.spec().name.as_bytes(), "' command")
}

/// The deadline that `text` names, for commands that want a number above zero.
pub(super) fn parse_positive<P: Platform>(
    text: &[u8],
    unit: Unit,
    origin: Origin,
    command: Command,
) -> Result<u64, Failure> {
    let number = integer(text)?;
    let from_now = from_now::<P>(number, unit, origin).filter(|_| number > 0);
    from_now.map(deadline::<P>).ok_or_else(|| invalid(command))
}

/// Which deadlines `EXPIRE` replaces.
#[derive(Clone, Copy, Debug, Default)]
struct Condition {
    absent: bool,
    present: bool,
    greater: bool,
    less: bool,
}

impl Condition {
    fn parse(args: Args<'_>) -> Result<Self, Failure> {
        let mut condition = Self::default();
        for argument in args.from(3) {
            let flag = match &argument.to_ascii_lowercase()[..] {
                b"nx" => &mut condition.absent,
                b"xx" => &mut condition.present,
                b"gt" => &mut condition.greater,
                b"lt" => &mut condition.less,
                _ => return Err(Failure::quoting("ERR Unsupported option ", argument, "")),
            };
            *flag = true;
        }
        let Self { absent, present, greater, less } = condition;
        if absent && (present || greater || less) {
            return Err(Failure::error(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if greater && less {
            return Err(Failure::error(
                "ERR GT and LT options at the same time are not compatible",
            ));
        }
        Ok(condition)
    }

    /// Whether `old` may become `new`.
    fn allows(self, old: u64, new: u64) -> bool {
        let forever = old == Entry::NEVER;
        !(self.absent && !forever
            || self.present && forever
            || self.greater && (forever || new <= old)
            || self.less && !forever && new >= old)
    }
}

pub(super) fn expire<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
    unit: Unit,
    origin: Origin,
) -> Outcome {
    let condition = Condition::parse(args)?;
    let command = match (unit, origin) {
        (Unit::Seconds, Origin::Now) => Command::Expire,
        (Unit::Seconds, Origin::Epoch) => Command::Expireat,
        (Unit::Milliseconds, Origin::Now) => Command::Pexpire,
        (Unit::Milliseconds, Origin::Epoch) => Command::Pexpireat,
    };
    let number = integer(args.at(2))?;
    let from_now = from_now::<P>(number, unit, origin).ok_or_else(|| invalid(command))?;

    let key = args.at(1);
    let keyspace = &session.shared.keyspace;
    let hash = keyspace.hash(key);
    let mut shard = keyspace.lock(hash);
    let Some(mut live) = shard.find::<P>(hash, key) else {
        out.integer(0);
        return Ok(());
    };
    let new = deadline::<P>(from_now);
    if !condition.allows(live.deadline(), new) {
        out.integer(0);
        return Ok(());
    }
    if from_now <= 0 {
        shard.remove::<P>(hash, key);
    } else {
        live.set_deadline(new);
    }
    out.integer(1);
    Ok(())
}

pub(super) fn ttl<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
    unit: Unit,
) -> Outcome {
    let key = args.at(1);
    let keyspace = &session.shared.keyspace;
    let hash = keyspace.hash(key);
    let deadline = keyspace.lock(hash).find::<P>(hash, key).map(|live| live.deadline());
    out.integer(match deadline {
        None => -2,
        Some(Entry::NEVER) => -1,
        Some(deadline) => {
            let rest = deadline.saturating_sub(now_ms::<P>());
            let rest = match unit {
                Unit::Seconds => rest.saturating_add(500) / 1000,
                Unit::Milliseconds => rest,
            };
            i64::try_from(rest).unwrap_or(i64::MAX)
        }
    });
    Ok(())
}

pub(super) fn persist<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
) -> Outcome {
    let key = args.at(1);
    let keyspace = &session.shared.keyspace;
    let hash = keyspace.hash(key);
    let mut shard = keyspace.lock(hash);
    let changed = match shard.find::<P>(hash, key) {
        Some(mut live) if live.deadline() != Entry::NEVER => {
            live.set_deadline(Entry::NEVER);
            true
        }
        _ => false,
    };
    out.integer(i64::from(changed));
    Ok(())
}
