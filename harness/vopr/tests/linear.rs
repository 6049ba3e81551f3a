//! The linearizability checker, on histories whose verdict is known.

use core::time::Duration;

use raddle_vopr::linear::{
    Bounds, Bytes, CallId, Counterexample, History, Map, MapOp, Moment, Mutex, MutexOp,
    MutexOutcome, Queue, QueueOp, QueueOutcome, Register, RegisterOp, RegisterOutcome, Reply,
    Semaphore, SemaphoreOp, SemaphoreOutcome, Verdict, When, check, check_keyed,
};

/// Writes a history down event by event: each is one step, and one millisecond, after the last.
struct Script<O, R> {
    history: History<O, R>,
    step: u64,
    time: u64,
}

impl<O, R> Script<O, R> {
    fn new() -> Self {
        Self { history: History::default(), step: 0, time: 0 }
    }

    fn at(&mut self) -> Moment {
        self.step += 1;
        self.time += 1_000_000;
        Moment { step: self.step, time: self.time }
    }

    fn invoke(&mut self, process: u32, operation: O) -> CallId {
        let at = self.at();
        self.history.invoke(process, operation, at)
    }

    fn complete(&mut self, id: CallId, outcome: R) {
        let at = self.at();
        self.history.complete(id, outcome, at);
    }

    /// An operation while no other one begins or ends.
    fn call(&mut self, process: u32, operation: O, outcome: R) {
        let id = self.invoke(process, operation);
        self.complete(id, outcome);
    }

    /// Lets so many milliseconds pass.
    fn sleep(&mut self, milliseconds: u64) {
        self.time += milliseconds * 1_000_000;
    }
}

type Keys = Script<MapOp, Reply>;

impl Keys {
    fn verdict(&self) -> Verdict {
        self.verdict_of(Map::default())
    }

    fn verdict_of(&self, map: Map) -> Verdict {
        check_keyed(&map, &self.history, Bounds::default())
    }
}

fn get(key: &str) -> MapOp {
    MapOp::Get(key.into())
}

fn value(text: &str) -> Reply {
    Reply::Value(text.into())
}

fn keys(names: &[&str]) -> Vec<Bytes> {
    names.iter().map(|name| (*name).into()).collect()
}

#[track_caller]
fn counterexample(verdict: Verdict) -> Box<Counterexample> {
    match verdict {
        Verdict::NotLinearizable(counterexample) => counterexample,
        other => panic!("expected a counterexample: {other}"),
    }
}

#[test]
fn an_overlapping_read_may_see_the_old_or_the_new_value() {
    for seen in [0, 1] {
        let mut script = Script::new();
        let write = script.invoke(0, RegisterOp::Write(1));
        script.call(1, RegisterOp::Read, RegisterOutcome::Value(seen));
        script.complete(write, RegisterOutcome::Done);
        check(&Register::of(0), &script.history, Bounds::default()).unwrap();
    }
}

