//! What a verdict says, and that it is honest.

use std::rc::Rc;
use std::time::Duration;

use raddle_loom::{Failure, Judgement, Loom, Model, OFFERS, Report, Verdict, judge, scenarios};
use raddle_platform::{Atomic, AtomicInt, Ordering, Parker, Platform, RaceCell, Rng, Threads};
use raddle_scenarios::{Needs, Scenario, scope, spawn};

type AtomicUsize = <Loom as Platform>::AtomicUsize;

fn failure(report: Report) -> Failure {
    match report.verdict {
        Verdict::Failed(failure) => failure,
        verdict => panic!("{verdict:?}"),
    }
}

/// Two threads that count up in two steps.
fn lost_update() {
    let counter = AtomicUsize::new(0);
    scope::<Loom, _>(|threads| {
        let count = || {
            let seen = counter.load(Ordering::Relaxed);
            counter.swap(seen + 1, Ordering::Relaxed);
        };
        threads.spawn(count);
        count();
    });
    assert_eq!(counter.load(Ordering::Relaxed), 2, "an update was lost");
}

fn no_update_lost() {
    let counter = AtomicUsize::new(0);
    scope::<Loom, _>(|threads| {
        threads.spawn(|| counter.fetch_add(1, Ordering::Relaxed));
        counter.fetch_add(1, Ordering::Relaxed);
    });
    assert_eq!(counter.load(Ordering::Relaxed), 2, "an update was lost");
}

fn scenario(run: fn()) -> Scenario {
    Scenario::new("test/scenario", "a property", run).needs(Needs::ATOMICS.threads(1))
}

fn check(scenario: &Scenario) -> Report {
    let scenario = scenario.clone();
    Model::new().preemption_bound(scenario.bound).check(move || scenario.run())
}

#[test]
fn a_property_that_holds_passes_with_its_bound() {
    let exhausted = check(&scenario(no_update_lost));
    assert_eq!(exhausted.verdict, Verdict::Exhausted);
    assert!(exhausted.executions > 1);
    let bounded = check(&scenario(no_update_lost).bound(1));
    assert_eq!(bounded.verdict, Verdict::Bounded(1));
    assert!(judge(&scenario(no_update_lost), &bounded).passed());
}

#[test]
fn a_failure_tells_message_operations_and_sites() {
    let failure = failure(check(&scenario(lost_update)));
    assert!(failure.messages[0].contains("an update was lost"), "{failure}");
    assert!(failure.history.contains("AtomicUsize#0 load(Relaxed)"), "{failure}");
    assert!(failure.history.contains("AtomicUsize#0 swap(Relaxed)"), "{failure}");
    assert!(failure.history.contains("tests/verdicts.rs:"), "{failure}");
}

#[test]
fn a_deadlock_tells_where_each_thread_stands() {
    let failure = failure(Model::new().check(|| <Loom as Platform>::Parker::park()));
    assert!(failure.messages[0].contains("deadlock"), "{failure}");
    assert!(failure.history.contains("thread 0 is in park"), "{failure}");
}

#[test]
fn a_planted_bug_must_be_reported() {
    let twin = scenario(lost_update).fails("an update was lost");
    assert!(judge(&twin, &check(&twin)).passed());
    let wrong = scenario(lost_update).fails("another message");
    assert!(!judge(&wrong, &check(&wrong)).passed());
    let silent = scenario(no_update_lost).fails("an update was lost");
    let Judgement::Fail(why) = judge(&silent, &check(&silent)) else { panic!("passed") };
    assert!(why.contains("was not reported"), "{why}");
}

#[test]
fn a_declared_need_that_nothing_uses_fails_the_scenario() {
    let needs = Needs::ATOMICS.threads(1);
    for needs in [needs.parker(), needs.clock(), needs.rng(), needs.driver(), needs.threads(2)] {
        let claims = scenario(no_update_lost).needs(needs);
        let Judgement::Fail(why) = judge(&claims, &check(&claims)) else { panic!("{needs:?}") };
        assert!(why.contains("it declares"), "{why}");
    }
    // On std's atomics: the whole point of the count.
    let other_world = scenario(|| {
        let counter = std::sync::atomic::AtomicUsize::new(0);
        scope::<Loom, _>(|threads| {
            threads.spawn(|| counter.fetch_add(1, Ordering::Relaxed));
        });
    });
    assert!(!judge(&other_world, &check(&other_world)).passed());
    let draws = scenario(|| {
        no_update_lost();
        assert_ne!(<Loom as Platform>::Rng::u64(), <Loom as Platform>::Rng::u64());
    });
    let draws = draws.needs(needs.rng());
    assert!(judge(&draws, &check(&draws)).passed());
}

