//! All that can run: scenarios in a loop, and stress programs.

use raddle_hammer::stress::{self, Budget, Stress};
use raddle_hammer::{Hammer, Sanitizer};
use raddle_platform::Native;
use raddle_scenarios::{Expect, Needs, Scenario};

/// One program, which a child process repeats.
pub(crate) enum Program {
    Scenario(Scenario),
    Stress(Stress),
}

/// What this world has. Weak memory it has, too, but nobody can make it show.
fn offered(full_speed: bool) -> Needs {
    Needs {
        atomics: true,
        threads: 64,
        parker: true,
        clock: true,
        rng: true,
        driver: true,
        io: true,
        race_detection: Sanitizer::ACTIVE == Sanitizer::Thread,
        weak_memory: false,
        long: true,
        task_order: full_speed,
        rare: false,
    }
}

impl Program {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Scenario(scenario) => scenario.name,
            Self::Stress(stress) => stress.name,
        }
    }

    /// Whether the sanitizer must report something, else nothing may be.
    pub(crate) fn is_twin(&self) -> bool {
        matches!(self, Self::Scenario(scenario) if scenario.expect == Expect::Races)
    }

    /// Whether it leaves memory behind on purpose.
    pub(crate) fn leaks(&self) -> bool {
        matches!(self, Self::Scenario(scenario) if scenario.leaks)
    }

    /// Why it does not run here, if it does not.
    pub(crate) fn left_out(&self, full_speed: bool) -> Option<String> {
        let Self::Scenario(scenario) = self else { return None };
        let unmet = scenario.needs.unmet(&offered(full_speed));
        if !unmet.is_empty() {
            return Some(format!("needs {}", unmet.join(" and ")));
        }
        match scenario.expect {
            Expect::Holds => None,
            Expect::Races if Sanitizer::ACTIVE == Sanitizer::Thread => None,
            Expect::Races => {
                Some("its bug is a data race: only ThreadSanitizer shows it".to_owned())
            }
            Expect::Deadlocks => {
                Some("its bug is a deadlock: on real threads it would hang".to_owned())
            }
            Expect::Fails(_) => {
                Some("its bug needs one schedule of many: loom and VOPR show it".to_owned())
            }
        }
    }

    /// Runs it once, or for as long as the budget lasts; returns the number of operations.
    pub(crate) fn run(&self, budget: &Budget) -> u64 {
        match self {
            Self::Scenario(scenario) => {
                scenario.run();
                1
            }
            Self::Stress(stress) => stress.run(budget),
        }
    }
}

/// All programs. At full speed they run on `Native` itself: what ships, without a branch more.
/// (Under a sanitizer nothing is at full speed, and all programs twice would take long to compile.)
pub(crate) fn all(full_speed: bool) -> Vec<Program> {
    const PLAIN: bool = raddle_platform::native::SANITIZER.is_empty();
    if PLAIN && full_speed { list::<Native>() } else { list::<Hammer>() }
}

fn list<P: raddle_platform::Platform>() -> Vec<Program> {
    let scenarios = raddle_scenarios::all::<P>().into_iter().map(Program::Scenario);
    scenarios.chain(stress::all::<P>().into_iter().map(Program::Stress)).collect()
}