#[test]
fn a_value_that_was_seen_does_not_go_away_again() {
    let mut script = Script::new();
    let write = script.invoke(0, RegisterOp::Write(1));
    script.call(1, RegisterOp::Read, RegisterOutcome::Value(1));
    script.call(2, RegisterOp::Read, RegisterOutcome::Value(0));
    script.complete(write, RegisterOutcome::Done);
    let found = counterexample(check(&Register::of(0), &script.history, Bounds::default()));
    assert_eq!(found.culprit, 2, "the second read returned first of those that fit nowhere");
    assert_eq!(found.prefix.len(), 2);
    let text = found.to_string();
    for part in [
        "of 3 operations 2 can be put in an order",
        "client 0, steps 1 to 6: Write(1) -> Done",
        "> client 2, steps 4 to 5: Read -> Value(0)",
        "here it would answer Value(1)",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn an_unanswered_operation_takes_effect_late_or_never() {
    let with_pending = |reads: &[u32]| {
        let mut script = Script::new();
        script.invoke(0, RegisterOp::Write(1));
        for seen in reads {
            script.call(1, RegisterOp::Read, RegisterOutcome::Value(*seen));
        }
        check(&Register::of(0), &script.history, Bounds::default())
    };
    with_pending(&[0, 0, 0]).unwrap();
    with_pending(&[0, 1, 1]).unwrap();
    with_pending(&[1, 1, 1]).unwrap();
    assert_eq!(counterexample(with_pending(&[1, 0])).culprit, 2);
}

#[test]
fn an_exchange_succeeds_once() {
    let mut script = Script::new();
    let first = script.invoke(0, RegisterOp::CompareExchange(0, 1));
    let second = script.invoke(1, RegisterOp::CompareExchange(0, 2));
    script.complete(first, RegisterOutcome::Exchanged(true));
    script.complete(second, RegisterOutcome::Exchanged(true));
    let verdict = check(&Register::of(0), &script.history, Bounds::default());
    assert_eq!(counterexample(verdict).culprit, 1);
}

#[test]
fn a_queue_keeps_its_order() {
    let taken = |first: u32, second: u32| {
        let mut script = Script::new();
        let one = script.invoke(0, QueueOp::Enqueue(1));
        let two = script.invoke(1, QueueOp::Enqueue(2));
        script.complete(one, QueueOutcome::Done);
        script.complete(two, QueueOutcome::Done);
        script.call(2, QueueOp::Enqueue(3), QueueOutcome::Done);
        script.call(2, QueueOp::Dequeue, QueueOutcome::Value(first));
        script.call(2, QueueOp::Dequeue, QueueOutcome::Value(second));
        check(&Queue::unbounded(), &script.history, Bounds::default())
    };
    taken(1, 2).unwrap();
    taken(2, 1).unwrap();
    counterexample(taken(1, 1));
    counterexample(taken(1, 3));
    counterexample(taken(3, 1));
}

#[test]
fn a_full_queue_takes_nothing() {
    let mut script = Script::new();
    script.call(0, QueueOp::Enqueue(1), QueueOutcome::Done);
    script.call(0, QueueOp::Enqueue(2), QueueOutcome::Full);
    script.call(0, QueueOp::Drain, QueueOutcome::All(vec![1]));
    script.call(0, QueueOp::Dequeue, QueueOutcome::Empty);
    check(&Queue::bounded(1), &script.history, Bounds::default()).unwrap();
    counterexample(check(&Queue::bounded(2), &script.history, Bounds::default()));
}

#[test]
fn a_lock_is_one_client_s() {
    let mut script = Script::new();
    let first = script.invoke(1, MutexOp::Lock);
    let second = script.invoke(2, MutexOp::Lock);
    script.complete(first, MutexOutcome::Done);
    script.call(3, MutexOp::TryLock, MutexOutcome::Busy);
    script.call(1, MutexOp::Unlock, MutexOutcome::Done);
    script.complete(second, MutexOutcome::Done);
    check(&Mutex, &script.history, Bounds::default()).unwrap();
    script.call(3, MutexOp::TryLock, MutexOutcome::Done);
    let found = counterexample(check(&Mutex, &script.history, Bounds::default()));
    assert!(found.to_string().contains("here it is client 2's"), "{found}");
}

#[test]
fn permits_are_given_once() {
    let mut script = Script::new();
    let semaphore = Semaphore { permits: 2, fair: false };
    let both = script.invoke(0, SemaphoreOp::Acquire(2));
    let one = script.invoke(1, SemaphoreOp::Acquire(1));
    script.complete(one, SemaphoreOutcome::Done);
    script.call(2, SemaphoreOp::TryAcquire(2), SemaphoreOutcome::Refused);
    script.call(2, SemaphoreOp::Available, SemaphoreOutcome::Count(1));
    script.call(1, SemaphoreOp::Release(1), SemaphoreOutcome::Done);
    script.complete(both, SemaphoreOutcome::Done);
    check(&semaphore, &script.history, Bounds::default()).unwrap();
    let mut more = script.history.clone();
    let at = Moment { step: 100, time: u64::MAX };
    let refused = more.invoke(1, SemaphoreOp::Acquire(1), at);
    more.complete(refused, SemaphoreOutcome::GaveUp, at);
    check(&semaphore, &more, Bounds::default()).unwrap();
    let given = more.invoke(1, SemaphoreOp::Acquire(1), at);
    more.complete(given, SemaphoreOutcome::Done, at);
    counterexample(check(&semaphore, &more, Bounds::default()));
}

#[test]
fn the_commands_of_a_server_answer_as_redis_does() {
    let mut script = Keys::new();
    script.call(0, get("a"), Reply::Nil);
    script.call(0, MapOp::Incr("a".into(), 5), Reply::Integer(5));
    script.call(0, MapOp::Append("a".into(), "0x".into()), Reply::Integer(3));
    script.call(0, MapOp::Incr("a".into(), 1), Reply::Error);
    script.call(0, get("a"), value("50x"));
    let pairs = vec![("b".into(), "1".into()), ("c".into(), "2".into())];
    script.call(0, MapOp::MSet(pairs), Reply::Ok);
    let values = vec![Some("50x".into()), Some("2".into()), None];
    script.call(0, MapOp::MGet(keys(&["a", "c", "d"])), Reply::Values(values));
    script.call(0, MapOp::DbSize, Reply::Integer(3));
    script.call(0, MapOp::Exists(keys(&["a", "a", "d"])), Reply::Integer(2));
    script.call(0, MapOp::Del(keys(&["a", "b", "d"])), Reply::Integer(2));
    let (key, expires) = (Bytes::from("c"), None);
    let set = |when| MapOp::Set { key: key.clone(), value: "9".into(), expires, when };
    script.call(0, set(When::Absent), Reply::Nil);
    script.call(0, set(When::Present), Reply::Ok);
    script.call(0, MapOp::Pttl("c".into()), Reply::Integer(-1));
    script.call(0, MapOp::Pttl("d".into()), Reply::Integer(-2));
    script.call(0, MapOp::Persist("c".into()), Reply::Integer(0));
    script.call(0, MapOp::Expire("c".into(), Duration::ZERO), Reply::Integer(1));
    script.call(0, MapOp::DbSize, Reply::Integer(0));
    script.call(0, MapOp::Flush, Reply::Ok);
    script.verdict().unwrap();
    script.call(0, MapOp::Incr("a".into(), i64::MAX), Reply::Integer(i64::MAX));
    script.call(0, MapOp::Incr("a".into(), 1), Reply::Error);
    script.verdict().unwrap();
}

#[test]
fn keys_that_an_operation_joins_are_checked_together() {
    // Each key alone can be explained: the reads of one saw the pair before, and of the other after.
    let history = |together: bool| {
        let mut script = Keys::new();
        let pairs = vec![("a".into(), "1".into()), ("b".into(), "1".into())];
        let write = script.invoke(0, MapOp::MSet(pairs));
        script.call(1, get("a"), value("1"));
        if together {
            script.call(1, get("b"), Reply::Nil);
        } else {
            script.call(1, get("b"), value("1"));
        }
        script.complete(write, Reply::Ok);
        script.call(0, get("unrelated"), Reply::Nil);
        script.verdict()
    };
    history(false).unwrap();
    let found = counterexample(history(true));
    assert_eq!(found.keys, ["\"a\"", "\"b\""]);
    assert_eq!(found.checked, 3);
}

#[test]
fn independent_keys_are_not_searched_together() {
    // 20 clients, each at its own key, all at the same time: together these have 2^20 sets.
    let mut script = Keys::new();
    let calls: Vec<_> = (0..20)
        .map(|client| script.invoke(client, MapOp::Incr(client.to_string().as_str().into(), 1)))
        .collect();
    calls.into_iter().for_each(|call| script.complete(call, Reply::Integer(1)));
    let bounds = Bounds { configurations: 100, ..Bounds::default() };
    check_keyed(&Map::default(), &script.history, bounds).unwrap();
    // An operation on all keys among them joins them, and the check says that it did not end.
    let mut joined = Keys::new();
    let calls: Vec<_> = (0..20)
        .map(|client| joined.invoke(client, MapOp::Incr(client.to_string().as_str().into(), 1)))
        .collect();
    joined.call(20, MapOp::DbSize, Reply::Integer(100));
    calls.into_iter().for_each(|call| joined.complete(call, Reply::Integer(1)));
    let verdict = check_keyed(&Map::default(), &joined.history, bounds);
    assert_eq!(verdict, Verdict::GaveUp { configurations: 100 });
    assert!(verdict.to_string().contains("gave up after 100 configurations"), "{verdict}");
}

#[test]
fn the_whole_keyspace_is_checked_between_moments_of_rest() {
    // Two writes at the same time leave one of two states, and each piece narrows that down.
    let history = |last: &str, size: i64, after: Reply| {
        let mut script = Keys::new();
        let one = script.invoke(0, MapOp::set("a", "1"));
        let two = script.invoke(1, MapOp::set("a", "2"));
        let gone = script.invoke(2, MapOp::Del(keys(&["b"])));
        let there = script.invoke(3, MapOp::set("b", "1"));
        script.complete(one, Reply::Ok);
        script.complete(two, Reply::Ok);
        script.complete(gone, Reply::Integer(0));
        script.complete(there, Reply::Ok);
        script.call(0, MapOp::DbSize, Reply::Integer(size));
        script.call(0, get("a"), value(last));
        script.call(1, MapOp::Flush, Reply::Ok);
        script.call(1, get("b"), after);
        script.verdict()
    };
    history("1", 2, Reply::Nil).unwrap();
    history("2", 2, Reply::Nil).unwrap();
    let found = counterexample(history("1", 1, Reply::Nil));
    assert_eq!((found.culprit, found.before), (4, 4), "{found}");
    let found = counterexample(history("3", 2, Reply::Nil));
    assert_eq!((found.culprit, found.before), (5, 3), "{found}");
    let found = counterexample(history("1", 2, value("1")));
    assert_eq!(found.culprit, 7, "{found}");
}

/// An unanswered call takes effect once, also where the pieces in which it does are many.
#[test]
fn an_unanswered_write_that_was_seen_does_not_come_again() {
    let history = |size: i64, after: Reply| {
        let mut script = Keys::new();
        script.invoke(0, MapOp::set("a", "1"));
        script.call(1, get("a"), value("1"));
        script.call(1, MapOp::Del(keys(&["a"])), Reply::Integer(1));
        script.call(1, MapOp::DbSize, Reply::Integer(size));
        script.call(1, get("a"), after);
        script.verdict()
    };
    history(0, Reply::Nil).unwrap();
    assert_eq!(counterexample(history(1, Reply::Nil)).culprit, 3);
    assert_eq!(counterexample(history(1, value("1"))).culprit, 3);
    assert_eq!(counterexample(history(0, value("1"))).culprit, 4);
}

#[test]
fn what_one_piece_leaves_undecided_the_next_ones_decide_once() {
    let history = |values: [&str; 2]| {
        let mut script = Keys::new();
        let one = script.invoke(0, MapOp::set("a", "1"));
        let two = script.invoke(1, MapOp::set("a", "2"));
        script.complete(one, Reply::Ok);
        script.complete(two, Reply::Ok);
        for value in values {
            script.call(0, MapOp::DbSize, Reply::Integer(1));
            script.call(0, get("a"), Reply::Value(value.into()));
        }
        script.verdict()
    };
    history(["1", "1"]).unwrap();
    history(["2", "2"]).unwrap();
    counterexample(history(["1", "2"]));
    counterexample(history(["2", "1"]));
}

#[test]
fn an_unanswered_write_crosses_the_pieces() {
    let history = |sizes: &[i64], flush: bool| {
        let mut script = Keys::new();
        script.invoke(0, if flush { MapOp::Flush } else { MapOp::set("a", "1") });
        if flush {
            script.call(1, MapOp::set("a", "1"), Reply::Ok);
        }
        for size in sizes {
            script.call(1, MapOp::DbSize, Reply::Integer(*size));
            script.call(1, get("b"), Reply::Nil);
        }
        script.verdict()
    };
    for sizes in [[0, 0, 0], [0, 0, 1], [0, 1, 1], [1, 1, 1]] {
        history(&sizes, false).unwrap();
    }
    counterexample(history(&[0, 1, 0], false));
    for sizes in [[1, 1, 1], [1, 1, 0], [0, 0, 0]] {
        history(&sizes, true).unwrap();
    }
    counterexample(history(&[1, 0, 1], true));
}

/// A key that expires after 50 ms and is asked for `after` milliseconds.
fn expiring(after: u64, answer: Reply, skew: u64) -> Verdict {
    let mut script = Keys::new();
    script.call(0, MapOp::set("a", "1"), Reply::Ok);
    script.call(0, MapOp::Expire("a".into(), Duration::from_millis(50)), Reply::Integer(1));
    script.sleep(after);
    script.call(1, get("a"), answer);
    script.verdict_of(Map { skew: Duration::from_millis(skew), ..Map::default() })
}

#[test]
fn a_key_expires_at_its_deadline_within_the_skew() {
    // Invoked at 3 ms and answered at 4: the deadline is 53 or 54. The read is from 5 + after on.
    for (after, skew, there, gone) in [
        (10, 0, true, false),
        (46, 0, true, false),
        (47, 0, true, true),
        (49, 0, true, true),
        (50, 0, false, true),
        (46, 1, true, true),
        (50, 1, true, true),
        (51, 1, false, true),
        (80, 30, false, true),
        (80, 40, true, true),
    ] {
        let case = format!("after {after} ms, skew {skew} ms");
        let is_there = expiring(after, value("1"), skew);
        let is_gone = expiring(after, Reply::Nil, skew);
        assert_eq!(is_there.is_linearizable(), there, "{case}: {is_there}");
        assert_eq!(is_gone.is_linearizable(), gone, "{case}: {is_gone}");
    }
    let late = counterexample(expiring(60, value("1"), 0)).to_string();
    assert!(late.contains("comes too late: before it \"a\" expires"), "{late}");
}

#[test]
fn an_expired_key_stays_away_and_a_new_value_has_no_deadline() {
    let mut script = Keys::new();
    let (key, value_1) = (Bytes::from("a"), Bytes::from("1"));
    let expires = Some(Duration::from_millis(20));
    let set = MapOp::Set { key, value: value_1, expires, when: When::Always };
    script.call(0, set, Reply::Ok);
    script.sleep(17);
    script.call(0, get("a"), Reply::Nil);
    let fine = script.history.clone();
    script.call(0, get("a"), value("1"));
    counterexample(script.verdict());
    script.history = fine;
    script.call(0, MapOp::set("a", "2"), Reply::Ok);
    script.sleep(1_000);
    script.call(0, get("a"), value("2"));
    script.call(0, MapOp::Pttl("a".into()), Reply::Integer(-1));
    script.verdict().unwrap();
}

#[test]
fn the_time_that_is_left_is_told_within_the_skew() {
    let left = |milliseconds| {
        let mut script = Keys::new();
        script.call(0, MapOp::set("a", "1"), Reply::Ok);
        script.call(0, MapOp::Expire("a".into(), Duration::from_millis(50)), Reply::Integer(1));
        script.call(0, MapOp::Pttl("a".into()), Reply::Integer(milliseconds));
        script.verdict().is_linearizable()
    };
    // The deadline is 53 to 54, and now is 5 to 6.
    let right: Vec<_> = (40..60).filter(|milliseconds| left(*milliseconds)).collect();
    assert_eq!(right, [47, 48, 49]);
}

#[test]
fn an_expired_key_may_count_until_somebody_asks_for_it() {
    let history = |asked: bool, size: i64| {
        let mut script = Keys::new();
        script.call(0, MapOp::set("a", "1"), Reply::Ok);
        script.call(0, MapOp::Expire("a".into(), Duration::from_millis(5)), Reply::Integer(1));
        script.sleep(100);
        if asked {
            script.call(0, get("a"), Reply::Nil);
        }
        script.call(0, MapOp::DbSize, Reply::Integer(size));
        script.call(0, get("a"), Reply::Nil);
        script
    };
    let lazy = Map { counts_expired: true, ..Map::default() };
    history(false, 1).verdict_of(lazy).unwrap();
    history(false, 0).verdict_of(lazy).unwrap();
    history(true, 0).verdict_of(lazy).unwrap();
    counterexample(history(true, 1).verdict_of(lazy));
    counterexample(history(false, 1).verdict());
    history(false, 0).verdict().unwrap();
}

#[test]
fn expiry_crosses_the_pieces() {
    let history = |late: bool| {
        let mut script = Keys::new();
        script.call(0, MapOp::set("a", "1"), Reply::Ok);
        script.call(0, MapOp::Expire("a".into(), Duration::from_millis(100)), Reply::Integer(1));
        script.call(1, MapOp::DbSize, Reply::Integer(1));
        script.call(1, get("a"), value("1"));
        script.sleep(if late { 200 } else { 0 });
        script.call(1, MapOp::DbSize, Reply::Integer(0));
        script.call(1, get("a"), Reply::Nil);
        script.verdict()
    };
    history(true).unwrap();
    counterexample(history(false));
}
