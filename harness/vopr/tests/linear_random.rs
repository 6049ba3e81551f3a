//! The linearizability checker against histories that are linearizable by construction, and against
//! a checker that tries everything.

use core::fmt::Debug;
use std::time::Instant;

use proptest::prelude::*;
use raddle_vopr::linear::{
    Bounds, Bytes, CallId, History, Keyed, Map, MapOp, Model, Moment, Queue, QueueOp, QueueOutcome,
    Register, RegisterOp, RegisterOutcome, Reply, Verdict, check, check_keyed,
};
use raddle_vopr::seeds::Stream;

/// What one client does, where its operation may be on the way.
enum Doing<O, R> {
    Nothing,
    Asked(CallId, O),
    Carried(CallId, R),
}

/// A concurrent history of a real sequential execution: `carry_out` does one operation at some
/// moment between its invocation and its return. Some are never answered, carried out or not.
fn execution<O: Clone, R>(
    seed: u64,
    clients: usize,
    calls: usize,
    mut operation: impl FnMut(&mut Stream) -> O,
    mut carry_out: impl FnMut(&O) -> R,
) -> History<O, R> {
    let mut random = Stream::new(seed);
    let mut history = History::default();
    let mut doing: Vec<_> = (0..clients).map(|_| Doing::Nothing).collect();
    let mut lost = 0;
    for step in 1.. {
        let all_asked = history.calls().len() == calls;
        if all_asked && random.chance(1 << 14) {
            break;
        }
        let at = Moment { step, time: step };
        let client = random.below(clients);
        doing[client] = match core::mem::replace(&mut doing[client], Doing::Nothing) {
            Doing::Nothing if all_asked => Doing::Nothing,
            Doing::Nothing => {
                let operation = operation(&mut random);
                Doing::Asked(history.invoke(client as u32, operation.clone(), at), operation)
            }
            // Its connection breaks, and it makes a new one.
            Doing::Asked(..) | Doing::Carried(..) if lost < 3 && random.chance(1 << 11) => {
                lost += 1;
                Doing::Nothing
            }
            Doing::Asked(id, operation) => Doing::Carried(id, carry_out(&operation)),
            Doing::Carried(id, outcome) => {
                history.complete(id, outcome, at);
                Doing::Nothing
            }
        };
    }
    history
}

/// Tries every order of every choice of the unanswered operations.
fn brute_force<M: Model>(model: &M, history: &History<M::Operation, M::Outcome>) -> bool {
    fn explain<M: Model>(
        model: &M,
        history: &History<M::Operation, M::Outcome>,
        precedes: &[Vec<bool>],
        left: &[usize],
        state: &M::State,
    ) -> bool {
        let calls = history.calls();
        left.iter().all(|call| calls[*call].returned.is_none())
            || left.iter().any(|&next| {
                let others: Vec<_> = left.iter().copied().filter(|call| *call != next).collect();
                let allowed = !others.iter().any(|other| precedes[*other][next]);
                let after = model.step(state, &calls[next]).filter(|_| allowed);
                after.is_some_and(|after| explain(model, history, precedes, &others, &after))
            })
    }
    let calls = history.calls();
    // By the clock, which moves between any two events.
    let precedes: Vec<Vec<_>> = calls
        .iter()
        .map(|a| {
            let returned = a.returned.as_ref().map_or(u64::MAX, |(at, _)| at.step);
            calls.iter().map(|b| returned < b.invoked.step).collect()
        })
        .collect();
    let left: Vec<_> = (0..calls.len()).collect();
    explain(model, history, &precedes, &left, &model.initial())
}

/// The history with `change` made to the answers.
fn changed<O: Clone, R: Clone>(
    history: &History<O, R>,
    mut change: impl FnMut(usize, R) -> R,
) -> History<O, R> {
    let mut events: Vec<(u64, usize, bool)> = Vec::new();
    for (index, call) in history.calls().iter().enumerate() {
        events.push((call.invoked.step, index, false));
        events.extend(call.returned.as_ref().map(|(at, _)| (at.step, index, true)));
    }
    events.sort_unstable();
    let mut other = History::default();
    let mut ids = Vec::new();
    for (step, index, returns) in events {
        let call = &history.calls()[index];
        let at = Moment { step, time: step };
        match &call.returned {
            Some((_, outcome)) if returns => {
                other.complete(ids[index], change(index, outcome.clone()), at);
            }
            _ => ids.push(other.invoke(call.process, call.operation.clone(), at)),
        }
    }
    other
}

