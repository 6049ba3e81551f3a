//! A connection that publishes and subscribes, and notes what it sees.

use std::io::{Read, Write};

use raddle_runtime::net::TcpStream;

use super::{Town, connect};
use crate::messages::{Event, Message, Topic};
use crate::platform::Sim;

/// What the server says, in either version of the protocol.
#[derive(Debug)]
enum Value {
    Text(Vec<u8>),
    Error(String),
    Integer(i64),
    Null,
    List(Vec<Self>),
}

impl Value {
    fn text(&self) -> &str {
        match self {
            Self::Text(text) => core::str::from_utf8(text).expect("text"),
            _ => "",
        }
    }
}

/// A connection. What it returns is `None` when that has ended, which the log knows then.
pub(super) struct Client<'t> {
    town: &'t Town,
    number: u32,
    stream: TcpStream<Sim>,
    input: Vec<u8>,
    /// Those that it was told it has.
    topics: Vec<Topic>,
}

impl<'t> Client<'t> {
    pub(super) fn connect(town: &'t Town) -> Option<Self> {
        let stream = connect::<Sim>(town.address).ok()?;
        let number = town.number();
        Some(Self { town, number, stream, input: Vec::new(), topics: Vec::new() })
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn topics(&self) -> Vec<Topic> {
        self.topics.clone()
    }

    /// Those of `topics` that it has not, each once.
    pub(super) fn without(&self, mut topics: Vec<Topic>) -> Vec<Topic> {
        topics.retain(|topic| !self.topics.contains(topic));
        topics.sort();
        topics.dedup();
        topics
    }

    /// Speaks the newer version of the protocol from now on.
    pub(super) fn speak_new(&mut self) -> Option<()> {
        self.note(Event::Asks { by: self.number });
        self.send(&[&["HELLO", "3"]])?;
        self.answer()?;
        self.note(Event::Answered { by: self.number });
        Some(())
    }

    pub(super) fn subscribe(&mut self, topics: Vec<Topic>) -> Option<()> {
        let by = self.number;
        self.about("SUBSCRIBE", "PSUBSCRIBE", topics, |topic| Event::Subscribes { by, topic })
    }

    pub(super) fn unsubscribe(&mut self, topics: Vec<Topic>) -> Option<()> {
        let by = self.number;
        let asks = |topic| Event::Unsubscribes { by, topic };
        self.about("UNSUBSCRIBE", "PUNSUBSCRIBE", topics, asks)
    }

    /// A request about channels, and one about patterns, both sent before either is answered.
    fn about(
        &mut self,
        channels: &str,
        patterns: &str,
        topics: Vec<Topic>,
        asks: impl Fn(Topic) -> Event,
    ) -> Option<()> {
        let is_channel = |topic: &&Topic| matches!(topic, Topic::Channel(_));
        let (by_name, by_prefix): (Vec<_>, Vec<_>) = topics.iter().partition(is_channel);
        let names: Vec<_> = by_name.iter().chain(&by_prefix).map(ToString::to_string).collect();
        let (names, prefixes) = names.split_at(by_name.len());
        let mut requests = Vec::new();
        for (command, names) in [(channels, names), (patterns, prefixes)] {
            let words = core::iter::once(command).chain(names.iter().map(String::as_str));
            if !names.is_empty() {
                requests.push(words.collect::<Vec<_>>());
            }
        }
        for topic in by_name.into_iter().chain(by_prefix) {
            self.note(asks(topic.clone()));
        }
        self.send(&requests.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
        for _ in &topics {
            self.answer()?;
        }
        Some(())
    }

    /// Whether it is still there: whatever was published before has come then.
    pub(super) fn ask(&mut self) -> Option<()> {
        self.ask_times(1)
    }

    /// Two requests at a time.
    pub(super) fn ask_twice(&mut self) -> Option<()> {
        self.ask_times(2)
    }

    fn ask_times(&mut self, times: usize) -> Option<()> {
        (0..times).for_each(|_| self.note(Event::Asks { by: self.number }));
        self.send(&vec![&["PING"][..]; times])?;
        for _ in 0..times {
            self.answer()?;
            self.note(Event::Answered { by: self.number });
        }
        Some(())
    }

    /// All at a time.
    pub(super) fn publish(&mut self, messages: &[(&str, Message)]) -> Option<()> {
        let texts: Vec<_> = messages.iter().map(|(_, message)| encode(*message)).collect();
        let requests = messages.iter().zip(&texts);
        let requests: Vec<_> =
            requests.map(|((channel, _), text)| ["PUBLISH", channel, text.as_str()]).collect();
        for (channel, message) in messages {
            let channel = (*channel).to_owned();
            self.note(Event::Publishes { channel, message: *message });
        }
        self.send(&requests.iter().map(<[_; 3]>::as_slice).collect::<Vec<_>>())?;
        for (_, message) in messages {
            match self.answer()? {
                Value::Integer(count) => {
                    let receivers = usize::try_from(count).expect("a number of receivers");
                    self.note(Event::Published { message: *message, receivers });
                }
                other => panic!("PUBLISH is answered by {other:?}"),
            }
        }
        Some(())
    }

    /// How many messages the server has dropped.
    pub(super) fn dropped(&mut self) -> Option<u64> {
        self.send(&[&["INFO", "stats"]])?;
        let text = self.answer()?;
        let mut lines = text.text().lines();
        let count = lines.find_map(|line| line.strip_prefix("pubsub_dropped_messages:"));
        Some(count.expect("it counts them").parse().expect("a number"))
    }

    fn note(&self, event: Event) {
        self.town.log.note(event);
    }

    fn ended<T>(&self) -> Option<T> {
        self.note(Event::Ended { by: self.number });
        None
    }

    fn send(&mut self, requests: &[&[&str]]) -> Option<()> {
        let mut bytes = String::new();
        for words in requests {
            bytes += &format!("*{}\r\n", words.len());
            words.iter().for_each(|word| bytes += &format!("${}\r\n{word}\r\n", word.len()));
        }
        match (&self.stream).write_all(bytes.as_bytes()) {
            Ok(()) => Some(()),
            Err(_) => self.ended(),
        }
    }

    /// The next answer, after the messages that come before it.
    fn answer(&mut self) -> Option<Value> {
        loop {
            match self.value() {
                None => return self.ended(),
                Some(Value::Error(message)) => {
                    assert!(message.starts_with("ERR closed"), "{message}");
                    return self.ended();
                }
                Some(value) => {
                    if self.is_answer(&value) {
                        return Some(value);
                    }
                }
            }
        }
    }

    /// Notes what it is. Messages are none.
    fn is_answer(&mut self, value: &Value) -> bool {
        let Value::List(parts) = value else { return true };
        let text = |index: usize| parts.get(index).map_or("", Value::text).to_owned();
        let channel = |name: String| Topic::Channel(name);
        let prefix = |name: String| Topic::Prefix(name.trim_end_matches('*').to_owned());
        let by = self.number;
        match text(0).as_str() {
            "message" => {
                let (channel, message) = (text(1), decode(&text(2)));
                let topic = Topic::Channel(channel.clone());
                self.note(Event::Receives { by, topic, channel, message });
                false
            }
            "pmessage" => {
                let (topic, channel, message) = (prefix(text(1)), text(2), decode(&text(3)));
                self.note(Event::Receives { by, topic, channel, message });
                false
            }
            "subscribe" => self.has(channel(text(1))),
            "psubscribe" => self.has(prefix(text(1))),
            "unsubscribe" => self.has_no_more(channel(text(1))),
            "punsubscribe" => self.has_no_more(prefix(text(1))),
            _ => true,
        }
    }

    fn has(&mut self, topic: Topic) -> bool {
        self.topics.push(topic.clone());
        self.note(Event::Subscribed { by: self.number, topic });
        true
    }

    fn has_no_more(&mut self, topic: Topic) -> bool {
        self.topics.retain(|it| *it != topic);
        self.note(Event::Unsubscribed { by: self.number, topic });
        true
    }

    fn value(&mut self) -> Option<Value> {
        let line = self.line()?;
        let (kind, rest) = line.split_first().expect("a value has a kind");
        let rest = core::str::from_utf8(rest).expect("text");
        let count = || rest.parse::<i64>().expect("a number");
        let list = |this: &mut Self, length: i64| {
            (0..length).map(|_| this.value()).collect::<Option<Vec<_>>>().map(Value::List)
        };
        Some(match kind {
            b'+' => Value::Text(rest.into()),
            b'-' => Value::Error(rest.to_owned()),
            b':' => Value::Integer(count()),
            b'_' => Value::Null,
            b'$' => match usize::try_from(count()) {
                Err(_) => Value::Null,
                Ok(length) => {
                    while self.input.len() < length + 2 {
                        self.fill()?;
                    }
                    let mut text: Vec<u8> = self.input.drain(..length + 2).collect();
                    text.truncate(length);
                    Value::Text(text)
                }
            },
            b'*' | b'>' => list(self, count())?,
            b'%' => list(self, 2 * count())?,
            other => panic!("a value of the kind {:?}", char::from(*other)),
        })
    }

    fn line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = self.input.windows(2).position(|two| two == b"\r\n") {
                let mut line: Vec<u8> = self.input.drain(..end + 2).collect();
                line.truncate(end);
                return Some(line);
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Option<()> {
        let mut buffer = [0; 128];
        match (&self.stream).read(&mut buffer) {
            Ok(0) => None,
            Ok(count) => {
                self.input.extend(&buffer[..count]);
                Some(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Some(()),
            Err(_) => None,
        }
    }
}

/// Its numbers, and as much more as makes a few of them too many for a slow subscriber.
fn encode(message: Message) -> String {
    format!("{}.{}{}", message.publisher, message.number, ".".repeat(32))
}

fn decode(text: &str) -> Message {
    let mut numbers = text.trim_end_matches('.').split('.').map(str::parse);
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(publisher)), Some(Ok(number)), None) => Message { publisher, number },
        _ => panic!("nobody has published {text:?}"),
    }
}
