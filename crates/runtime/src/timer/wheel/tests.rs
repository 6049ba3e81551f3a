//! The wheel against a sorted map, and its promises one by one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::task::Wake;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const TICK: u64 = 1 << TICK_BITS;

/// A waker that writes its number into a log.
struct Note {
    id: usize,
    log: Arc<Mutex<Vec<usize>>>,
}

impl Wake for Note {
    fn wake(self: Arc<Self>) {
        self.log.lock().expect("no panic").push(self.id);
    }
}

/// A wheel, and the entries that are or were in it.
struct Fixture {
    wheel: Wheel,
    entries: Vec<NonNull<Entry>>,
    log: Arc<Mutex<Vec<usize>>>,
}

impl Fixture {
    fn new(now: u64) -> Self {
        let wheel = Wheel::new(Instant::from_nanos(now));
        Self { wheel, entries: Vec::new(), log: Arc::default() }
    }

    /// Sets a new timer; its number is that of the call, from 0.
    fn insert(&mut self, deadline: u64) -> bool {
        let entry = NonNull::from(Box::leak(Box::new(Entry::new())));
        let note = Note { id: self.entries.len(), log: Arc::clone(&self.log) };
        self.entries.push(entry);
        // SAFETY: freed in `drop`, after it was removed.
        unsafe { self.wheel.insert(entry, Instant::from_nanos(deadline), Arc::new(note).into()) }
    }

    /// Clears a timer; says whether it was set.
    fn remove(&mut self, id: usize) -> bool {
        // SAFETY: the entry is in this wheel or has fired.
        unsafe { self.wheel.remove(self.entries[id]) }.is_some()
    }

    /// Which timers fire, in their order.
    fn advance(&mut self, now: u64) -> Vec<usize> {
        self.wheel.advance(Instant::from_nanos(now), &mut |_, waker| waker.wake());
        std::mem::take(&mut self.log.lock().expect("no panic"))
    }

    fn next(&self) -> Option<u64> {
        self.wheel.next_deadline().map(Instant::as_nanos)
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        for id in 0..self.entries.len() {
            self.remove(id);
            // SAFETY: made from a box, in no wheel any more, and freed once.
            drop(unsafe { Box::from_raw(self.entries[id].as_ptr()) });
        }
    }
}

/// What a wheel is meant to do, done slowly: timers by deadline and number.
#[derive(Default)]
struct Model {
    set: BTreeMap<(u64, usize), ()>,
    deadlines: Vec<u64>,
}

impl Model {
    fn insert(&mut self, deadline: u64) {
        self.set.insert((deadline, self.deadlines.len()), ());
        self.deadlines.push(deadline);
    }

    fn remove(&mut self, id: usize) -> bool {
        self.set.remove(&(self.deadlines[id], id)).is_some()
    }

    fn advance(&mut self, now: u64) -> Vec<usize> {
        let mut fired = Vec::new();
        while let Some(first) = self.set.first_entry()
            && first.key().0 <= now
        {
            fired.push(first.remove_entry().0.1);
        }
        fired
    }

    fn next(&self) -> Option<u64> {
        self.set.first_key_value().map(|(key, ())| key.0)
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// So long after now.
    Insert(u64),
    /// So long before now.
    InsertLate(u64),
    /// The same deadline as an earlier timer's.
    InsertTwin(prop::sample::Index),
    Remove(prop::sample::Index),
    Advance(u64),
    /// To the very deadline that the wheel names.
    AdvanceToNext,
    /// One nanosecond before it.
    AdvanceBeforeNext,
    /// A look at a clock that goes wrong.
    AdvanceBack(u64),
}

/// Durations of every magnitude, and right at the edges of ticks and slots.
fn duration() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => (0..64_u32, any::<u64>()).prop_map(|(bits, random)| random >> bits),
        4 => (0..9_u32, 0..65_u64, -2..3_i64).prop_map(|(level, slots, off)| {
            let unit = TICK << (level * DIGIT_BITS).min(49);
            unit.saturating_mul(slots).saturating_add_signed(off)
        }),
        2 => 0..4 * TICK,
        1 => Just(u64::MAX),
    ]
}

fn step(with_removal: bool) -> impl Strategy<Value = Step> {
    let removals = if with_removal { 5 } else { 0 };
    prop_oneof![
        10 => duration().prop_map(Step::Insert),
        1 => duration().prop_map(Step::InsertLate),
        3 => any::<prop::sample::Index>().prop_map(Step::InsertTwin),
        removals => any::<prop::sample::Index>().prop_map(Step::Remove),
        3 => duration().prop_map(Step::Advance),
        3 => Just(Step::AdvanceToNext),
        2 => Just(Step::AdvanceBeforeNext),
        1 => duration().prop_map(Step::AdvanceBack),
    ]
}