fn register_op(random: &mut Stream) -> RegisterOp<u64> {
    match random.below(4) {
        0 => RegisterOp::Write(random.below(3) as u64),
        1 => RegisterOp::Swap(random.below(3) as u64),
        2 => RegisterOp::CompareExchange(random.below(3) as u64, random.below(3) as u64),
        _ => RegisterOp::Read,
    }
}

fn registers(
    seed: u64,
    clients: usize,
    calls: usize,
) -> History<RegisterOp<u64>, RegisterOutcome<u64>> {
    let mut value = 0;
    execution(seed, clients, calls, register_op, |operation| match *operation {
        RegisterOp::Read => RegisterOutcome::Value(value),
        RegisterOp::Write(new) => {
            value = new;
            RegisterOutcome::Done
        }
        RegisterOp::Swap(new) => RegisterOutcome::Value(core::mem::replace(&mut value, new)),
        RegisterOp::CompareExchange(old, new) => {
            let equal = value == old;
            value = if equal { new } else { value };
            RegisterOutcome::Exchanged(equal)
        }
    })
}

fn queues(seed: u64, clients: usize, calls: usize) -> History<QueueOp<u64>, QueueOutcome<u64>> {
    let mut values = std::collections::VecDeque::new();
    let mut next = 0;
    let operation = |random: &mut Stream| match random.below(7) {
        0..3 => {
            next += 1;
            QueueOp::Enqueue(next)
        }
        3..6 => QueueOp::Dequeue,
        _ => QueueOp::Drain,
    };
    execution(seed, clients, calls, operation, |operation| match operation {
        QueueOp::Enqueue(value) => {
            values.push_back(*value);
            QueueOutcome::Done
        }
        QueueOp::Dequeue => values.pop_front().map_or(QueueOutcome::Empty, QueueOutcome::Value),
        QueueOp::Drain => QueueOutcome::All(values.drain(..).collect()),
    })
}

/// A server of counters: another implementation than the model.
fn maps(
    seed: u64,
    clients: usize,
    calls: usize,
    keys: usize,
    whole: usize,
) -> History<MapOp, Reply> {
    let mut store = std::collections::HashMap::<u8, i64>::new();
    let name = |key: u8| Bytes::from(vec![b'a' + key]);
    let number = |key: &Bytes| key.as_slice()[0] - b'a';
    let text = |value: i64| Bytes::from(value.to_string().as_str());
    let operation = |random: &mut Stream| {
        let key = random.below(keys) as u8;
        let other = random.below(keys) as u8;
        match random.below(20 + whole) {
            0..8 => MapOp::Get(name(key)),
            8..14 => MapOp::Incr(name(key), 1 + i64::from(other)),
            14..17 => MapOp::set(name(key), text(i64::from(other))),
            17..19 => MapOp::Del(vec![name(key)]),
            19 => MapOp::MGet(vec![name(0), name(1)]),
            odd if odd % 2 == 1 => MapOp::Flush,
            _ => MapOp::DbSize,
        }
    };
    execution(seed, clients, calls, operation, |operation| match operation {
        MapOp::Get(key) => store.get(&number(key)).map_or(Reply::Nil, |it| Reply::Value(text(*it))),
        MapOp::Incr(key, by) => {
            let value = store.entry(number(key)).or_default();
            *value += by;
            Reply::Integer(*value)
        }
        MapOp::Set { key, value, .. } => {
            let value = core::str::from_utf8(value.as_slice()).expect("digits");
            store.insert(number(key), value.parse().expect("a number"));
            Reply::Ok
        }
        MapOp::Del(keys) => {
            let gone = keys.iter().filter(|key| store.remove(&number(key)).is_some());
            Reply::Integer(gone.count() as i64)
        }
        MapOp::MGet(keys) => Reply::Values(
            keys.iter().map(|key| store.get(&number(key)).copied().map(text)).collect(),
        ),
        MapOp::DbSize => Reply::Integer(store.len() as i64),
        MapOp::Flush => {
            store.clear();
            Reply::Ok
        }
        other => unreachable!("{other:?} is not generated"),
    })
}

fn agrees<M: Model>(model: &M, history: &History<M::Operation, M::Outcome>)
where
    History<M::Operation, M::Outcome>: Debug,
{
    let verdict = check(model, history, Bounds::default());
    assert_eq!(verdict.is_linearizable(), brute_force(model, history), "{verdict}{history:#?}");
    well_founded(model, history, &verdict);
}

