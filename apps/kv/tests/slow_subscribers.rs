//! What becomes of messages that a subscriber does not read.

mod common;

use std::collections::VecDeque;

use common::{Local, server};
use raddle::on::Native;
use raddle_kv::config::{Bytes, Config, SlowSubscribers};
use raddle_kv::shared::Shared;

const POLICIES: [SlowSubscribers; 2] = [SlowSubscribers::DropOldest, SlowSubscribers::DropNewest];

fn with(policy: SlowSubscribers, output_buffer: usize) -> &'static Shared<Native> {
    let output_buffer = Bytes(output_buffer);
    server(Config { slow_subscribers: policy, output_buffer, ..Config::default() })
}

/// A message on the channel `c`, as a subscriber gets it.
fn encoded(message: &str) -> String {
    format!("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n${}\r\n{message}\r\n", message.len())
}

/// The message with this number, of the length of all others.
fn numbered(number: usize) -> String {
    format!("{number:06}")
}

/// What comes when these are received, and nothing else.
fn all(numbers: impl Iterator<Item = usize>) -> String {
    numbers.map(|number| encoded(&numbered(number))).collect()
}

/// Publishes messages with these numbers, and returns how many got each.
fn publish(publisher: &mut Local, numbers: impl Iterator<Item = usize>) -> Vec<usize> {
    let reply = |number| publisher.line(&format!("publish c {}", numbered(number)));
    let count = |reply: String| reply[1..].trim_end().parse().expect("a number of receivers");
    numbers.map(reply).map(count).collect()
}

/// Nobody is left, and nothing.
fn is_empty(shared: &Shared<Native>, locals: impl IntoIterator<Item = Local>) {
    drop(locals.into_iter().collect::<Vec<_>>());
    assert_eq!((shared.ledger.total(), shared.ledger.count()), (0, 0));
    assert_eq!(shared.pubsub.len(), (0, 0));
}

/// Messages that fit into an outbox of a thousand bytes.
const FIT: usize = 1000 / 36;

/// Publishes a hundred messages to one who reads and to one who does not, and returns the latter
/// and the others; `receivers` says how many should get the message with this number.
fn flood(shared: &'static Shared<Native>, receivers: impl Fn(usize) -> usize) -> [Local; 3] {
    let [mut slow, mut reader, mut publisher] = [(); 3].map(|()| Local::of(shared));
    slow.line("subscribe c");
    reader.line("subscribe c");
    let mut read = String::new();
    for number in 0..100 {
        assert_eq!(publish(&mut publisher, number..=number), [receivers(number)], "{number}");
        read += &reader.messages();
    }
    assert_eq!(read, all(0..100));
    assert_eq!(shared.pubsub.dropped(), (100 - FIT) as u64);
    assert!(publisher.line("info stats").contains("pubsub_dropped_messages:73\r\n"));
    assert_eq!(slow.session.client.fate(), None);
    [slow, reader, publisher]
}

/// Whoever has read what it was left with goes on from there, and loses nothing more.
fn goes_on(shared: &'static Shared<Native>, slow: &mut Local, publisher: &mut Local) {
    assert_eq!(publish(publisher, 100..100 + FIT), [2; FIT]);
    assert_eq!(slow.messages(), all(100..100 + FIT));
    assert_eq!(shared.pubsub.dropped(), (100 - FIT) as u64);
}

#[test]
fn who_does_not_read_misses_the_newest() {
    let shared = with(SlowSubscribers::DropNewest, 1000);
    let [mut slow, reader, mut publisher] = flood(shared, |number| 1 + usize::from(number < FIT));
    assert_eq!(slow.messages(), all(0..FIT));
    goes_on(shared, &mut slow, &mut publisher);
    is_empty(shared, [slow, reader, publisher]);
}

#[test]
fn who_does_not_read_loses_the_oldest() {
    let shared = with(SlowSubscribers::DropOldest, 1000);
    let [mut slow, reader, mut publisher] = flood(shared, |_| 2);
    assert_eq!(slow.messages(), all(100 - FIT..100));
    goes_on(shared, &mut slow, &mut publisher);
    is_empty(shared, [slow, reader, publisher]);
}

#[test]
fn a_subscription_that_has_lost_messages_ends_as_any_other() {
    for policy in POLICIES {
        let shared = with(policy, 1000);
        let [mut slow, mut publisher] = [(); 2].map(|()| Local::of(shared));
        slow.line("subscribe c d");
        publish(&mut publisher, 0..100);
        let kept = match policy {
            SlowSubscribers::DropOldest => 100 - FIT..100,
            _ => 0..FIT,
        };
        let end = "*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:1\r\n";
        // The request comes before the connection looks for messages, as when it pipelines.
        assert_eq!(slow.line("unsubscribe c"), all(kept) + end);
        assert_eq!(publish(&mut publisher, 100..200), [0; 100]);
        assert_eq!(slow.messages(), "");
        assert_eq!(shared.pubsub.dropped(), (100 - FIT) as u64);
        is_empty(shared, [slow, publisher]);
    }
}