#[test]
fn time_that_ran_out_is_no_pass() {
    let report = Model::new().max_duration(Duration::ZERO).check(no_update_lost);
    assert_eq!((&report.verdict, report.executions), (&Verdict::TimedOut, 0));
    assert!(!judge(&scenario(no_update_lost), &report).passed());
    let twin = scenario(no_update_lost).fails("");
    assert!(!judge(&twin.may_time_out(), &report).passed());
    let Judgement::Pass(why) = judge(&scenario(no_update_lost).may_time_out(), &report) else {
        panic!("allowed")
    };
    assert!(why.contains("INCOMPLETE"), "{why}");
}

#[test]
fn a_panic_that_nobody_joins_is_reported() {
    let failure = failure(Model::new().check(|| {
        drop(spawn::<Loom, ()>(|| panic!("unheard")));
    }));
    assert!(failure.messages.iter().any(|message| message.contains("unheard")), "{failure}");
}

#[test]
fn a_panic_that_is_joined_and_handled_is_none_of_our_business() {
    let report = Model::new().check(|| {
        let body = Box::new(|| panic!("expected"));
        let thread = <Loom as Platform>::Threads::spawn("panics".to_owned(), body);
        let Ok(thread) = thread else { panic!("no thread") };
        assert!(<Loom as Platform>::Threads::join(thread).is_err());
    });
    assert_eq!(report.verdict, Verdict::Exhausted);
}

#[test]
fn memory_that_is_freed_too_early_is_reported() {
    let failure = failure(Model::new().check(|| {
        let flag = Box::into_raw(Box::new(AtomicUsize::new(0)));
        let theirs = flag.expose_provenance();
        scope::<Loom, _>(|threads| {
            threads.spawn(move || {
                let flag = std::ptr::with_exposed_provenance::<AtomicUsize>(theirs);
                // SAFETY: the memory is freed by the main thread, in the orders that follow as well
                // as in the first one, in which this comes first; the first one fails already.
                unsafe { (*flag).swap(1, Ordering::Release) };
            });
            // Relaxed: sees that the other is done, but not in order.
            // SAFETY: not freed yet.
            while unsafe { (*flag).load(Ordering::Relaxed) } == 0 {
                Loom::spin_loop();
            }
            // SAFETY: nobody uses it any more; but no happens-before edge says so.
            drop(unsafe { Box::from_raw(flag) });
        });
    }));
    assert!(failure.messages[0].contains("Causality violation"), "{failure}");
}

#[test]
fn unordered_accesses_to_data_are_reported() {
    let failure = failure(Model::new().check(|| {
        let data = RaceCell::<_, Loom>::new_in(0);
        scope::<Loom, _>(|threads| {
            // SAFETY: it is a race, which is the point; the threads are coroutines of one thread.
            threads.spawn(|| unsafe { data.with_mut(|data| *data = 1) });
            // SAFETY: as above.
            unsafe { data.with(|data| *data) };
        });
    }));
    assert!(failure.messages[0].contains("Causality violation"), "{failure}");
}

#[test]
fn what_the_list_needs_is_offered_or_left_out_with_a_reason() {
    let list = scenarios();
    let mut names: Vec<_> = list.iter().map(|scenario| scenario.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), list.len(), "a name is used twice");
    assert_eq!(Needs::NONE.threads(5).io().unmet(&OFFERS), ["5 threads (of 4)"]);
    assert!(Needs::ATOMICS.threads(4).clock().unmet(&OFFERS).is_empty());
}

#[test]
#[should_panic(expected = "outside of a model")]
fn an_operation_outside_of_a_model_says_so() {
    let _ = Rc::new(AtomicUsize::new(0));
}
