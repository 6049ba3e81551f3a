//! One client's conversation with the server, without its socket.

use std::collections::BTreeSet;

use raddle::on::{Arc, Atomic, Native, Ordering, Platform};

use crate::aof::Unsettled;
use crate::client::{Client, Cut};
use crate::commands::{self, Interruption};
use crate::protocol::{Args, Output, Protocol, Shortage};
use crate::pubsub::Kind;
use crate::shared::{Shared, Tally};

/// The state that commands of one connection act on. Leaves everything in order when it is dropped.
pub struct Session<'s, P: Platform = Native> {
    /// What all connections share.
    pub shared: &'s Shared<P>,
    /// What the others know of this one.
    pub client: Arc<Client<P>, P>,
    /// What it has counted.
    pub tally: Tally,
    channels: BTreeSet<Box<[u8]>>,
    patterns: BTreeSet<Box<[u8]>>,
    /// Where in the buffer of replies those begin that must not be sent before the append-only file
    /// has what they tell of.
    pub(crate) unsettled: Option<usize>,
    /// Whether messages were collected that the outbox counts as unsent.
    collected: bool,
}

impl<'s, P: Platform> Session<'s, P> {
    /// A conversation that begins. `None` if there are too many already.
    pub fn new(shared: &'s Shared<P>, client: Arc<Client<P>, P>) -> Option<Self> {
        shared.ledger.add(client.clone(), shared.config.max_clients).then(|| Self {
            shared,
            client,
            tally: Tally::default(),
            channels: BTreeSet::new(),
            patterns: BTreeSet::new(),
            unsettled: None,
            collected: false,
        })
    }

    /// Runs one command and writes its reply.
    ///
    /// # Errors
    /// What the connection has to do now. If that is to make room, the command has done nothing
    /// and is to be run again.
    #[inline]
    pub fn execute(&mut self, args: Args<'_>, out: &mut Output) -> Result<(), Interruption> {
        commands::execute(self, args, out)
    }

    /// Waits until the replies in `out` may be sent.
    ///
    /// # Errors
    /// If they never may, because the append-only file could not be written. They were replaced by
    /// an error then, and the connection is to be closed: nobody knows which of the commands will
    /// turn out to have been run.
    pub(crate) fn settle(&mut self, out: &mut Output) -> Result<(), Unsettled> {
        let Some(start) = self.unsettled.take() else { return Ok(()) };
        let Some(journal) = self.shared.keyspace.journal() else { return Ok(()) };
        journal.settle().inspect_err(|_| {
            out.truncate(start);
            out.error(
                b"MISCONF Errors writing to the append-only file: whether this command and those \
                  after it will be there when the server is started again is not known",
            );
        })
    }

    /// How many channels and patterns the client listens to.
    #[inline]
    pub fn subscriptions(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    fn topics(&mut self, kind: Kind) -> &mut BTreeSet<Box<[u8]>> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
        }
    }

    /// What a subscription costs of the memory for clients.
    fn cost(topic: &[u8]) -> usize {
        2 * topic.len() + 256
    }

    /// Listens to all `topics` from one moment on, and calls `confirm` for each before that, with
    /// the number of subscriptions. If there is no memory for them, the client is cut off.
    pub(crate) fn subscribe<'a>(
        &mut self,
        kind: Kind,
        topics: impl Iterator<Item = &'a [u8]> + Clone,
        mut confirm: impl FnMut(&[u8], usize),
    ) -> commands::Outcome {
        let mut cost = 0;
        for topic in topics.clone() {
            if self.topics(kind).insert(topic.into()) {
                cost += Self::cost(topic);
            }
            confirm(topic, self.subscriptions());
        }
        if !self.shared.ledger.try_charge(&self.client, cost) {
            self.client.cut(Cut::ClientMemory);
            return Err(commands::Failure::Close);
        }
        self.shared.pubsub.subscribe(kind, topics, &self.client);
        self.describe_subscriptions();
        Ok(())
    }

    /// Listens to `topics` no longer, as far as the others are concerned: no message of theirs is
    /// put into the outbox from now on. Can be repeated.
    pub(crate) fn silence<'a>(&self, kind: Kind, topics: impl Iterator<Item = &'a [u8]>) {
        self.shared.pubsub.unsubscribe(kind, topics, self.client.id);
    }

    /// Forgets a topic that is silent.
    pub(crate) fn forget(&mut self, kind: Kind, topic: &[u8]) {
        if self.topics(kind).remove(topic) {
            self.shared.ledger.release(&self.client, Self::cost(topic));
            self.describe_subscriptions();
        }
    }

    /// All topics.
    pub(crate) fn all(&self, kind: Kind) -> Vec<Box<[u8]>> {
        let topics = match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
        };
        topics.iter().cloned().collect()
    }

    fn describe_subscriptions(&self) {
        self.client.activity.channels.store(self.channels.len(), Ordering::Relaxed);
        self.client.activity.patterns.store(self.patterns.len(), Ordering::Relaxed);
    }

    /// Changes the version of the protocol.
    pub(crate) fn set_protocol(&self, protocol: Protocol, out: &mut Output) {
        out.set_protocol(protocol);
        self.client.set_protocol(protocol);
    }

    /// Moves the messages that wait in the outbox to `out`, and leaves room for `more` bytes.
    ///
    /// # Errors
    /// If they do not fit. They stay where they are then.
    pub fn collect(&mut self, out: &mut Output, more: usize) -> Result<(), Shortage> {
        if !self.client.has_news() {
            return out.room(more);
        }
        self.collected = true;
        self.client.collect(&self.shared.ledger, |messages| {
            let length = messages.len();
            // Most subscribers only listen: then nothing waits in front of the messages, and the
            // buffers change places.
            if !out.is_empty() || !out.exchange(messages, more) {
                out.room(messages.len().saturating_add(more))?;
                out.raw(messages);
                messages.clear();
            }
            Ok(length)
        })
    }

    /// To be asked between the last message and the word that there will be none.
    ///
    /// # Errors
    /// The client is cut off, and messages may be gone: the connection is to be closed without that
    /// word.
    pub(crate) fn has_lost_nothing(&self) -> commands::Outcome {
        match self.client.fate() {
            Some(_) => Err(commands::Failure::Close),
            None => Ok(()),
        }
    }

    /// All that was [collected](Self::collect) has been sent.
    pub fn sent(&mut self) {
        if core::mem::take(&mut self.collected) {
            self.client.sent();
        }
    }
}

impl<P: Platform> Drop for Session<'_, P> {
    fn drop(&mut self) {
        // Nobody can reach the outbox once all topics are silent, so what is released is all.
        for kind in [Kind::Channel, Kind::Pattern] {
            self.silence(kind, self.all(kind).iter().map(|topic| &**topic));
        }
        self.shared.ledger.remove(&self.client);
        self.shared.stats.report(&mut self.tally);
    }
}
