//! Each rule is broken once, in a log of a few lines.

use super::{Drops, Event, Message, Rule, Tally, Topic, check, check_dropping};

const PUBLISHER: u32 = 7;

fn channel() -> Topic {
    Topic::Channel("loom".to_owned())
}

fn subscribes(by: u32) -> [Event; 2] {
    let topic = channel();
    [Event::Subscribes { by, topic: topic.clone() }, Event::Subscribed { by, topic }]
}

fn unsubscribes(by: u32) -> [Event; 2] {
    let topic = channel();
    [Event::Unsubscribes { by, topic: topic.clone() }, Event::Unsubscribed { by, topic }]
}

fn asks(by: u32) -> [Event; 2] {
    [Event::Asks { by }, Event::Answered { by }]
}

fn message(number: u32) -> Message {
    Message { publisher: PUBLISHER, number }
}

fn publishes(number: u32, receivers: usize) -> [Event; 2] {
    let message = message(number);
    let channel = "loom".to_owned();
    [Event::Publishes { channel, message }, Event::Published { message, receivers }]
}

fn receives(by: u32, number: u32) -> [Event; 1] {
    let message = message(number);
    [Event::Receives { by, topic: channel(), channel: "loom".to_owned(), message }]
}

fn verdict(parts: &[&[Event]]) -> Result<Tally, Rule> {
    check(&parts.concat()).map_err(|unsound| unsound.rule)
}

#[test]
fn what_comes_once_and_in_order_is_sound() {
    let tally = verdict(&[
        &subscribes(1),
        &publishes(0, 1),
        &receives(1, 0),
        &subscribes(2),
        &publishes(1, 2),
        &receives(2, 1),
        &receives(1, 1),
        &asks(1),
        &unsubscribes(2),
        &publishes(2, 1),
        &receives(1, 2),
        &asks(1),
    ]);
    assert_eq!(tally, Ok(Tally { received: 4, required: 4, dropped: 0, ended: 0, counted: 3 }));
}

#[test]
fn a_message_that_is_missing_is_found_by_what_comes_after_it() {
    // By a later message,
    let lost = verdict(&[&subscribes(1), &publishes(0, 1), &publishes(1, 1), &receives(1, 1)]);
    assert_eq!(lost, Err(Rule::Lost));
    // by the answer to a later question,
    assert_eq!(verdict(&[&subscribes(1), &publishes(0, 1), &asks(1)]), Err(Rule::Lost));
    // by the last word about the channel,
    assert_eq!(verdict(&[&subscribes(1), &publishes(0, 1), &unsubscribes(1)]), Err(Rule::Lost));
    // and if its publisher was never answered, too.
    let asked = &publishes(0, 1)[..1];
    let lost = verdict(&[&subscribes(1), asked, &publishes(1, 1), &receives(1, 1)]);
    assert_eq!(lost, Err(Rule::Lost));
}

#[test]
fn the_end_of_a_connection_reports_a_loss() {
    let end = [Event::Ended { by: 1 }];
    assert!(verdict(&[&subscribes(1), &publishes(0, 1), &end]).is_ok());
    // But not one that was hidden before.
    let hidden = verdict(&[&subscribes(1), &publishes(0, 1), &asks(1), &end]);
    assert_eq!(hidden, Err(Rule::Lost));
}

#[test]
fn what_was_published_while_somebody_subscribes_or_leaves_may_come() {
    let ([asks, told], [leaves, gone]) = (subscribes(1), unsubscribes(1));
    for (receivers, comes) in [(0, false), (1, true)] {
        let came: &[Event] = if comes { &receives(1, 0) } else { &[] };
        let begin = [asks.clone()];
        let early = [
            &begin[..],
            &publishes(0, receivers),
            core::slice::from_ref(&told),
            came,
            &unsubscribes(1),
        ];
        assert!(verdict(&early).is_ok());
        let end = [leaves.clone()];
        let late = [
            &subscribes(1)[..],
            &end,
            &publishes(0, receivers),
            came,
            core::slice::from_ref(&gone),
        ];
        assert!(verdict(&late).is_ok());
    }
    // Then its receivers are those who have it.
    let end = [leaves];
    let counted = [&subscribes(1)[..], &end, &publishes(0, 1), &[gone]];
    assert_eq!(verdict(&counted), Err(Rule::Receivers));
}

