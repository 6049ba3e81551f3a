//! One seed gives one execution: in one process, and in processes that have nothing in common.

use std::process::Command;

use raddle_parking_lot::{ParkingMutex, Semaphore};
use raddle_platform::{Instant, Parker, Platform, Rng};
use raddle_scenarios::scope;
use raddle_vopr::{FailureKind, OFFERS, Report, Sim, Simulation, Strategy, Trace};

/// Locks, time, random values, weak exchanges and a choice.
fn program() {
    let sum = ParkingMutex::<u64, Sim>::new_in(0);
    let permits = Semaphore::<Sim>::new_in(1);
    scope::<Sim, _>(|threads| {
        for _ in 0..3 {
            threads.spawn(|| {
                permits.acquire().forget();
                *sum.lock() += <Sim as Platform>::Rng::u64() & 0xff;
                permits.add_permits(1);
                <Sim as Platform>::Parker::park_until(Instant::from_nanos(50));
            });
        }
        *sum.lock() += Sim::choose(raddle_platform::Choice::Placement, 5) as u64;
    });
}

fn run(strategy: Strategy, seed: u64) -> Report {
    Simulation::new().strategy(strategy).seed(seed).run(program)
}

const STRATEGIES: [Strategy; 3] =
    [Strategy::Random, Strategy::Pct { depth: 3 }, Strategy::RoundRobin];

#[test]
fn one_seed_gives_one_certificate() {
    for strategy in STRATEGIES {
        for seed in 0..20 {
            let (one, other) = (run(strategy.clone(), seed), run(strategy.clone(), seed));
            one.unwrap();
            assert_eq!(one.certificate, other.certificate, "{strategy:?} {seed}");
            assert_eq!((one.steps, one.trace), (other.steps, other.trace));
        }
    }
    let mut certificates: Vec<_> =
        (0..100).map(|seed| run(Strategy::Random, seed).certificate.to_string()).collect();
    certificates.sort();
    certificates.dedup();
    assert!(certificates.len() > 95, "other seeds, other executions: {}", certificates.len());
}

#[test]
fn replay_is_exact_and_its_text_form_too() {
    for seed in 0..10 {
        let report = run(Strategy::Random, seed);
        let trace: Trace = report.trace.to_string().parse().expect("a trace");
        let again = Simulation::new().replay(trace).run(program);
        again.unwrap();
        assert_eq!((again.certificate, again.steps), (report.certificate, report.steps));
        assert_eq!(again.virtual_time, report.virtual_time);
    }
}

#[test]
fn a_trace_that_does_not_fit_is_a_divergence() {
    let report = run(Strategy::Random, 1);
    let divergence = |change: &dyn Fn(&mut Trace)| {
        let mut trace = report.trace.clone();
        change(&mut trace);
        let again = Simulation::new().replay(trace).run(program);
        let failure = again.failure().expect("it diverges").clone();
        assert_eq!(failure.kind, FailureKind::Divergence, "{failure}");
        failure.message().to_owned()
    };
    let short = divergence(&|trace| trace.decisions.truncate(trace.decisions.len() - 1));
    assert!(short.contains("unexpected end"), "{short}");
    let long = divergence(&|trace| trace.decisions.push(trace.decisions[0]));
    assert!(long.contains("the execution ended after"), "{long}");
    let other = divergence(&|trace| {
        let place = trace.decisions.len() / 2;
        let old = trace.decisions[place];
        let (options, chosen) = (old.options() + 1, old.chosen());
        trace.decisions[place] = raddle_vopr::Decision::new(old.kind(), options, chosen);
    });
    assert!(other.contains("divergence at decision") && other.contains("certificate"), "{other}");
}

