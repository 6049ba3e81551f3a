//! Commands of publish and subscribe.

use raddle::on::Platform;

use super::Outcome;
use crate::glob;
use crate::protocol::{Args, Output};
use crate::pubsub::Kind;
use crate::session::Session;

type S<'a, 's, P> = &'a mut Session<'s, P>;

/// What the reply about one topic takes besides the topic's name.
const REPLY_LENGTH: usize = 96;

pub(super) fn publish<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
) -> Outcome {
    let shared = session.shared;
    let receivers = shared.pubsub.publish(&shared.ledger, args.at(1), args.at(2));
    out.count(receivers);
    Ok(())
}

fn confirm(out: &mut Output, word: &str, topic: Option<&[u8]>, subscriptions: usize) {
    out.push(3);
    out.bulk(word.as_bytes());
    match topic {
        Some(topic) => out.bulk(topic),
        None => out.null(),
    }
    out.count(subscriptions);
}

pub(super) fn subscribe<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
    kind: Kind,
) -> Outcome {
    out.room(args.from(1).map(|topic| topic.len() + REPLY_LENGTH).sum())?;
    let word = match kind {
        Kind::Channel => "subscribe",
        Kind::Pattern => "psubscribe",
    };
    // The confirmations stand in front of all messages: those go to the outbox, which is emptied
    // behind what is written here.
    session.subscribe(kind, args.from(1), |topic, subscriptions| {
        confirm(out, word, Some(topic), subscriptions);
    })
}

pub(super) fn unsubscribe<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
    kind: Kind,
) -> Outcome {
    let word = match kind {
        Kind::Channel => "unsubscribe",
        Kind::Pattern => "punsubscribe",
    };
    let all = if args.len() == 1 { session.all(kind) } else { Vec::new() };
    let topics = || args.from(1).chain(all.iter().map(|topic| &**topic));
    // A message must not come after the word that there will be none. So first no message can be
    // added, then those that are there go out, then the word. To do the first part again, if there
    // is no room for the rest, changes nothing.
    session.silence(kind, topics());
    let length: usize = topics().map(|topic| topic.len() + REPLY_LENGTH).sum();
    session.collect(out, length + REPLY_LENGTH)?;
    session.has_lost_nothing()?;
    for topic in topics() {
        session.forget(kind, topic);
        confirm(out, word, Some(topic), session.subscriptions());
    }
    if topics().next().is_none() {
        confirm(out, word, None, session.subscriptions());
    }
    Ok(())
}

pub(super) fn channels<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
) -> Outcome {
    if args.len() > 3 {
        return Err(super::wrong_arity(super::Command::PubsubChannels.spec()));
    }
    let mut found: Vec<Box<[u8]>> = Vec::new();
    session.shared.pubsub.for_each_channel(|channel| {
        if args.get(2).is_none_or(|pattern| glob::matches(pattern, channel)) {
            found.push(channel.into());
        }
    });
    out.room(found.iter().map(|channel| channel.len() + REPLY_LENGTH).sum())?;
    out.array(found.len());
    found.iter().for_each(|channel| out.bulk(channel));
    Ok(())
}

pub(super) fn numsub<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
) -> Outcome {
    out.room(args.from(2).map(|topic| topic.len() + REPLY_LENGTH).sum())?;
    out.array(2 * (args.len() - 2));
    session.shared.pubsub.count_subscribers(args.from(2), |channel, count| {
        out.bulk(channel);
        out.count(count);
    });
    Ok(())
}

pub(super) fn numpat<P: Platform>(session: S<'_, '_, P>, out: &mut Output) -> Outcome {
    out.count(session.shared.pubsub.len().1);
    Ok(())
}
