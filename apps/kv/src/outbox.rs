//! Messages for one subscriber that its connection has not taken yet, and what becomes of one that
//! does not fit.
//!
//! What waits is bounded twice: by what may wait for one subscriber, and by the [`Ledger`], out of
//! which every byte of capacity is paid. The connection takes all messages at once; from then until
//! it has sent them they count as waiting still, but can no longer be dropped.

use std::collections::VecDeque;

use raddle::on::Platform;

use crate::client::{Client, Cut};
use crate::config::{Config, SlowSubscribers};
use crate::memory::{Buffer, Ledger};
use crate::protocol::Protocol;

/// How much may wait for a subscriber, and what happens then.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Bytes of messages that may wait.
    pub bytes: usize,
    /// What happens to a message that would make it more.
    pub policy: SlowSubscribers,
}

impl From<&Config> for Patience {
    fn from(config: &Config) -> Self {
        Self { bytes: config.output_buffer.0, policy: config.slow_subscribers }
    }
}

/// Messages that wait. Those who call hold the lock around it.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: Queue,
    limit: usize,
    /// Bytes that the connection has taken and not sent yet.
    unsent: usize,
    protocol: Protocol,
}

#[derive(Debug)]
enum Queue {
    /// Messages that nobody drops, one behind the other.
    Line(Vec<u8>),
    /// Messages of which the oldest may have to go.
    Ring(Ring),
}

/// Whole messages one behind the other, in a ring, so that to drop the oldest moves no byte of the
/// others.
#[derive(Debug, Default)]
struct Ring {
    bytes: VecDeque<u8>,
    /// How long each message is.
    lengths: VecDeque<usize>,
}

impl Outbox {
    pub(crate) fn new(patience: Patience) -> Self {
        let queue = match patience.policy {
            SlowSubscribers::DropOldest => Queue::Ring(Ring::default()),
            SlowSubscribers::Disconnect | SlowSubscribers::DropNewest => Queue::Line(Vec::new()),
        };
        Self { queue, limit: patience.bytes, unsent: 0, protocol: Protocol::default() }
    }

    pub(crate) fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// Adds a message whose encoding is `parts`, without the type that begins it. Returns how many
    /// older ones were dropped for it.
    ///
    /// # Errors
    /// What is short, if it does not fit. Nothing was added or dropped then.
    pub(crate) fn push<P: Platform>(
        &mut self,
        client: &Client<P>,
        ledger: &Ledger<P>,
        parts: &[&[u8]],
    ) -> Result<usize, Cut> {
        let length = 1 + parts.iter().map(|part| part.len()).sum::<usize>();
        let kind = if self.protocol == Protocol::Resp3 { b'>' } else { b'*' };
        match &mut self.queue {
            Queue::Line(bytes) => {
                if bytes.len() + self.unsent + length > self.limit {
                    return Err(Cut::OutputBuffer);
                }
                if !ledger.reserve(client, bytes, length) {
                    return Err(Cut::ClientMemory);
                }
                bytes.push(kind);
                parts.iter().for_each(|part| bytes.extend_from_slice(part));
                Ok(0)
            }
            Queue::Ring(ring) => {
                let allowed = self.limit.saturating_sub(self.unsent);
                let dropped = ring.make_room(client, ledger, allowed, length)?;
                ring.bytes.push_back(kind);
                parts.iter().for_each(|part| ring.bytes.extend(*part));
                ring.lengths.push_back(length);
                Ok(dropped)
            }
        }
    }

    /// Lets `take` empty it. It returns how many bytes of messages the connection now holds unsent,
    /// or an error, if it left them all where they are.
    pub(crate) fn collect<P: Platform, E>(
        &mut self,
        client: &Client<P>,
        ledger: &Ledger<P>,
        take: impl FnOnce(&mut Vec<u8>) -> Result<usize, E>,
    ) -> Result<(), E> {
        self.unsent += match &mut self.queue {
            Queue::Line(bytes) => {
                let taken = take(bytes)?;
                debug_assert!(bytes.is_empty(), "messages are taken all together");
                taken
            }
            Queue::Ring(ring) => {
                // Neither way allocates, so the capacity that is paid for stays the same.
                let mut bytes = Vec::from(core::mem::take(&mut ring.bytes));
                let taken = take(&mut bytes);
                ring.bytes = VecDeque::from(bytes);
                let taken = taken?;
                debug_assert!(ring.bytes.is_empty(), "messages are taken all together");
                ring.forget_lengths(client, ledger);
                taken
            }
        };
        Ok(())
    }

    /// The connection has sent all that it had collected.
    pub(crate) fn sent(&mut self) {
        self.unsent = 0;
    }

    /// Gives the messages of a client up that is cut off for them. What they leave is still paid for.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        match &mut self.queue {
            Queue::Line(bytes) => core::mem::take(bytes),
            Queue::Ring(_) => Vec::new(),
        }
    }
}

impl Ring {
    /// The list of lengths is given back beyond this when it is empty: it was long because the
    /// subscriber was slow.
    const LENGTHS_KEPT_MAX: usize = 512;

    /// Makes room for a message of `length` bytes, by more memory or by dropping the oldest ones, so
    /// that at most `allowed` bytes will wait. Returns how many were dropped.
    fn make_room<P: Platform>(
        &mut self,
        client: &Client<P>,
        ledger: &Ledger<P>,
        allowed: usize,
        length: usize,
    ) -> Result<usize, Cut> {
        let staying = allowed.checked_sub(length).ok_or(Cut::OutputBuffer)?;
        let (mut count, mut bytes) = self.oldest(self.bytes.len().saturating_sub(staying));
        if count == 0 && !ledger.reserve(client, &mut self.lengths, 1) {
            // The place of another one will do.
            if self.lengths.is_empty() {
                return Err(Cut::ClientMemory);
            }
            (count, bytes) = self.oldest(1);
        }
        if !ledger.reserve(client, &mut self.bytes, length.saturating_sub(bytes)) {
            // More have to go, so that it fits into the memory that there is. If that would not do
            // though all went, it takes as much as it needs alone.
            let all = self.bytes.len();
            if length > self.bytes.capacity()
                && !ledger.reserve(client, &mut self.bytes, length - all)
            {
                return Err(Cut::ClientMemory);
            }
            let missing = (all + length).saturating_sub(self.bytes.capacity());
            (count, bytes) = self.oldest(missing.max(bytes));
        }
        self.bytes.drain(..bytes);
        self.lengths.drain(..count);
        Ok(count)
    }

    /// How many of the oldest messages take `bytes` bytes at least, and how many they take.
    fn oldest(&self, bytes: usize) -> (usize, usize) {
        let mut sum = 0;
        let count = self.lengths.iter().take_while(|length| {
            let wanted = sum < bytes;
            sum += if wanted { **length } else { 0 };
            wanted
        });
        (count.count(), sum)
    }

    fn forget_lengths<P: Platform>(&mut self, client: &Client<P>, ledger: &Ledger<P>) {
        let before = self.lengths.cost();
        self.lengths.clear();
        self.lengths.shrink_to(Self::LENGTHS_KEPT_MAX);
        ledger.release(client, before - self.lengths.cost());
    }
}