/// Runs the steps on both and compares all that can be seen. `exact`: nothing is removed, so the
/// next deadline is no mere bound.
fn agree(start: u64, steps: &[Step], exact: bool) -> Result<(), TestCaseError> {
    let mut now = start;
    let mut wheel = Fixture::new(start);
    let mut model = Model::default();
    for step in steps {
        let advance_to = match *step {
            Step::Insert(_) | Step::InsertLate(_) | Step::InsertTwin(_) => {
                let deadline = match step {
                    Step::Insert(after) => now.saturating_add(*after),
                    Step::InsertLate(before) => now.saturating_sub(*before),
                    Step::InsertTwin(_) if model.deadlines.is_empty() => now,
                    Step::InsertTwin(index) => *index.get(&model.deadlines),
                    _ => unreachable!("one of the three"),
                };
                let next = wheel.next();
                let is_earliest = wheel.insert(deadline);
                prop_assert_eq!(is_earliest, next.is_none_or(|next| deadline < next));
                model.insert(deadline);
                None
            }
            Step::Remove(index) => {
                if !model.deadlines.is_empty() {
                    let id = index.index(model.deadlines.len());
                    prop_assert_eq!(wheel.remove(id), model.remove(id));
                }
                None
            }
            Step::Advance(by) => {
                now = now.saturating_add(by);
                Some(now)
            }
            Step::AdvanceToNext => {
                now = now.max(wheel.next().unwrap_or(now));
                Some(now)
            }
            Step::AdvanceBeforeNext => {
                now = now.max(wheel.next().unwrap_or(now).saturating_sub(1));
                Some(now)
            }
            Step::AdvanceBack(by) => Some(now.saturating_sub(by)),
        };
        if let Some(to) = advance_to {
            prop_assert_eq!(wheel.advance(to), model.advance(to));
        }
        prop_assert_eq!(wheel.wheel.len(), model.set.len());
        match (wheel.next(), model.next()) {
            (Some(bound), Some(next)) if !exact => prop_assert!(bound <= next),
            (bound, next) => prop_assert_eq!(bound, next),
        }
    }
    // Sleeping from one next deadline to the next reaches every timer, and stops.
    let mut looks = 0;
    while let Some(next) = wheel.next() {
        now = now.max(next);
        prop_assert_eq!(wheel.advance(now), model.advance(now));
        looks += 1;
        prop_assert!(looks <= LEVELS * steps.len() + 1, "each look fires or cascades something");
    }
    prop_assert!(model.set.is_empty());
    Ok(())
}

/// When the wheel starts: anywhere, and so near the end of time that sums saturate.
fn start() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), duration(), duration().prop_map(|before| u64::MAX - before),]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_wheel_does_what_a_sorted_map_does(
        start in start(),
        steps in prop::collection::vec(step(true), 1..120),
    ) {
        agree(start, &steps, false)?;
    }

    #[test]
    fn the_next_deadline_is_exact_while_nothing_is_removed(
        start in start(),
        steps in prop::collection::vec(step(false), 1..120),
    ) {
        agree(start, &steps, true)?;
    }
}

#[test]
fn a_timer_fires_at_its_deadline_and_not_a_nanosecond_before() {
    for bits in 0..u64::BITS {
        for deadline in [(1 << bits) - 1, 1 << bits, (1 << bits) + 1, u64::MAX >> bits] {
            let mut wheel = Fixture::new(0);
            wheel.insert(deadline);
            assert_eq!(wheel.next(), Some(deadline));
            if let Some(before) = deadline.checked_sub(1) {
                assert_eq!(wheel.advance(before), [], "{deadline}");
            }
            assert_eq!(wheel.advance(deadline), [0], "{deadline}");
            assert_eq!((wheel.next(), wheel.wheel.len()), (None, 0));
        }
    }
}

#[test]
fn timers_of_one_deadline_fire_in_the_order_they_were_set() {
    let deadline = 70 * 64 * 64 * TICK + 5;
    let mut wheel = Fixture::new(0);
    // From further and further near, so that each is placed at another level at first.
    for before in [deadline, 64 * 64 * TICK, 64 * TICK, 3 * TICK, 5, 1] {
        assert_eq!(wheel.advance(deadline - before), []);
        wheel.insert(deadline);
        wheel.insert(deadline);
    }
    assert_eq!(wheel.advance(deadline), (0..12).collect::<Vec<_>>());
}

#[test]
fn timers_of_one_tick_fire_in_the_order_of_their_deadlines() {
    let mut wheel = Fixture::new(0);
    for after in [7, 3, 9, 3, 0] {
        wheel.insert(10 * TICK + after);
    }
    assert_eq!(wheel.next(), Some(10 * TICK));
    assert_eq!(wheel.advance(10 * TICK + 6), [4, 1, 3]);
    wheel.insert(10 * TICK + 8);
    assert_eq!(wheel.next(), Some(10 * TICK + 7));
    assert_eq!(wheel.advance(11 * TICK), [0, 5, 2]);
}