#[test]
fn messages_come_once_and_in_one_order() {
    let twice = verdict(&[&subscribes(1), &publishes(0, 1), &receives(1, 0), &receives(1, 0)]);
    assert_eq!(twice, Err(Rule::Twice));
    let (first, second) = (publishes(0, 1), publishes(1, 1));
    let swapped = [&subscribes(1)[..], &first, &second, &receives(1, 1), &receives(1, 0)];
    assert_eq!(verdict(&swapped), Err(Rule::Order));
    // Two publishers at a time: whichever comes first does so for all.
    let other = Message { publisher: PUBLISHER + 1, number: 0 };
    let text = || "loom".to_owned();
    let at_a_time = [
        Event::Publishes { channel: text(), message: message(0) },
        Event::Publishes { channel: text(), message: other },
    ];
    let gets = |by, message| [Event::Receives { by, topic: channel(), channel: text(), message }];
    let all = |last: [u32; 2]| {
        let order = |by: u32| {
            if last[by as usize - 1] == 0 { [message(0), other] } else { [other, message(0)] }
        };
        let ([a, b], [c, d]) = (order(1), order(2));
        verdict(&[
            &subscribes(1),
            &subscribes(2),
            &at_a_time,
            &gets(1, a),
            &gets(1, b),
            &gets(2, c),
            &gets(2, d),
        ])
    };
    assert!(all([0, 0]).is_ok() && all([1, 1]).is_ok());
    assert_eq!(all([0, 1]), Err(Rule::Order));
}

#[test]
fn nothing_comes_that_was_not_published_or_not_asked_for() {
    assert_eq!(verdict(&[&subscribes(1), &receives(1, 0)]), Err(Rule::Invented));
    assert_eq!(verdict(&[&publishes(0, 0), &receives(1, 0)]), Err(Rule::Unasked));
    let late = [&subscribes(1)[..], &unsubscribes(1), &publishes(0, 0), &receives(1, 0)];
    assert_eq!(verdict(&late), Err(Rule::Unasked));
    let early = [&subscribes(1)[..1], &publishes(0, 1), &receives(1, 0)];
    assert_eq!(verdict(&early), Err(Rule::Unasked));
}

#[test]
fn receivers_are_those_who_have_it_or_have_lost_their_connections() {
    for (receivers, sound) in [(0, false), (1, true), (2, true), (3, false)] {
        let end = [Event::Ended { by: 2 }];
        let parts: [&[Event]; 7] = [
            &subscribes(1),
            &subscribes(2),
            &subscribes(3),
            &unsubscribes(3),
            &publishes(0, receivers),
            &receives(1, 0),
            &end,
        ];
        let expected = if sound { Ok(()) } else { Err(Rule::Receivers) };
        assert_eq!(verdict(&parts).map(|_| ()), expected, "{receivers}");
    }
}

#[test]
fn what_a_server_drops_is_counted_once_and_only_then() {
    // The second of three is missing.
    let log = |receivers| {
        let publications = [publishes(0, 1), publishes(1, receivers), publishes(2, 1)].concat();
        [&subscribes(1)[..], &publications, &receives(1, 0), &receives(1, 2), &asks(1)].concat()
    };
    let verdict = |receivers, drops| {
        let tally = check_dropping(&log(receivers), drops);
        tally.map(|tally| tally.dropped).map_err(|unsound| unsound.rule)
    };
    assert_eq!(verdict(0, Drops::Newest(1)), Ok(1));
    assert_eq!(verdict(1, Drops::Oldest(1)), Ok(1));
    // Who did not get it at once is no receiver; who got it at first is one.
    assert_eq!(verdict(1, Drops::Newest(1)), Err(Rule::Receivers));
    assert_eq!(verdict(2, Drops::Oldest(1)), Err(Rule::Receivers));
    for count in [0, 2] {
        assert_eq!(verdict(0, Drops::Newest(count)), Err(Rule::Lost));
        assert_eq!(verdict(1, Drops::Oldest(count)), Err(Rule::Lost));
    }
    assert_eq!(verdict(0, Drops::Never), Err(Rule::Lost));
}
