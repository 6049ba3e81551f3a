//! What all connections share.

use raddle::on::{Atomic, AtomicInt, Clock, Instant, Native, Ordering, Platform, Rng};

use crate::config::Config;
use crate::keyspace::{Keyspace, SHARDS_MAX};
use crate::memory::Ledger;
use crate::pubsub::PubSub;

/// Counts since the start, for `INFO`.
pub struct Stats<P: Platform = Native> {
    /// Connections accepted.
    pub connections: P::AtomicU64,
    /// Connections refused because there were too many.
    pub rejected: P::AtomicU64,
    /// Commands run.
    pub commands: P::AtomicU64,
    /// Bytes received.
    pub received: P::AtomicU64,
    /// Bytes sent.
    pub sent: P::AtomicU64,
    /// Keys that were asked for and found.
    pub hits: P::AtomicU64,
    /// Keys that were asked for and not found.
    pub misses: P::AtomicU64,
}

/// What one connection has counted and not reported to the [`Stats`] yet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Commands run.
    pub commands: u64,
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
    /// Keys found.
    pub hits: u64,
    /// Keys not found.
    pub misses: u64,
}

impl<P: Platform> Stats<P> {
    fn new() -> Self {
        Self {
            connections: P::AtomicU64::new(0),
            rejected: P::AtomicU64::new(0),
            commands: P::AtomicU64::new(0),
            received: P::AtomicU64::new(0),
            sent: P::AtomicU64::new(0),
            hits: P::AtomicU64::new(0),
            misses: P::AtomicU64::new(0),
        }
    }

    /// Adds what a connection has counted, and clears it there.
    pub fn report(&self, tally: &mut Tally) {
        let Tally { commands, received, sent, hits, misses } = core::mem::take(tally);
        let pairs = [
            (&self.commands, commands),
            (&self.received, received),
            (&self.sent, sent),
            (&self.hits, hits),
            (&self.misses, misses),
        ];
        for (total, part) in pairs {
            if part > 0 {
                total.fetch_add(part, Ordering::Relaxed);
            }
        }
    }
}

/// What all connections share.
pub struct Shared<P: Platform = Native> {
    /// How the server runs.
    pub config: Config,
    /// All keys.
    pub keyspace: Keyspace<P>,
    /// All clients and their memory.
    pub ledger: Ledger<P>,
    /// Who subscribed to what.
    pub pubsub: PubSub<P>,
    /// Counts.
    pub stats: Stats<P>,
    /// When the server started.
    pub started: Instant,
    /// Names this run of the server, in 40 hexadecimal digits.
    pub run_id: String,
    /// Worker threads.
    pub workers: usize,
    /// The driver's name.
    pub driver: &'static str,
}

impl<P: Platform> Shared<P> {
    /// A server's state before its first client.
    pub fn new(config: Config, workers: usize, driver: &'static str) -> Self {
        let mut random = [0; 20];
        P::Rng::fill(&mut random);
        // Workers meet at a lock seldom enough if there are many more shards than workers. More
        // would only make commands with many keys slower.
        let shards = (16 * workers).next_power_of_two().min(SHARDS_MAX);
        Self {
            keyspace: Keyspace::new(shards),
            ledger: Ledger::new(config.client_memory.0),
            pubsub: PubSub::new(),
            stats: Stats::new(),
            started: P::Clock::now(),
            run_id: random.iter().map(|byte| format!("{byte:02x}")).collect(),
            config,
            workers,
            driver,
        }
    }
}