#[test]
fn a_message_that_never_fits_is_dropped_and_no_other_for_it() {
    for policy in POLICIES {
        let shared = with(policy, 1000);
        let [mut slow, mut publisher] = [(); 2].map(|()| Local::of(shared));
        slow.line("subscribe c");
        publish(&mut publisher, 0..5);
        // As large as the limit, but for the rest of the encoding.
        assert_eq!(publisher.line(&format!("publish c {}", "x".repeat(1000))), ":0\r\n");
        assert_eq!(shared.pubsub.dropped(), 1);
        assert_eq!(slow.messages(), all(0..5));
        let largest = "x".repeat(968);
        assert_eq!(encoded(&largest).len(), 1000);
        assert_eq!(publisher.line(&format!("publish c {largest}")), ":1\r\n");
        assert_eq!(publisher.line(&format!("publish c {largest}x")), ":0\r\n");
        assert_eq!(shared.pubsub.dropped(), 2);
        assert_eq!(slow.messages(), encoded(&largest));
        is_empty(shared, [slow, publisher]);
    }
}

/// What an outbox is meant to do.
struct Model {
    policy: SlowSubscribers,
    limit: usize,
    /// Messages that wait, and the number of each.
    waiting: VecDeque<(usize, String)>,
    /// Those that the connection has taken.
    taken: String,
    unsent: usize,
    dropped: u64,
}

impl Model {
    fn length(&self) -> usize {
        self.waiting.iter().map(|(_, message)| message.len()).sum::<usize>() + self.unsent
    }

