//! Random programs of operations on the production locks, queues and counted pointers, and whether
//! their answers are those of one that does an operation at a time. Each has a twin with a planted
//! bug, which shows that the check can fail.

#[path = "models/counted.rs"]
mod counted;
#[path = "models/locks.rs"]
mod locks;
#[path = "models/queues.rs"]
mod queues;

use raddle_platform::{Platform, Threads};
use raddle_scenarios::scope;
use raddle_vopr::linear::{Bounds, History, Model, Recorder, check};
use raddle_vopr::seeds::{Purpose, Stream};
use raddle_vopr::{Report, Sim, Simulation};

/// Clients of each program.
const CLIENTS: u32 = 3;

/// Seeds for what must hold, and at most for what must be found.
const SEEDS: u64 = 2000;

/// Runs `client` on all clients at a time, with a stream of random numbers for each, and checks what
/// they recorded.
fn run<M>(model: &M, seed: u64, client: impl Fn(Client<'_, M>) + Sync)
where
    M: Model<Operation: Clone + Send, Outcome: Clone + Send>,
{
    let recorder = Recorder::default();
    scope::<Sim, _>(|threads| {
        for process in 1..CLIENTS {
            let (client, recorder) = (&client, &recorder);
            threads.spawn(move || client(Client::new(process, seed, recorder)));
        }
        client(Client::new(0, seed, &recorder));
    });
    judge(model, &recorder.history());
}

fn judge<M: Model>(model: &M, history: &History<M::Operation, M::Outcome>) {
    check(model, history, Bounds::default()).unwrap();
}

/// One client of a program.
struct Client<'a, M: Model> {
    process: u32,
    random: Stream,
    recorder: &'a Recorder<M::Operation, M::Outcome>,
}

impl<'a, M: Model> Client<'a, M>
where
    M::Outcome: Clone,
{
    fn new(process: u32, seed: u64, recorder: &'a Recorder<M::Operation, M::Outcome>) -> Self {
        let random = Stream::of(seed, Purpose::Workload, u64::from(process));
        Self { process, random, recorder }
    }

    fn call(&self, operation: M::Operation, f: impl FnOnce() -> M::Outcome) -> M::Outcome {
        self.recorder.call(self.process, operation, f)
    }

    /// Lets others run, or not.
    fn dawdle(&mut self) {
        for _ in 0..self.random.below(3) {
            <Sim as Platform>::Threads::yield_now();
        }
    }
}

fn report(program: impl Fn(u64), seed: u64) -> Report {
    Simulation::new().seed(seed).run(|| program(seed))
}

/// Every seed passes.
#[track_caller]
fn holds(program: impl Fn(u64)) {
    (0..SEEDS).for_each(|seed| report(&program, seed).unwrap());
}

/// Some seed shows a history that is not linearizable, and its trace shows the same again.
#[track_caller]
fn is_found(program: impl Fn(u64)) {
    let mut reports = (0..SEEDS).map(|seed| (seed, report(&program, seed)));
    let (seed, found) = reports.find(|(_, report)| report.failure().is_some()).expect("found");
    let failure = found.failure().expect("it failed");
    assert!(failure.to_string().contains("not linearizable"), "another failure: {failure}");
    let again = Simulation::new().replay(found.trace.clone()).run(|| program(seed));
    assert_eq!(again.failure(), Some(failure));
}
