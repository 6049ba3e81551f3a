//! Publish and subscribe.
//!
//! One lock covers all channels and patterns, so that every `PUBLISH` is one event: all who
//! subscribe to the same things get the same messages in the same order. Nothing waits under it; a
//! message is copied into each subscriber's [outbox](crate::outbox).
//!
//! # Why not a stream for each channel
//!
//! A `broadcast` stream for each channel hands out faster: to 64 subscribers, 50 bytes take 7 to 11 ns
//! each instead of 26 to 54, 16 KiB 0.6 to 1.7 µs instead of 0.8 to 3.4. It does not serve nevertheless:
//! - An idle channel with one subscriber takes 286 bytes here. A stream of 1024 takes 1440, and 3008
//!   from its first message on; one of 65536 takes 19072.
//! - A stream counts messages; the limits are in bytes. 32 MiB hold 399457 messages of 50 bytes for a
//!   subscriber that has stopped, a stream of 1024 holds 1088; of the largest, that is half a terabyte.
//! - All channels of a client have one order. Streams have one each.
//! - A stream keeps its last chunk until it is full, though all have received it: up to 64 messages
//!   of 512 MiB, for a channel on which nothing happens any more.

use std::collections::BTreeMap;

use raddle::on::{Arc, Mutex, Native, Platform};

use crate::client::Client;
use crate::glob;
use crate::memory::Ledger;
use crate::protocol::Decimal;

type Subscribers<P> = BTreeMap<u64, Arc<Client<P>, P>>;
type Topics<P> = BTreeMap<Box<[u8]>, Subscribers<P>>;

/// What can be subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A channel of this name.
    Channel,
    /// All channels whose names match this glob.
    Pattern,
}

struct Registry<P: Platform> {
    channels: Topics<P>,
    patterns: Topics<P>,
    /// Messages that a subscriber did not get although it was not cut off.
    dropped: u64,
}

impl<P: Platform> Registry<P> {
    fn topics(&mut self, kind: Kind) -> &mut Topics<P> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
        }
    }
}

/// Who subscribed to what.
pub struct PubSub<P: Platform = Native> {
    registry: Mutex<Registry<P>, P>,
}

impl<P: Platform> Default for PubSub<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Platform> PubSub<P> {
    /// Nobody subscribed to anything.
    pub fn new() -> Self {
        let (channels, patterns) = (BTreeMap::new(), BTreeMap::new());
        Self { registry: Mutex::new_in(Registry { channels, patterns, dropped: 0 }) }
    }

    /// From now on `client` gets what is published to `topics`.
    pub fn subscribe<'a>(
        &self,
        kind: Kind,
        topics: impl Iterator<Item = &'a [u8]>,
        client: &Arc<Client<P>, P>,
    ) {
        let mut registry = self.registry.lock();
        let known = registry.topics(kind);
        for topic in topics {
            let subscribers = match known.get_mut(topic) {
                Some(subscribers) => subscribers,
                None => known.entry(topic.into()).or_default(),
            };
            subscribers.insert(client.id, client.clone());
        }
    }

    /// From now on `client` gets nothing of `topics`.
    pub fn unsubscribe<'a>(&self, kind: Kind, topics: impl Iterator<Item = &'a [u8]>, client: u64) {
        let mut registry = self.registry.lock();
        let known = registry.topics(kind);
        for topic in topics {
            if let Some(subscribers) = known.get_mut(topic) {
                subscribers.remove(&client);
                if subscribers.is_empty() {
                    known.remove(topic);
                }
            }
        }
    }

    /// Puts `message` into the outboxes of all who subscribed to `channel`, and of those whose
    /// patterns match it. Returns how many got it; who did so in two ways counts twice, and
    /// [`Delivery::counts`] says who did, where messages are dropped.
    ///
    /// [`Delivery::counts`]: crate::client::Delivery::counts
    pub fn publish(&self, ledger: &Ledger<P>, channel: &[u8], message: &[u8]) -> usize {
        let mut registry = self.registry.lock();
        let (mut receivers, mut dropped) = (0, 0);
        let mut deliver = |client: &Client<P>, parts: &[&[u8]]| {
            let delivery = client.deliver(ledger, parts);
            receivers += usize::from(delivery.counts);
            dropped += delivery.dropped as u64;
        };
        // All before the message is joined: so many small pieces would take longer to copy, for each
        // subscriber, than the rest.
        let mut head = Vec::new();
        if let Some(subscribers) = registry.channels.get(channel) {
            begin(&mut head, b"3\r\n$7\r\nmessage\r\n", &[channel], message.len());
            subscribers.values().for_each(|client| deliver(client, &[&head, message, b"\r\n"]));
        }
        for (pattern, subscribers) in &registry.patterns {
            if glob::matches(pattern, channel) {
                let names = [&**pattern, channel];
                begin(&mut head, b"4\r\n$8\r\npmessage\r\n", &names, message.len());
                subscribers.values().for_each(|client| deliver(client, &[&head, message, b"\r\n"]));
            }
        }
        registry.dropped += dropped;
        receivers
    }

    /// How many messages were dropped because they or newer ones did not fit, counted once for each
    /// subscriber that has lost one. What a client loses by being cut off is not among them.
    pub fn dropped(&self) -> u64 {
        self.registry.lock().dropped
    }

    /// Calls `visit` for each channel that somebody subscribed to.
    pub fn for_each_channel(&self, mut visit: impl FnMut(&[u8])) {
        self.registry.lock().channels.keys().for_each(|channel| visit(channel));
    }

    /// Calls `visit` for each of `channels`, with how many clients subscribed to it by its name.
    pub fn count_subscribers<'a>(
        &self,
        channels: impl Iterator<Item = &'a [u8]>,
        mut visit: impl FnMut(&[u8], usize),
    ) {
        let registry = self.registry.lock();
        for channel in channels {
            visit(channel, registry.channels.get(channel).map_or(0, BTreeMap::len));
        }
    }

    /// How many channels and how many patterns somebody subscribed to.
    pub fn len(&self) -> (usize, usize) {
        let registry = self.registry.lock();
        (registry.channels.len(), registry.patterns.len())
    }
}

/// Writes what stands before a message of `length` bytes: `kind`, then the names as bulk strings, then the
/// head of the message's own.
fn begin(head: &mut Vec<u8>, kind: &[u8], names: &[&[u8]], length: usize) {
    head.clear();
    head.extend_from_slice(kind);
    let bulk_length = |head: &mut Vec<u8>, length: usize| {
        head.push(b'$');
        head.extend_from_slice(Decimal::from(length as u64).as_bytes());
        head.extend_from_slice(b"\r\n");
    };
    for name in names {
        bulk_length(head, name.len());
        head.extend_from_slice(name);
        head.extend_from_slice(b"\r\n");
    }
    bulk_length(head, length);
}
