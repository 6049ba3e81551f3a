//! The scenarios run on the machine itself, too. That explores next to nothing, but shows that they
//! are about the code and not about a harness.

mod watchdog;

use std::env;
use std::process::Command;
use std::time::Duration;

use raddle_platform::{Native, Parker, Platform};
use raddle_scenarios::{Expect, Needs, all, scope};

use watchdog::Watchdog;

/// Each scenario runs twenty times in a fraction of a second.
const LIMIT: Duration = Duration::from_secs(100);
/// Set in a process that is to hang.
const HANG: &str = "RADDLE_SCENARIOS_HANG";

#[test]
fn what_holds_holds_on_the_machine() {
    let offered = Needs {
        atomics: true,
        threads: 3,
        parker: true,
        clock: true,
        rng: true,
        driver: true,
        io: true,
        race_detection: false,
        weak_memory: true,
        long: true,
        task_order: true,
        rare: true,
    };
    let watchdog = Watchdog::new(LIMIT);
    for scenario in all::<Native>() {
        if scenario.expect == Expect::Holds && scenario.needs.unmet(&offered).is_empty() {
            println!("{}", scenario.name);
            watchdog.run(scenario.name, || (0..20).for_each(|_| scenario.run()));
        }
    }
}

/// Hangs if it is told to: a thread waits for one that has panicked.
#[test]
fn a_scenario_that_hangs() {
    if env::var_os(HANG).is_none() {
        return;
    }
    let watchdog = Watchdog::new(Duration::from_secs(1));
    watchdog.run("broken/hangs", || {
        scope::<Native, _>(|threads| {
            threads.spawn(|| <Native as Platform>::Parker::park());
            panic!("nobody wakes the other one");
        });
    });
}

#[test]
fn a_scenario_that_hangs_fails_and_is_named() {
    let output = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", "a_scenario_that_hangs", "--nocapture"])
        .env(HANG, "1")
        .output()
        .expect("this program runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    for part in ["broken/hangs has run for 1 s", "nobody wakes the other one", "is parked"] {
        assert!(said.contains(part), "{part:?} is missing in: {said}");
    }
}

#[test]
fn names_are_unique_and_properties_are_sentences() {
    let list = all::<Native>();
    let mut names: Vec<_> = list.iter().map(|scenario| scenario.name).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    for scenario in list {
        assert!(scenario.name.contains('/'), "{}", scenario.name);
        assert!(scenario.property.contains(' '), "{}", scenario.name);
        assert!(scenario.needs.threads <= 3, "{}: keep it small", scenario.name);
    }
}
