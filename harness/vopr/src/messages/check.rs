//! The rules, and what breaks them.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};

use super::{Event, Message, Topic};

/// What a server must not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A message came that nobody had published, or not to that channel.
    Invented,
    /// A message came by a topic that the client had not asked for, or was told that it has no more.
    Unasked,
    /// A message came by one topic twice.
    Twice,
    /// No order of all messages is that which everybody saw.
    Order,
    /// A message is missing on a connection that lives.
    Lost,
    /// The publisher was told of other receivers than there were.
    Receivers,
    /// The log itself is none: a client was told of what it had not asked for.
    Log,
}

/// A rule that was broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsound {
    /// Which.
    pub rule: Rule,
    /// Who, and what.
    pub message: String,
}

impl fmt::Display for Unsound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl core::error::Error for Unsound {}

/// How a server treats a subscriber for which too much waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drops {
    /// It ends the connection, and drops nothing of another.
    Never,
    /// It drops the message that comes, and has counted so many.
    Newest(u64),
    /// It drops those that have waited longest, and has counted so many.
    Oldest(u64),
}

/// How much a log says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages that came.
    pub received: usize,
    /// Messages that had to come by a topic.
    pub required: usize,
    /// Those of them that a server has dropped that may.
    pub dropped: usize,
    /// Connections of subscribers that have ended.
    pub ended: usize,
    /// Publications whose receivers were counted.
    pub counted: usize,
}

/// One topic of one connection, from its request on. Places are indexes into the log.
struct Subscription<'l> {
    by: u32,
    topic: &'l Topic,
    asked: usize,
    confirmed: Option<usize>,
    leaving: Option<usize>,
    left: Option<usize>,
    received: BTreeMap<Message, usize>,
}

struct Publication<'l> {
    channel: &'l str,
    asked: usize,
    /// When it was acknowledged, and with how many receivers.
    known: Option<(usize, usize)>,
}

#[derive(Default)]
struct Connection {
    /// What came, by any topic.
    received: Vec<(usize, Message)>,
    /// Requests and their answers.
    answers: Vec<(usize, Option<usize>)>,
    ended: bool,
}

impl Connection {
    /// Requests are answered in their order.
    fn answered(&mut self, at: usize) -> bool {
        let open = self.answers.iter_mut().find(|(_, answer)| answer.is_none());
        open.map(|(_, answer)| *answer = Some(at)).is_some()
    }
}

/// The log, by what it is about.
#[derive(Default)]
struct Reading<'l> {
    subscriptions: Vec<Subscription<'l>>,
    publications: BTreeMap<Message, Publication<'l>>,
    connections: BTreeMap<u32, Connection>,
}

fn broken<T>(rule: Rule, message: String) -> Result<T, Unsound> {
    Err(Unsound { rule, message })
}

/// Checks what clients saw of a server that tells of each loss by the end of a connection.
///
/// # Errors
/// The first rule that was broken.
pub fn check(events: &[Event]) -> Result<Tally, Unsound> {
    check_dropping(events, Drops::Never)
}

/// Checks what clients saw of a server that may drop messages and tells only how many.
///
/// # Errors
/// The first rule that was broken.
pub fn check_dropping(events: &[Event], drops: Drops) -> Result<Tally, Unsound> {
    let mut reading = Reading::default();
    for (at, event) in events.iter().enumerate() {
        reading.read(at, event)?;
    }
    let (required, dropped) = reading.no_more_is_lost_than(drops)?;
    reading.one_order()?;
    let counted = reading.receivers_are_counted(drops)?;
    Ok(Tally {
        received: reading.connections.values().map(|it| it.received.len()).sum(),
        required,
        dropped,
        ended: reading.subscribers().filter(|it| it.ended).count(),
        counted,
    })
}