    fn push(&mut self, number: usize, message: String) -> bool {
        let fits = |model: &Self| model.length() + message.len() <= model.limit;
        let hopeless = self.unsent + message.len() > self.limit;
        if !fits(self) && (self.policy == SlowSubscribers::DropNewest || hopeless) {
            self.dropped += 1;
            return false;
        }
        while !fits(self) {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.waiting.push_back((number, message));
        true
    }

    fn take(&mut self) {
        for (_, message) in self.waiting.drain(..) {
            self.unsent += message.len();
            self.taken += &message;
        }
    }
}

#[test]
fn messages_of_all_lengths_come_whole_in_order_and_are_counted() {
    for (policy, seed) in POLICIES.into_iter().flat_map(|policy| [(policy, 1), (policy, 2)]) {
        let shared = with(policy, 3000);
        let [mut slow, mut publisher] = [(); 2].map(|()| Local::of(shared));
        if seed == 2 {
            slow.line("hello 3");
        }
        slow.line("subscribe c");
        let (waiting, taken) = (VecDeque::new(), String::new());
        let mut model = Model { policy, limit: 3000, waiting, taken, unsent: 0, dropped: 0 };
        let mut state: u64 = seed;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        let mut refused = 0;
        for number in 0..20_000 {
            let length = [0, 20, 300, 3100][random(4) as usize];
            let message = format!("{number}{}", ".".repeat(random(length + 1) as usize));
            let text = encoded(&message);
            let text = if seed == 2 { text.replacen('*', ">", 1) } else { text };
            let got = model.push(number, text);
            refused += u64::from(!got);
            let reply = publisher.line(&format!("publish c {message}"));
            assert_eq!(reply, format!(":{}\r\n", u8::from(got)), "message {number}");
            assert_eq!(shared.pubsub.dropped(), model.dropped, "message {number}");
            match random(60) {
                0 => {
                    model.take();
                    model.unsent = 0;
                    assert_eq!(slow.messages(), core::mem::take(&mut model.taken));
                }
                // The connection takes them, or finds no room for them, and cannot send.
                1 if slow.session.collect(&mut slow.out, 0).is_ok() => model.take(),
                _ => {}
            }
        }
        assert!(refused > 1000, "{refused}");
        assert!(policy == SlowSubscribers::DropNewest || model.dropped > 2 * refused);
        is_empty(shared, [slow, publisher]);
    }
}

#[test]
fn none_is_lost_uncounted_under_load() {
    const COUNT: usize = 30_000;
    for policy in POLICIES {
        let shared = with(policy, 1000);
        let mut subscriber = Local::of(shared);
        subscriber.line("subscribe c");
        let (mut received, mut counted) = (Vec::new(), 0);
        std::thread::scope(|scope| {
            let publishing = scope.spawn(|| {
                let mut publisher = Local::of(shared);
                publish(&mut publisher, 0..COUNT).into_iter().sum::<usize>()
            });
            loop {
                let is_last = publishing.is_finished();
                let text = subscriber.messages();
                let mut rest = text.as_str();
                while !rest.is_empty() {
                    let (message, more) = rest.split_at(encoded(&numbered(0)).len());
                    let number = message[message.len() - 8..].trim_end().parse().expect("whole");
                    assert_eq!(message, encoded(&numbered(number)));
                    received.push(number);
                    rest = more;
                }
                if is_last {
                    break;
                }
            }
            counted = publishing.join().unwrap();
        });
        assert!(received.is_sorted_by(|one, next| one < next));
        assert_eq!(received.len() + shared.pubsub.dropped() as usize, COUNT);
        // Of the oldest, those count that were there and had to go.
        let most = if policy == SlowSubscribers::DropOldest { COUNT } else { received.len() };
        assert!((received.len()..=most).contains(&counted), "{policy:?}: {counted}");
        is_empty(shared, [subscriber]);
    }
}

/// A subscriber that has `count` messages, and another client that leaves no memory but the last
/// sixteenth, in which a client may be cut off.
fn short_of_memory(policy: SlowSubscribers, count: usize) -> (&'static Shared<Native>, [Local; 3]) {
    let client_memory = Bytes(1 << 20);
    let shared = server(Config { slow_subscribers: policy, client_memory, ..Config::default() });
    let [mut slow, mut publisher, other] = [(); 3].map(|()| Local::of(shared));
    slow.line("subscribe c");
    publish(&mut publisher, 0..count);
    let rest = (15 << 16) - shared.ledger.total();
    assert!(shared.ledger.try_charge(&other.session.client, rest));
    (shared, [slow, publisher, other])
}

#[test]
fn a_message_for_which_there_is_no_memory_is_dropped() {
    for policy in POLICIES {
        let (shared, [mut slow, mut publisher, other]) = short_of_memory(policy, 10);
        let reply = publisher.command(&[b"publish", b"c", &[b'x'; 100_000]]);
        assert_eq!((&reply[..], shared.pubsub.dropped()), (&b":0\r\n"[..], 1));
        for local in [&slow, &other] {
            assert_eq!(local.session.client.fate(), None);
        }
        assert_eq!(slow.messages(), all(0..10));
        is_empty(shared, [slow, publisher, other]);
    }
}

#[test]
fn the_oldest_go_where_there_is_no_memory_for_more() {
    // Twice the memory that these have is not to be had.
    const COUNT: usize = 4000;
    let (shared, [mut slow, mut publisher, other]) =
        short_of_memory(SlowSubscribers::DropOldest, COUNT);
    let message = "y".repeat(1000);
    for _ in 0..1000 {
        assert_eq!(publisher.line(&format!("publish c {message}")), ":1\r\n");
        assert!(shared.ledger.total() <= 15 << 16);
    }
    for local in [&slow, &other] {
        assert_eq!(local.session.client.fate(), None);
    }
    let received = slow.messages().matches(&encoded(&message)).count();
    assert!(received > 100 && received < 1000, "{received}");
    assert_eq!(received + shared.pubsub.dropped() as usize, COUNT + 1000);
    is_empty(shared, [slow, publisher, other]);
}

#[test]
fn all_old_messages_go_for_one_that_just_fits_alone() {
    let (shared, [mut slow, mut publisher, other]) =
        short_of_memory(SlowSubscribers::DropOldest, 500);
    // More than the sixteenth with the old ones, and less without.
    let message = "y".repeat(80_000);
    assert_eq!(publisher.command(&[b"publish", b"c", message.as_bytes()]), b":1\r\n");
    assert_eq!((slow.messages(), shared.pubsub.dropped()), (encoded(&message), 500));
    assert_eq!(slow.session.client.fate(), None);
    is_empty(shared, [slow, publisher, other]);
}

#[test]
fn where_messages_begin_is_paid_for_and_given_back() {
    let shared = with(SlowSubscribers::DropOldest, 1 << 20);
    let [mut slow, mut publisher] = [(); 2].map(|()| Local::of(shared));
    slow.line("subscribe c");
    let before = shared.ledger.total();
    publish(&mut publisher, 0..10_000);
    let full = shared.ledger.total();
    assert!(full - before >= 10_000 * (36 + size_of::<usize>()), "{}", full - before);
    assert_eq!(slow.messages(), all(0..10_000));
    // The bytes have changed places with those of the replies.
    let given_back = full - shared.ledger.total();
    assert!(given_back >= 9_000 * size_of::<usize>(), "{given_back}");
    is_empty(shared, [slow, publisher]);
}
