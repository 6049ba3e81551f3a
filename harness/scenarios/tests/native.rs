//! The scenarios run on the machine itself, too. That explores next to nothing, but shows that they
//! are about the code and not about a harness.

use raddle_platform::Native;
use raddle_scenarios::{Expect, Needs, all};

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
    for scenario in all::<Native>() {
        if scenario.expect == Expect::Holds && scenario.needs.unmet(&offered).is_empty() {
            println!("{}", scenario.name);
            for _ in 0..20 {
                scenario.run();
            }
        }
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
