//! What crashes and failures leave on the heap is counted, by an allocator that counts.

use std::hint::black_box;

use raddle_platform::{Parker, Platform, Threads};
use raddle_vopr::heap::{Counting, balance};
use raddle_vopr::node::Node;
use raddle_vopr::{FailureKind, Sim, Simulation, Strategy};

#[global_allocator]
static HEAP: Counting = Counting;

const HELD: usize = 1 << 20;

fn hold_for_ever() {
    let held = black_box(vec![1_u8; HELD]);
    loop {
        <Sim as Platform>::Parker::park();
        assert_eq!(held.len(), HELD);
    }
}

fn simulation() -> Simulation {
    Simulation::new().strategy(Strategy::RoundRobin)
}

#[test]
fn what_a_crash_leaves_is_counted() {
    let run = |crashes: u64| {
        let before = balance().expect("it counts");
        let report = simulation().run(move || {
            let node = Node::start("a", hold_for_ever);
            for _ in 0..crashes {
                <Sim as Platform>::Threads::yield_now();
                node.crash();
                node.restart();
            }
            <Sim as Platform>::Threads::yield_now();
            node.crash();
        });
        report.unwrap();
        let abandoned = report.abandoned;
        assert_eq!((abandoned.crashes, abandoned.threads), (crashes + 1, crashes + 1));
        drop(report);
        let leaked = balance().expect("it counts") - before;
        (abandoned.heap_bytes.expect("it counts") as i64, leaked)
    };
    run(0);
    for crashes in [0, 3] {
        let (counted, leaked) = run(crashes);
        let held = HELD as i64 * (crashes as i64 + 1);
        assert!((held..held + 65_536).contains(&counted), "{counted} of {held}");
        assert!((counted - leaked).abs() < 65_536, "{counted} counted, {leaked} leaked");
    }
}

#[test]
fn an_execution_that_passes_abandons_nothing() {
    let report = simulation().run(|| drop(black_box(vec![1_u8; HELD])));
    report.unwrap();
    assert_eq!(report.abandoned, Default::default());
}

#[test]
fn what_a_failure_leaves_is_counted() {
    let report = simulation().run(hold_for_ever);
    assert_eq!(report.failure().expect("it fails").kind, FailureKind::Deadlock);
    let abandoned = report.abandoned;
    assert!(abandoned.heap_bytes.expect("it counts") >= HELD as u64, "{abandoned:?}");
    assert_eq!((abandoned.threads, abandoned.stack_bytes), (1, 512 * 1024));
}
