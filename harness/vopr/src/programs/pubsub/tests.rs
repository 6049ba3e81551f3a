//! The program says something: subscribers are cut off, and what they saw is checked. What is
//! spoiled in a log is found.

use core::cell::RefCell;

use raddle_kv::config::SlowSubscribers;

use super::converse;
use crate::messages::{Drops, Event, Rule, Tally, check, check_dropping};
use crate::{Granularity, Simulation};

/// What clients saw under a seed, and what the server says that it has dropped.
fn run(simulation: &Simulation, seed: u64, policy: SlowSubscribers) -> (Vec<Event>, Drops) {
    // The program may run twice, where the strategy measures it first.
    let seen = RefCell::new(None);
    let report = simulation.clone().seed(seed).run(|| *seen.borrow_mut() = Some(converse(policy)));
    report.unwrap();
    seen.into_inner().expect("it ran")
}

/// What clients saw under a seed of a server that cuts off who is slow.
fn seen(simulation: &Simulation, seed: u64) -> Vec<Event> {
    run(simulation, seed, SlowSubscribers::Disconnect).0
}

fn simulation(faulty: bool) -> Simulation {
    let program = &super::list()[0];
    let simulation = Simulation::new().granularity(program.granularity);
    if faulty { simulation.faults(program.faults.clone()) } else { simulation }
}

fn sum(one: Tally, other: Tally) -> Tally {
    Tally {
        received: one.received + other.received,
        required: one.required + other.required,
        dropped: one.dropped + other.dropped,
        ended: one.ended + other.ended,
        counted: one.counted + other.counted,
    }
}

#[test]
fn slow_subscribers_are_cut_off_and_others_get_all() {
    let between_atomics = simulation(true).granularity(Granularity::Atomics);
    for simulation in [simulation(false), simulation(true), between_atomics] {
        let mut all = Tally::default();
        for seed in 0..150 {
            let tally = check(&seen(&simulation, seed));
            all = sum(all, tally.unwrap_or_else(|unsound| panic!("seed {seed}: {unsound}")));
        }
        assert!(all.received > 300 && all.required > 200 && all.counted > 500, "{all:?}");
        assert!(all.ended > 20, "nobody was cut off: {all:?}");
    }
}

#[test]
fn what_is_dropped_for_slow_subscribers_is_counted() {
    for policy in [SlowSubscribers::DropOldest, SlowSubscribers::DropNewest] {
        let mut all = Tally::default();
        for seed in 0..100 {
            let (events, drops) = run(&simulation(true), seed, policy);
            let tally = check_dropping(&events, drops);
            all = sum(all, tally.unwrap_or_else(|unsound| panic!("seed {seed}: {unsound}")));
        }
        assert!(all.received > 150 && all.counted > 200, "{policy:?}: {all:?}");
        assert!(all.dropped > 10, "{policy:?}: nothing was dropped: {all:?}");
    }
}

/// What `spoil` does to the log of each of a few seeds is reported as one of `rules`, wherever it
/// can do it.
fn is_found(rules: &[Rule], spoil: impl Fn(&mut Vec<Event>) -> Option<()>) {
    let mut spoiled = 0;
    for seed in 0..40 {
        let mut events = seen(&simulation(true), seed);
        check(&events).expect("it is sound");
        if spoil(&mut events).is_none() {
            continue;
        }
        spoiled += 1;
        let unsound = check(&events).expect_err("it was spoiled");
        assert!(rules.contains(&unsound.rule), "seed {seed}: {unsound}");
    }
    assert!(spoiled > 5, "{spoiled} logs could be spoiled");
}

/// The places of `count` messages that one connection got one after the other by one topic from one
/// publisher.
fn some(events: &[Event], count: usize) -> Option<Vec<usize>> {
    let received = |at: usize| match &events[at] {
        Event::Receives { by, topic, message, .. } => Some((*by, topic, message.publisher)),
        _ => None,
    };
    let from = |first: usize| {
        let alike = |at: &usize| received(*at).is_some() && received(*at) == received(first);
        (first..events.len()).filter(alike).take(count).collect::<Vec<_>>()
    };
    (0..events.len()).map(from).find(|places| places.len() == count)
}

#[test]
fn a_message_that_is_taken_out_of_a_log_is_found() {
    is_found(&[Rule::Lost], |events| {
        let places = some(events, 3)?;
        events.remove(places[1]);
        Some(())
    });
}

#[test]
fn messages_that_change_places_are_found() {
    is_found(&[Rule::Order, Rule::Unasked, Rule::Invented], |events| {
        let places = some(events, 2)?;
        events.swap(places[0], places[1]);
        Some(())
    });
}

#[test]
fn a_message_that_comes_again_is_found() {
    is_found(&[Rule::Twice], |events| {
        let place = some(events, 1)?[0];
        events.insert(place + 1, events[place].clone());
        Some(())
    });
}

#[test]
fn a_number_of_receivers_that_is_too_small_is_found() {
    is_found(&[Rule::Receivers], |events| {
        let Event::Receives { message: got, .. } = events[some(events, 1)?[0]] else { return None };
        let known = events.iter_mut().find_map(|event| match event {
            Event::Published { message, receivers } if *message == got => Some(receivers),
            _ => None,
        })?;
        *known = 0;
        Some(())
    });
}
