//! The parts of the server where threads meet, under the model checker; and the whole server,
//! compiled for it.

use core::task::Poll;

use raddle_kv::client::{Client, Cut};
use raddle_kv::config::{Bytes, Config};
use raddle_kv::keyspace::Keyspace;
use raddle_kv::memory::Ledger;
use raddle_kv::outbox::Patience;
use raddle_kv::protocol::Output;
use raddle_kv::server::Server;
use raddle_kv::session::Session;
use raddle_kv::shared::Shared;
use raddle_kv::start::start;
use raddle_kv::table::Entry;
use raddle_loom::{Loom, Model, Report, Verdict};
use raddle_platform::suspend::{self, Limits};
use raddle_platform::{Parker, Platform};
use raddle_scenarios::scope;

type Arc<T> = raddle::on::Arc<T, Loom>;

#[test]
fn the_server_is_compiled_for_the_model_checker() {
    let _ = Server::<Loom>::run;
    let _ = start::<Loom>;
}

fn check(program: impl Fn() + 'static) {
    let report = Model::new().preemption_bound(Some(2)).on_failure(fail).check(program);
    assert_eq!(report.verdict, Verdict::Bounded(2), "{} executions", report.executions);
}

/// A failed execution cannot be unwound safely, so the process ends with it.
fn fail(report: &Report) {
    if let Verdict::Failed(failure) = &report.verdict {
        eprintln!("{failure}");
    }
    std::process::exit(101);
}

fn client(id: u64) -> Arc<Client<Loom>> {
    let waker = <Loom as Platform>::Parker::waker();
    Arc::new_in(Client::new(
        id,
        String::new(),
        String::new(),
        Patience::from(&Config::default()),
        waker,
        Box::new(|| ()),
    ))
}

fn session(shared: &Shared<Loom>) -> Session<'_, Loom> {
    let id = shared.ledger.next_id();
    Session::new(shared, client(id)).expect("there is room for clients")
}

/// Keys of both shards.
fn keys(keyspace: &Keyspace<Loom>) -> Vec<[u8; 1]> {
    let of_shard = |shard| {
        let in_shard = |key: &u8| keyspace.hash(&[*key]) >> 63 == shard;
        [(0..=255).find(in_shard).expect("a key of each shard")]
    };
    vec![of_shard(0), of_shard(1)]
}

#[test]
fn commands_on_keys_of_two_shards_are_atomic() {
    check(|| {
        let keyspace = Keyspace::<Loom>::new(2);
        let keys = keys(&keyspace);
        let hashes: Vec<u64> = keys.iter().map(|key| keyspace.hash(key)).collect();
        let write = |value: &[u8]| {
            let mut shards = keyspace.lock_many(hashes.iter().copied());
            for (key, hash) in keys.iter().zip(&hashes) {
                shards.of(*hash).set(*hash, key, value, Entry::NEVER);
            }
        };
        let read = || -> Vec<Option<Vec<u8>>> {
            let mut shards = keyspace.lock_many(hashes.iter().rev().copied());
            let pairs = keys.iter().zip(&hashes);
            pairs
                .map(|(key, hash)| {
                    let live = shards.of(*hash).find::<Loom>(*hash, key);
                    live.map(|live| live.into_bytes().to_vec())
                })
                .collect()
        };
        scope::<Loom, _>(|threads| {
            threads.spawn(|| write(b"1"));
            threads.spawn(|| write(b"2"));
            let values = read();
            assert_eq!(values[0], values[1]);
        });
        let values = read();
        assert!(values[0].is_some() && values[0] == values[1]);
    });
}

#[test]
fn no_message_is_lost_and_no_wake_either() {
    check(|| {
        let shared = Shared::<Loom>::new(Config::default(), 1, "none");
        let mut subscriber = session(&shared);
        let mut out = Output::with_capacity(2 * Output::RESERVE);
        let topics = [&b"c"[..]];
        shared.pubsub.subscribe(
            raddle_kv::pubsub::Kind::Channel,
            topics.into_iter(),
            &subscriber.client,
        );
        scope::<Loom, _>(|threads| {
            threads.spawn(|| {
                for message in [b"1", b"2"] {
                    assert_eq!(shared.pubsub.publish(&shared.ledger, b"c", message), 1);
                }
            });
            let mut received = 0;
            while received < 2 {
                let client = &subscriber.client;
                let news = suspend::wait::<Loom, _>(Limits::NONE, |_| match client.has_news() {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                });
                assert_eq!(news, Ok(()));
                subscriber.collect(&mut out, 0).expect("there is room");
                received += out.as_bytes().iter().filter(|byte| **byte == b'*').count();
                out.truncate(0);
                subscriber.sent();
            }
            assert_eq!(received, 2);
        });
        shared.pubsub.unsubscribe(
            raddle_kv::pubsub::Kind::Channel,
            topics.into_iter(),
            subscriber.client.id,
        );
    });
}

#[test]
fn who_waits_for_memory_is_woken_by_who_frees_it() {
    check(|| {
        let ledger = Ledger::<Loom>::new(100);
        let large = client(1);
        ledger.add(large.clone(), 2);
        assert!(ledger.try_charge(&large, 60));
        scope::<Loom, _>(|threads| {
            threads.spawn(|| ledger.release(&large, 60));
            let waiting = client(2);
            ledger.add(waiting.clone(), 2);
            assert!(ledger.charge(&waiting, 50).is_ok());
            assert_eq!(waiting.fate(), None);
            assert!(matches!(large.fate(), None | Some(Cut::ClientMemory)));
            ledger.remove(&waiting);
        });
        assert_eq!(ledger.total(), 0);
        ledger.remove(&large);
    });
}

#[test]
fn what_clients_hold_never_exceeds_the_limit() {
    check(|| {
        let config = Config { client_memory: Bytes(100), ..Config::default() };
        let shared = Shared::<Loom>::new(config, 1, "none");
        let (one, other) = (session(&shared), session(&shared));
        scope::<Loom, _>(|threads| {
            let charge = |session: Session<'_, Loom>| {
                // Both do not fit: the larger is cut off, or the first is done before.
                let _ = shared.ledger.charge(&session.client, 70);
                assert!(shared.ledger.total() <= 100);
                drop(session);
            };
            threads.spawn(move || charge(other));
            charge(one);
        });
        assert_eq!(shared.ledger.total(), 0);
    });
}
