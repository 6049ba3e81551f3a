//! Publishers and subscribers of `raddle-kv`, some of whom read too slowly.

mod client;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use core::time::Duration;

use raddle_kv::config::{Bytes, Config, Log as Level, SlowSubscribers};
use raddle_kv::server::Server;
use raddle_platform::{Platform, Rng};
use raddle_runtime::{scope, sleep, spawn};
use raddle_scenarios::Scenario;

use super::{ON_RUNTIME, PATIENCE, Program, connect, on_runtime, usual};
use crate::faults::calm;
use crate::messages::{Drops, Event, Log, Message, Topic, check, check_dropping};
use crate::net;
use crate::platform::Sim;
use client::Client;

pub(super) fn list() -> Vec<Program> {
    let scenario = Scenario::new(
        "faults/pubsub",
        "a subscriber of raddle-kv gets all messages, once and in one order, or is told by the end \
         of its connection; a publisher learns how many got his",
        program,
    );
    let dropping = Scenario::new(
        "faults/pubsub_that_drops",
        "a subscriber of raddle-kv for which messages are dropped gets the others whole, once and in \
         one order, and all that are missing are counted",
        program_that_drops,
    );
    [scenario, dropping].map(|it| Program::new(it.needs(ON_RUNTIME.rng().io()), usual())).into()
}

/// What may wait for a subscriber: some six messages.
const OUTPUT: usize = 512;
const CHANNELS: [&str; 2] = ["loom/warp", "loom/weft"];
const SUBSCRIBERS: u32 = 2;
const PUBLISHERS: u32 = 2;

/// What all clients share: real, because it is the test's.
struct Town {
    address: SocketAddr,
    log: Log,
    connections: AtomicU32,
}

impl Town {
    /// The number of a new connection.
    fn number(&self) -> u32 {
        self.connections.fetch_add(1, Relaxed)
    }
}

fn below(count: usize) -> usize {
    (<Sim as Platform>::Rng::u64() % count as u64) as usize
}

/// A channel, or all.
fn topic() -> Topic {
    match CHANNELS.get(below(CHANNELS.len() + 1)) {
        Some(channel) => Topic::Channel((*channel).to_owned()),
        None => Topic::Prefix("loom/".to_owned()),
    }
}

/// Listens, to this and that, until the connection ends or it has enough.
fn listen(town: &Town) -> Option<()> {
    let mut client = Client::connect(town)?;
    if below(2) == 0 {
        client.speak_new()?;
    }
    client.subscribe(vec![topic()])?;
    for _ in 0..4 {
        match below(8) {
            0 => client.subscribe(client.without(vec![topic(), topic()]))?,
            1 => {
                let all = client.topics();
                let one = all.get(below(all.len().max(1))).cloned();
                client.unsubscribe(one.into_iter().collect())?;
            }
            // What comes meanwhile waits, in the kernels and then in the server.
            2..4 => sleep::<Sim>(PATIENCE / 4).ok()?,
            4 => client.ask_twice()?,
            _ => client.ask()?,
        }
    }
    // Nothing is missing, and nothing comes any more.
    match below(2) {
        0 => client.unsubscribe(client.topics())?,
        _ => client.ask()?,
    }
    client.ask()
}

/// Publishes here and there, one after the other or some together.
fn publish(town: &Town, count: u32) -> Option<()> {
    let mut client = Client::connect(town)?;
    let mut number = 0;
    while number < count {
        let together = 1 + below(3) as u32;
        let message = |number| {
            let message = Message { publisher: client.number(), number };
            (CHANNELS[below(CHANNELS.len())], message)
        };
        let messages: Vec<_> = (number..number + together).map(message).collect();
        client.publish(&messages)?;
        number += together;
        if below(3) == 0 {
            sleep::<Sim>(Duration::from_millis(5)).ok()?;
        }
    }
    Some(())
}

fn program() {
    let (events, _) = converse(SlowSubscribers::Disconnect);
    check(&events).unwrap_or_else(|unsound| panic!("{unsound}"));
}

fn program_that_drops() {
    let policy = [SlowSubscribers::DropOldest, SlowSubscribers::DropNewest][below(2)];
    let (events, drops) = converse(policy);
    check_dropping(&events, drops).unwrap_or_else(|unsound| panic!("{unsound}"));
}

/// Runs the server and its clients: what they saw, and what the server has dropped.
fn converse(policy: SlowSubscribers) -> (Vec<Event>, Drops) {
    on_runtime::<Sim, _>(move || {
        let config = Config {
            port: 0,
            bind: net::address(0),
            log: Level::Off,
            output_buffer: Bytes(OUTPUT),
            slow_subscribers: policy,
            ..Config::default()
        };
        let server = Server::<Sim>::bind(config).expect("a port");
        let (address, stop) = (server.local_addr().expect("an address"), server.stop_token());
        let serving = spawn::<Sim, _, _>(move || server.run());
        let log = Log::default();
        let town = Arc::new(Town { address, log, connections: AtomicU32::new(0) });
        scope::<Sim, _, _>(|fibers| {
            for _ in 0..SUBSCRIBERS {
                let town = Arc::clone(&town);
                fibers.spawn(move || (0..2).for_each(|_| _ = listen(&town)));
            }
            for _ in 0..PUBLISHERS {
                let town = Arc::clone(&town);
                fibers.spawn(move || (0..2).for_each(|_| _ = publish(&town, 5)));
            }
        });
        calm();
        while last_word(&town).is_none() {}
        let drops = drops(&town, policy);
        stop.cancel();
        serving.join().expect("no panic").expect("all connections end");
        (town.log.events(), drops)
    })
}

/// What the server has dropped, of what it may drop.
fn drops(town: &Town, policy: SlowSubscribers) -> Drops {
    let counted = || loop {
        if let Some(count) = Client::connect(town).and_then(|mut it| it.dropped()) {
            return count;
        }
    };
    match policy {
        SlowSubscribers::Disconnect => Drops::Never,
        SlowSubscribers::DropOldest => Drops::Oldest(counted()),
        SlowSubscribers::DropNewest => Drops::Newest(counted()),
    }
}

/// When nothing is at fault any more, who subscribes and publishes is heard.
fn last_word(town: &Town) -> Option<()> {
    let mut subscriber = Client::connect(town)?;
    let channel = CHANNELS[0];
    subscriber.subscribe(vec![Topic::Channel(channel.to_owned())])?;
    let mut publisher = Client::connect(town)?;
    let number = publisher.number();
    publisher.publish(&[(channel, Message { publisher: number, number: 0 })])?;
    subscriber.ask()
}