impl<'l> Reading<'l> {
    /// The last subscription of a connection to a topic, unless it is over.
    fn current(&mut self, by: u32, topic: &Topic) -> Option<&mut Subscription<'l>> {
        let mine = |it: &&mut Subscription<'_>| it.by == by && it.topic == topic;
        self.subscriptions.iter_mut().rev().find(mine).filter(|it| it.left.is_none())
    }

    fn read(&mut self, at: usize, event: &'l Event) -> Result<(), Unsound> {
        let stray = || broken(Rule::Log, format!("{event:?} answers no request"));
        match event {
            Event::Subscribes { by, topic } => {
                if self.current(*by, topic).is_some() {
                    return broken(Rule::Log, format!("{event:?} asks again"));
                }
                self.subscriptions.push(Subscription {
                    by: *by,
                    topic,
                    asked: at,
                    confirmed: None,
                    leaving: None,
                    left: None,
                    received: BTreeMap::new(),
                });
                self.asks(*by, at);
            }
            Event::Subscribed { by, topic } => {
                let known = self.current(*by, topic).filter(|it| it.confirmed.is_none());
                let known = known.map(|it| it.confirmed = Some(at));
                if known.is_none() || !self.answered(*by, at) {
                    return stray();
                }
            }
            Event::Unsubscribes { by, topic } => {
                self.asks(*by, at);
                match self.current(*by, topic).filter(|it| it.leaving.is_none()) {
                    Some(subscription) => subscription.leaving = Some(at),
                    None => return stray(),
                }
            }
            Event::Unsubscribed { by, topic } => {
                let known = self.current(*by, topic).filter(|it| it.leaving.is_some());
                let known = known.map(|it| it.left = Some(at));
                if known.is_none() || !self.answered(*by, at) {
                    return stray();
                }
            }
            Event::Asks { by } => self.asks(*by, at),
            Event::Answered { by } => {
                if !self.answered(*by, at) {
                    return stray();
                }
            }
            Event::Ended { by } => self.connections.entry(*by).or_default().ended = true,
            Event::Publishes { channel, message } => {
                let publication = Publication { channel, asked: at, known: None };
                if self.publications.insert(*message, publication).is_some() {
                    return broken(Rule::Log, format!("{message} is published twice"));
                }
            }
            Event::Published { message, receivers } => match self.publications.get_mut(message) {
                Some(publication) => publication.known = Some((at, *receivers)),
                None => return stray(),
            },
            Event::Receives { by, topic, channel, message } => {
                self.receives(at, *by, topic, channel, *message)?;
            }
        }
        Ok(())
    }

    fn subscribers(&self) -> impl Iterator<Item = &Connection> {
        let numbers: BTreeSet<_> = self.subscriptions.iter().map(|it| it.by).collect();
        numbers.into_iter().filter_map(|number| self.connections.get(&number))
    }

    fn asks(&mut self, by: u32, at: usize) {
        self.connections.entry(by).or_default().answers.push((at, None));
    }

    fn answered(&mut self, by: u32, at: usize) -> bool {
        self.connections.entry(by).or_default().answered(at)
    }

    fn receives(
        &mut self,
        at: usize,
        by: u32,
        topic: &Topic,
        channel: &str,
        message: Message,
    ) -> Result<(), Unsound> {
        let what = format!("connection {by} gets {message} by {topic}");
        let known = self.publications.get(&message).is_some_and(|it| it.channel == channel);
        if !known || !topic.covers(channel) {
            return broken(Rule::Invented, format!("{what}, which nobody has published there"));
        }
        let mine = |it: &&Subscription<'_>| it.by == by && it.topic == topic;
        if self.subscriptions.iter().filter(mine).any(|it| it.received.contains_key(&message)) {
            return broken(Rule::Twice, format!("{what} twice"));
        }
        let Some(subscription) = self.current(by, topic).filter(|it| it.confirmed.is_some()) else {
            return broken(Rule::Unasked, format!("{what}, to which it does not listen"));
        };
        subscription.received.insert(message, at);
        self.connections.entry(by).or_default().received.push((at, message));
        Ok(())
    }

    /// Whether `one` was certainly published before `other`.
    fn precedes(&self, one: Message, other: Message) -> bool {
        if one.publisher == other.publisher {
            return one.number < other.number;
        }
        let known = self.publications.get(&one).and_then(|it| it.known);
        let asked = self.publications.get(&other).map(|it| it.asked);
        matches!((known, asked), (Some((known, _)), Some(asked)) if known < asked)
    }

    /// By when `message` must have come by that subscription: what shows that it is late, and where.
    fn due(&self, it: &Subscription<'_>, message: Message) -> Option<(usize, String)> {
        let publication = &self.publications[&message];
        // It listens since it was told so, or since the publication of what it got.
        let listened = publication.asked >= it.confirmed?
            || it.received.keys().any(|earlier| self.precedes(*earlier, message));
        if !it.topic.covers(publication.channel) || !listened {
            return None;
        }
        let stays = |at: usize| it.leaving.is_none_or(|leaving| at <= leaving);
        let connection = &self.connections[&it.by];
        let answers = connection.answers.iter().filter_map(|(asked, answer)| {
            let (known, _) = publication.known?;
            let answer = (*answer)?;
            let text = || {
                "its publisher had its answer before the subscriber asked for what it was \
                           answered then"
            };
            (known < *asked && stays(*asked)).then(|| (answer, text().to_owned()))
        });
        let later = connection.received.iter().filter_map(|(at, other)| {
            let listens = stays(*at) || it.received.get(other) == Some(at);
            let text = || format!("it was published before {other}, which came");
            (listens && self.precedes(message, *other)).then(|| (*at, text()))
        });
        answers.chain(later).min()
    }

    /// Returns how many had to come, and how many of these were dropped.
    fn no_more_is_lost_than(&self, drops: Drops) -> Result<(usize, usize), Unsound> {
        let (mut required, mut missing, mut possible) = (0, 0, 0);
        let mut first = None;
        for subscription in &self.subscriptions {
            for (message, publication) in &self.publications {
                let Subscription { by, topic, received, .. } = subscription;
                let covers = topic.covers(publication.channel);
                possible += usize::from(covers && !received.contains_key(message));
                let Some((due, why)) = self.due(subscription, *message) else { continue };
                required += 1;
                if received.get(message).is_none_or(|at| *at > due) {
                    let (rule, word) = match received.contains_key(message) {
                        true => (Rule::Order, "is late"),
                        false => (Rule::Lost, "is lost"),
                    };
                    let text = format!("{message} {word} for connection {by} by {topic}: {why}");
                    if rule == Rule::Order {
                        return broken(rule, text);
                    }
                    missing += 1;
                    first.get_or_insert(text);
                }
            }
        }
        let (Drops::Newest(counted) | Drops::Oldest(counted)) = drops else {
            return first.map_or(Ok((required, 0)), |text| broken(Rule::Lost, text));
        };
        // Those that had to come, and at most those that have not.
        if !(missing as u64..=possible as u64).contains(&counted) {
            let text = format!(
                "{counted} messages were dropped, as the server says: {missing} are missing, of \
                 {possible} that were published and did not come. {}",
                first.unwrap_or_default()
            );
            return broken(Rule::Lost, text);
        }
        Ok((required, missing))
    }

    /// There is one order of all messages in which everybody saw his.
    fn one_order(&self) -> Result<(), Unsound> {
        let mut after: BTreeMap<Message, BTreeSet<Message>> = BTreeMap::new();
        let mut before: BTreeMap<Message, usize> = BTreeMap::new();
        let messages: Vec<_> = self.publications.keys().copied().collect();
        let mut edge = |one: Message, other: Message| {
            if one != other && after.entry(one).or_default().insert(other) {
                *before.entry(other).or_default() += 1;
            }
        };
        for one in &messages {
            messages.iter().filter(|it| self.precedes(*one, **it)).for_each(|it| edge(*one, *it));
        }
        for connection in self.connections.values() {
            let pairs = connection.received.windows(2);
            pairs.for_each(|pair| edge(pair[0].1, pair[1].1));
        }
        let mut free: Vec<_> =
            messages.iter().copied().filter(|it| !before.contains_key(it)).collect();
        let mut left: BTreeSet<_> = messages.into_iter().collect();
        while let Some(message) = free.pop() {
            left.remove(&message);
            for next in after.get(&message).into_iter().flatten() {
                let count = before.entry(*next).or_default();
                *count -= 1;
                if *count == 0 {
                    free.push(*next);
                }
            }
        }
        match left.is_empty() {
            true => Ok(()),
            false => {
                let list: Vec<_> = left.iter().map(|message| format!("\n  {message}")).collect();
                let text = "no order of these is that which everybody saw:";
                broken(Rule::Order, format!("{text}{}", list.concat()))
            }
        }
    }

    /// Returns how many publications have a number of receivers.
    fn receivers_are_counted(&self, drops: Drops) -> Result<usize, Unsound> {
        let mut counted = 0;
        for (message, publication) in &self.publications {
            let Some((known, receivers)) = publication.known else { continue };
            counted += 1;
            let mut sure = 0;
            let mut possible = 0;
            for it in self.subscriptions.iter().filter(|it| it.topic.covers(publication.channel)) {
                let concerned = it.asked < known && it.left.is_none_or(|at| at > publication.asked);
                // What was handed out before the answer to a later request came with it.
                let answers = &self.connections[&it.by].answers;
                let later =
                    |(asked, answer): &(usize, Option<usize>)| *asked > known && answer.is_some();
                let settled = it.left.is_some() || answers.iter().any(later);
                if it.received.contains_key(message) {
                    sure += 1;
                } else if concerned && (!settled || matches!(drops, Drops::Oldest(_))) {
                    // One that was counted and then dropped has not come either.
                    possible += 1;
                }
            }
            if !(sure..=sure + possible).contains(&receivers) {
                let text = format!(
                    "{message} was handed to {receivers}, as its publisher was told: {sure} have \
                     it, and {possible} may have lost it with their connections"
                );
                return broken(Rule::Receivers, text);
            }
        }
        Ok(counted)
    }
}
