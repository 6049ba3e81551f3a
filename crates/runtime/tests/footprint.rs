//! A hundred thousand parked fibers, each with its guard page, alive at once.
//!
//! `cargo test --release -p raddle-runtime --test footprint -- --nocapture` prints the figure. An
//! unoptimised build has larger frames, so only the release build asserts.

use std::sync::Arc;

use raddle_parking_lot::{Semaphore, WaitGroup};
use raddle_runtime::{Native, Runtime, runtime::Builder};

const FIBERS: usize = 100_000;
const BYTES_PER_FIBER_MAX: usize = 10 << 10;

/// Resident bytes, and those of the page tables, which guard pages take too.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has procfs");
    let kib = |key: &str| -> usize {
        let line = status.lines().find(|line| line.starts_with(key)).expect("a field of status");
        line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
    };
    (kib("VmRSS:") + kib("VmPTE:")) << 10
}

#[test]
fn a_parked_fiber_takes_at_most_ten_kibibytes() {
    let runtime: Runtime = Builder::new().workers(2).build().expect("a runtime");
    let before = resident();
    let (parked, release) = (Arc::new(WaitGroup::<Native>::new_in()), Arc::new(Semaphore::new(0)));
    parked.add(FIBERS);
    let fibers: Vec<_> = (0..FIBERS)
        .map(|_| {
            let (parked, release) = (parked.clone(), release.clone());
            runtime.spawn(move || {
                parked.done();
                release.acquire().forget();
            })
        })
        .collect();
    parked.wait();
    assert_eq!(runtime.handle().alive_tasks(), FIBERS);
    let bytes = (resident() - before) / FIBERS;
    println!("{FIBERS} parked fibers: {bytes} bytes resident each, page tables included");
    release.add_permits(FIBERS);
    for fiber in fibers {
        fiber.join().expect("no panic");
    }
    if cfg!(debug_assertions) {
        println!("left out: the bound is asserted in release builds only");
    } else {
        assert!(bytes <= BYTES_PER_FIBER_MAX, "{bytes} bytes per fiber");
    }
}