#[test]
fn a_crowded_tick_fires_in_order_too() {
    let mut wheel = Fixture::new(0);
    // 37 is prime to 1000: every nanosecond of 1000 once, in no order, and all of it thrice.
    let deadlines: Vec<u64> = (0..3000).map(|i| 50 * TICK + i * 37 % 1000).collect();
    deadlines.iter().for_each(|&deadline| _ = wheel.insert(deadline));
    let mut order: Vec<usize> = (0..deadlines.len()).collect();
    order.sort_by_key(|&id| deadlines[id]);
    assert_eq!(wheel.advance(50 * TICK + 499), order[..1500]);
    assert_eq!(wheel.advance(51 * TICK), order[1500..]);
}

#[test]
fn a_removed_timer_gives_its_waker_back_and_never_fires() {
    let mut wheel = Fixture::new(0);
    for deadline in [3, 2 * TICK, 2 * TICK, 2 * TICK, 1 << 40] {
        wheel.insert(deadline);
    }
    let held = |wheel: &Fixture| Arc::strong_count(&wheel.log) - 1;
    assert_eq!(held(&wheel), 5);
    for id in [2, 0, 4] {
        assert!(wheel.remove(id));
        assert!(!wheel.remove(id), "once");
    }
    assert_eq!((wheel.wheel.len(), held(&wheel)), (2, 2));
    assert_eq!(wheel.advance(u64::MAX), [1, 3]);
    assert!(!wheel.remove(1), "fired");
    assert_eq!((wheel.wheel.len(), held(&wheel), wheel.next()), (0, 0, None));
}

#[test]
fn an_entry_can_be_set_again_after_it_fired_or_was_removed() {
    let mut wheel = Fixture::new(0);
    wheel.insert(5);
    let entry = wheel.entries[0];
    let again = || Arc::new(Note { id: 7, log: Arc::default() }).into();
    assert_eq!(wheel.advance(5), [0]);
    // SAFETY: fired, so in no wheel; freed by the fixture after it was removed.
    assert!(unsafe { wheel.wheel.insert(entry, Instant::from_nanos(1 << 30), again()) });
    assert!(wheel.remove(0));
    // SAFETY: removed, so in no wheel.
    assert!(unsafe { wheel.wheel.insert(entry, Instant::from_nanos(1 << 20), again()) });
    assert_eq!(wheel.next(), Some(1 << 20));
}

#[test]
fn removing_the_earliest_leaves_a_bound_that_costs_a_look_and_no_timer() {
    let mut wheel = Fixture::new(0);
    wheel.insert(100 * TICK);
    wheel.insert(101 * TICK);
    wheel.remove(0);
    let bound = wheel.next().expect("one is left");
    assert!(bound <= 101 * TICK);
    assert!(wheel.insert(bound - 1), "earlier than anybody would look");
    assert!(wheel.remove(2));
    assert_eq!(wheel.advance(bound), []);
    assert_eq!(wheel.next(), Some(101 * TICK), "exact again");
}

#[test]
fn a_slot_that_was_emptied_forgets_what_it_held() {
    let mut wheel = Fixture::new(0);
    wheel.insert(100 * TICK);
    wheel.remove(0);
    wheel.insert(100 * TICK + 5);
    assert_eq!(wheel.next(), Some(100 * TICK + 5));
}

#[test]
fn a_timer_that_is_late_when_it_is_set_fires_at_the_next_look() {
    let mut wheel = Fixture::new(1 << 30);
    assert!(wheel.insert(5));
    assert!(!wheel.insert(6), "the worker looks before that anyway");
    assert_eq!(wheel.next(), Some(5));
    assert_eq!(wheel.advance(1 << 30), [0, 1]);
}

#[test]
fn many_timers_over_a_day_all_fire_in_order() {
    let day = Duration::from_secs(86_400).as_nanos() as u64;
    let mut wheel = Fixture::new(0);
    let mut deadlines: Vec<u64> = Vec::new();
    // Weyl's sequence: spread evenly, in no order.
    let mut at = 0_u64;
    for _ in 0..50_000 {
        at = at.wrapping_add(0x9e37_79b9_7f4a_7c15);
        deadlines.push(((u128::from(at) * u128::from(day)) >> 64) as u64);
        wheel.insert(*deadlines.last().expect("just pushed"));
    }
    let mut fired = 0;
    for minute in 1..=24 * 60 {
        let (from, to) = ((minute - 1) * (day / 1440), minute * (day / 1440));
        let mut last = from;
        for id in wheel.advance(to) {
            assert!(
                (last..=to).contains(&deadlines[id]),
                "neither early nor late nor out of order"
            );
            last = deadlines[id];
            fired += 1;
        }
    }
    assert_eq!(fired, deadlines.len());
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "dead entry")]
fn an_entry_that_dies_while_it_is_set_is_noticed() {
    let mut wheel: Wheel = Wheel::new(Instant::ZERO);
    let mut entry = Entry::new();
    // SAFETY: it is not: the wheel outlives the entry. It is not used any more, either.
    unsafe { wheel.insert(NonNull::from(&mut entry), Instant::FAR_FUTURE, Waker::noop().clone()) };
}
