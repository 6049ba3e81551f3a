//! Timers on workers that are never idle.

use core::time::Duration;

use raddle_ownership::Arc;
use raddle_platform::{Atomic, Clock, Ordering, Platform};
use raddle_runtime::{Runtime, runtime, sleep, spawn, yield_now};
use raddle_vopr::{Sim, Simulation, Strategy};

type Flag = <Sim as Platform>::AtomicBool;

/// One fiber sleeps, and another keeps the only worker busy until the first has woken.
fn busy_while_another_sleeps() {
    const NAP: Duration = Duration::from_millis(1);
    let runtime: Runtime<Sim> = runtime::Builder::new_in().workers(1).build().expect("a runtime");
    let end = runtime.run(|| {
        let done = Arc::<_, Sim>::new_in(Flag::new(false));
        let theirs = done.clone();
        let start = <Sim as Platform>::Clock::now();
        let sleeper = spawn::<Sim, _, _>(move || {
            let slept = sleep::<Sim>(NAP);
            theirs.store(true, Ordering::Relaxed);
            slept
        });
        while !done.load(Ordering::Relaxed) {
            yield_now::<Sim>();
        }
        assert!(<Sim as Platform>::Clock::now() >= start + NAP, "never early");
        sleeper.join()
    });
    assert!(matches!(end, Ok(Ok(Ok(())))));
    runtime.shutdown(Duration::MAX).expect("it ends");
}

#[test]
fn time_comes_for_a_worker_that_is_never_idle() {
    let strategies =
        [Strategy::Random, Strategy::Sticky, Strategy::RoundRobin, Strategy::Pct { depth: 3 }];
    for strategy in strategies {
        for seed in 0..50 {
            let simulation = Simulation::new().strategy(strategy.clone()).seed(seed);
            simulation.run(busy_while_another_sleeps).unwrap();
        }
    }
}
