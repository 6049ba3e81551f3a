//! Publish and subscribe.
//!
//! One lock covers all channels and patterns, so that every `PUBLISH` is one event: all who
//! subscribe to the same things get the same messages in the same order. Nothing waits under it; a
//! message is copied into each subscriber's outbox.

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
        Self { registry: Mutex::new_in(Registry { channels, patterns }) }
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
    /// patterns match it. Returns how many got it; who did so in two ways counts twice. `limit` is
    /// how much may wait for a subscriber.
    pub fn publish(
        &self,
        ledger: &Ledger<P>,
        limit: usize,
        channel: &[u8],
        message: &[u8],
    ) -> usize {
        let registry = self.registry.lock();
        let channel_length = Decimal::from(channel.len() as u64);
        let message_length = Decimal::from(message.len() as u64);
        let tail: [&[u8]; 9] = [
            b"\r\n$",
            channel_length.as_bytes(),
            b"\r\n",
            channel,
            b"\r\n$",
            message_length.as_bytes(),
            b"\r\n",
            message,
            b"\r\n",
        ];
        let mut receivers = 0;
        let mut parts: [&[u8]; 13] = [&[]; 13];
        parts[4..].copy_from_slice(&tail);
        parts[3] = b"3\r\n$7\r\nmessage";
        for client in registry.channels.get(channel).into_iter().flat_map(BTreeMap::values) {
            client.deliver(ledger, limit, &parts[3..]);
            receivers += 1;
        }
        for (pattern, subscribers) in &registry.patterns {
            if !glob::matches(pattern, channel) {
                continue;
            }
            let pattern_length = Decimal::from(pattern.len() as u64);
            let head: [&[u8]; 4] =
                [b"4\r\n$8\r\npmessage\r\n$", pattern_length.as_bytes(), b"\r\n", pattern];
            let mut parts: [&[u8]; 13] = [&[]; 13];
            parts[..4].copy_from_slice(&head);
            parts[4..].copy_from_slice(&tail);
            for client in subscribers.values() {
                client.deliver(ledger, limit, &parts);
                receivers += 1;
            }
        }
        receivers
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