#[test]
fn a_prefix_is_followed_and_then_left() {
    let report = run(Strategy::Random, 1);
    let half = report.trace.decisions.len() / 2;
    let prefix = |tail| Strategy::Prefix { trace: report.trace.clone(), decisions: half, tail };
    let tails: Vec<_> = (0..10).map(|tail| run(prefix(tail), 1)).collect();
    for tail in &tails {
        tail.unwrap();
        assert_eq!(tail.trace.decisions[..half], report.trace.decisions[..half]);
    }
    assert!(tails.iter().any(|tail| tail.trace != tails[0].trace), "the tails differ");
}

#[test]
fn pct_states_its_bound_from_a_measured_length() {
    let bound = run(Strategy::Pct { depth: 2 }, 1).bound.expect("PCT has one");
    assert!(bound.threads >= 4 && bound.steps > 10, "{bound}");
    let expected = 1.0 / (f64::from(bound.threads) * bound.steps as f64);
    assert!((bound.probability() - expected).abs() < 1e-12);
}

/// The certificates of the program and of every scenario, as one text.
fn fingerprints() -> String {
    let mut text = String::new();
    for seed in 0..5 {
        let report = run(Strategy::Random, seed);
        text += &format!("{} {:?}\n", report.certificate, report.verdict);
    }
    let scenarios = raddle_vopr::scenarios();
    let can = |scenario: &&raddle_scenarios::Scenario| scenario.needs.unmet(&OFFERS).is_empty();
    for scenario in scenarios.iter().filter(can) {
        let report = Simulation::new().seed(3).run(|| scenario.run());
        text += &format!("{} {} {}\n", scenario.name, report.certificate, report.steps);
    }
    text
}

/// Which of the tests runs is the child's only argument of substance.
const CHILD: &str = "VOPR_TEST_CHILD";

/// `RADDLE_PROCESSES` says in how many, if not in five.
#[test]
fn one_seed_gives_one_certificate_in_five_processes() {
    if std::env::var_os(CHILD).is_some() {
        println!("BEGIN\n{}END", fingerprints());
        return;
    }
    let here = std::env::current_exe().expect("the test's own file");
    let count = std::env::var("RADDLE_PROCESSES").map_or(5, |text| text.parse().expect("a number"));
    let directories = ["/", "/tmp", "/usr", "/proc", "/var"].iter().cycle().take(count);
    let outputs = directories.enumerate().map(|(index, directory)| {
        let mut child = Command::new(&here);
        child.args(["--exact", "one_seed_gives_one_certificate_in_five_processes", "--nocapture"]);
        child.env_clear().env(CHILD, "1").current_dir(directory);
        // Other environments: other sizes, so that stacks and heaps lie elsewhere, too.
        child.env("PADDING", "x".repeat(1 + 1000 * index));
        let output = child.output().expect("a child process");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("text");
        let (_, rest) = text.split_once("BEGIN\n").expect("the child's output");
        rest.split_once("END").expect("the child's output").0.to_owned()
    });
    let outputs: Vec<_> = outputs.collect();
    assert!(outputs[0].lines().count() > 20);
    for output in &outputs {
        assert_eq!(*output, outputs[0]);
    }
    assert_eq!(fingerprints(), outputs[0], "this process is the sixth");
}

/// The program of the last test, and the seed that the watchdog must print.
#[test]
fn a_loop_without_operations_is_reported_by_the_watchdog() {
    if std::env::var_os(CHILD).is_some() {
        let limits = raddle_vopr::Limits {
            silence: core::time::Duration::from_millis(300),
            ..raddle_vopr::Limits::default()
        };
        Simulation::new().seed(0xbad).limits(limits).run(|| {
            <Sim as Platform>::Rng::u64();
            loop {
                std::hint::spin_loop();
            }
        });
        return;
    }
    let here = std::env::current_exe().expect("the test's own file");
    let name = "a_loop_without_operations_is_reported_by_the_watchdog";
    let output = Command::new(here).args(["--exact", name]).env(CHILD, "1").output();
    let output = output.expect("a child process");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for part in ["livelock", "seed: 0xbad", "u64", "determinism.rs"] {
        assert!(text.contains(part), "{text}");
    }
}