/// A counterexample says of a prefix of the history that it can be explained: so it can.
fn well_founded<M: Model>(
    model: &M,
    history: &History<M::Operation, M::Outcome>,
    verdict: &Verdict,
) {
    let Verdict::NotLinearizable(found) = verdict else { return };
    let calls = history.calls();
    let returned = |call: usize| calls[call].returned.as_ref().map_or(u64::MAX, |(at, _)| at.step);
    let placed: Vec<_> = found.prefix.iter().filter_map(|placed| placed.call).collect();
    for (call, _) in calls.iter().enumerate() {
        let before = returned(call) < returned(found.culprit);
        assert!(!before || placed.contains(&call), "call {call} returned before, and is placed");
    }
    let mut state = model.initial();
    for (position, call) in placed.iter().enumerate() {
        state = model.step(&state, &calls[*call]).expect("it fits here");
        for later in &placed[position + 1..] {
            assert!(returned(*later) > calls[*call].invoked.step, "in the order of real time");
        }
    }
    assert!(!placed.contains(&found.culprit));
}

/// Whether a check in parts says what one as a whole does.
fn parts_agree<M: Keyed>(model: &M, history: &History<M::Operation, M::Outcome>)
where
    History<M::Operation, M::Outcome>: Debug,
{
    let whole = check(model, history, Bounds::default());
    let parts = check_keyed(model, history, Bounds::default());
    assert_eq!(whole.is_linearizable(), parts.is_linearizable(), "{whole}{parts}{history:#?}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        max_global_rejects: 10,
        ..Default::default()
    })]

    #[test]
    fn what_was_one_at_a_time_is_linearizable(seed: u64, clients in 1_usize..6) {
        let map = Map::default();
        check(&Register::of(0), &registers(seed, clients, 40), Bounds::default()).unwrap();
        check_keyed(&map, &maps(seed, clients, 60, 4, 0), Bounds::default()).unwrap();
        check_keyed(&map, &maps(seed, clients, 60, 4, 2), Bounds::default()).unwrap();
        // A queue remembers the order of all that was in flight at once: with many clients the
        // search may give up. Then it says nothing, and too many such cases fail the test.
        let bounds = Bounds { configurations: 200_000, ..Bounds::default() };
        let verdict = check(&Queue::unbounded(), &queues(seed, clients, 40), bounds);
        prop_assume!(!matches!(verdict, Verdict::GaveUp { .. }));
        verdict.unwrap();
    }

    #[test]
    fn small_changed_histories_are_judged_as_by_trying_everything(
        seed: u64,
        clients in 1_usize..5,
        calls in 2_usize..7,
        at in 0_usize..7,
        value in 0_u64..4,
    ) {
        let history = registers(seed, clients, calls);
        agrees(&Register::of(0), &history);
        agrees(&Register::of(0), &changed(&history, |call, outcome| match outcome {
            RegisterOutcome::Value(_) if call == at => RegisterOutcome::Value(value),
            RegisterOutcome::Exchanged(exchanged) if call == at => {
                RegisterOutcome::Exchanged(!exchanged)
            }
            other => other,
        }));
        let history = queues(seed, clients, calls);
        agrees(&Queue::unbounded(), &history);
        agrees(&Queue::unbounded(), &changed(&history, |call, outcome| match outcome {
            QueueOutcome::Value(_) | QueueOutcome::Empty if call == at => match value {
                0 => QueueOutcome::Empty,
                value => QueueOutcome::Value(value),
            },
            other => other,
        }));
    }

    #[test]
    fn parts_are_judged_as_the_whole(
        seed: u64,
        clients in 1_usize..5,
        at in 0_usize..24,
        value in 0_i64..5,
        whole in 0_usize..4,
    ) {
        let history = maps(seed, clients, 24, 4, whole);
        parts_agree(&Map::default(), &history);
        parts_agree(&Map::default(), &changed(&history, |call, outcome| match outcome {
            Reply::Integer(_) if call == at => Reply::Integer(value),
            Reply::Value(_) | Reply::Nil if call == at => {
                Reply::Value(value.to_string().as_str().into())
            }
            other => other,
        }));
        let small = maps(seed, clients, 6, 3, whole);
        agrees(&Map::default(), &small);
    }
}

#[test]
fn a_thousand_operations_take_no_time() {
    let history = maps(7, 3, 1000, 10, 0);
    let started = Instant::now();
    check_keyed(&Map::default(), &history, Bounds::default()).unwrap();
    println!("1000 operations of 3 clients on 10 keys: {:?}", started.elapsed());
    let started = Instant::now();
    check(&Map::default(), &history, Bounds::default()).unwrap();
    println!("and as one object: {:?}", started.elapsed());
    let history = maps(7, 3, 1000, 10, 2);
    let started = Instant::now();
    check_keyed(&Map::default(), &history, Bounds::default()).unwrap();
    println!("with operations on all keys among them: {:?}", started.elapsed());
}
