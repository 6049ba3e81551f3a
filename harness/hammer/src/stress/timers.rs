//! Timers: set, fired and taken back by the thousand.

use core::time::Duration;

use raddle_ownership::Arc;
use raddle_platform::{Atomic, AtomicInt, Clock, Ordering, Platform};
use raddle_runtime::runtime::Builder;
use raddle_runtime::{Runtime, sleep, sleep_async, spawn, spawn_async, timeout, yield_async};

use super::{Budget, Stress};

pub(super) fn list<P: Platform>() -> Vec<Stress> {
    vec![Stress::new(
        "stress/timer_storm",
        "no sleep ends early, and each timeout ends by what came first",
        &["spinlock", "idle-search"],
        timer_storm::<P>,
    )]
}

const SLEEPERS: u64 = 120;

fn timer_storm<P: Platform>(budget: &Budget) -> u64 {
    let runtime: Runtime<P> = Builder::new_in().workers(4).build().expect("a runtime");
    let early = Arc::<_, P>::new_in(P::AtomicU64::new(0));
    let operations = budget.rounds(|| {
        let early = early.clone();
        let ended = runtime.run(move || {
            let tasks: Vec<_> = (0..SLEEPERS)
                .map(|name| {
                    let early = early.clone();
                    // From a tick of the wheel to several of its levels.
                    let time = Duration::from_micros(name * name % 3_000);
                    match name % 3 {
                        0 => spawn::<P, _, _>(move || {
                            let start = P::Clock::now();
                            let slept = sleep::<P>(time).is_ok();
                            early.fetch_add(
                                u64::from(P::Clock::now() < start + time),
                                Ordering::Relaxed,
                            );
                            slept
                        }),
                        1 => spawn_async::<P, _>(async move {
                            let start = P::Clock::now();
                            sleep_async::<P>(time).await;
                            early.fetch_add(
                                u64::from(P::Clock::now() < start + time),
                                Ordering::Relaxed,
                            );
                            true
                        }),
                        // Taken back before it fires, if the yields are quicker.
                        _ => spawn_async::<P, _>(async move {
                            let work = async {
                                for _ in 0..name % 5 {
                                    yield_async().await;
                                }
                                name
                            };
                            // Its time was over, or it has the value.
                            timeout::<_, P>(time, work).await.map_or(true, |value| value == name)
                        }),
                    }
                })
                .collect();
            let ended = tasks.into_iter().map(|task| task.join().expect("no panic"));
            ended.collect::<Vec<_>>()
        });
        let ended = ended.expect("no panic");
        assert!(ended.iter().all(|well| *well), "each ended as it should");
        ended.len() as u64
    });
    assert_eq!(early.load(Ordering::Relaxed), 0, "sleeps that ended early");
    assert_eq!(runtime.shutdown(Duration::from_secs(60)), Ok(()), "no task is left");
    operations
}
