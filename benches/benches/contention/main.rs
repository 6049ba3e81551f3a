//! What a contended lock costs, counted: atomic operations, wakes, suspensions, switches, system calls.
//!
//! `cargo bench -p raddle-benches --bench contention` prints the tables of `docs/contention.md`; with
//! `-- --write` it puts them there, unless the machine is busy. System calls are counted by `perf`, where that is
//! installed and allowed.
//!
//! Each row is a program of its own (`--child`), so that the kernel's counts are of nothing else.

mod contend;
mod counted;
mod page;

use std::cell::RefCell;
use std::process::{Command, ExitCode};

use contend::{
    Lock, Mutex, Outcome, ParkingLot, Permit, Readers, Std, Turns, Who, Writers, contend,
};
use counted::{Count, Counted, Counts, HandOff, Hybrid, ParkAtOnce, Spin, Strategy};
use raddle_platform::Native;

/// A row: a lock, and who contends for it.
struct Program {
    lock: &'static str,
    /// How waiters wait; empty for rivals.
    strategy: &'static str,
    who: Who,
    /// Critical sections of all contenders together, about as many as fit in a second.
    rounds: u64,
    run: fn(Who, u64) -> Figures,
}

/// What the kernel calls a switch: the thread waited for something, or had to give up its processor.
#[derive(Clone, Copy, Debug, Default)]
struct Switches {
    voluntary: u64,
    forced: u64,
}

/// What was counted, of a whole run.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    elapsed_ns: f64,
    acquired: f64,
    contended: f64,
    voluntary: f64,
    forced: f64,
    /// None for rivals, whose operations nobody sees.
    counts: Option<Seen>,
}

/// Operations, in the order of [`Counts`].
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Of contended acquisitions, until they had the lock.
    waiting: [f64; 5],
    /// To give up the lock, contended or not.
    leaving: [f64; 5],
    /// All of them, with the scheduler's.
    all: [f64; 5],
}

impl Switches {
    /// Of this program until now.
    fn now() -> Self {
        // SAFETY: all of its fields may be zero.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: the place is there to be written to.
        let result = unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
        assert_eq!(result, 0, "the program's own usage is known");
        Self { voluntary: usage.ru_nvcsw as u64, forced: usage.ru_nivcsw as u64 }
    }
}

fn ours<L: Lock, S: Strategy>(who: Who, each: u64) -> Figures {
    let looks = RefCell::new(Vec::new());
    let look = || looks.borrow_mut().push((Counts::all(), Switches::now()));
    let outcome = contend::<L, Counted<S>>(who, each, look);
    let looks = looks.into_inner();
    let all = looks[1].0.since(&looks[0].0).numbers();
    let (waiting, leaving) = (outcome.waiting.numbers(), outcome.leaving.numbers());
    let figures = figures(&outcome, looks[0].1, looks[1].1);
    Figures { counts: Some(Seen { waiting, leaving, all }), ..figures }
}

fn rival<L: Lock>(who: Who, each: u64) -> Figures {
    let looks = RefCell::new(Vec::new());
    let outcome = contend::<L, Native>(who, each, || looks.borrow_mut().push(Switches::now()));
    let looks = looks.into_inner();
    figures(&outcome, looks[0], looks[1])
}

fn figures(outcome: &Outcome, before: Switches, after: Switches) -> Figures {
    Figures {
        elapsed_ns: outcome.elapsed.as_nanos() as f64,
        acquired: outcome.acquired as f64,
        contended: outcome.contended as f64,
        voluntary: (after.voluntary - before.voluntary) as f64,
        forced: (after.forced - before.forced) as f64,
        counts: None,
    }
}

const QUICK: u64 = 1_600_000;
/// Each critical section costs a wake-up of a thread.
const SLOW: u64 = 80_000;

const ALONE: Who = Who::Threads(1);
const TWO: Who = Who::Threads(2);
const EIGHT: Who = Who::Threads(8);
const FIBERS: Who = Who::Fibers(8);

const fn row(
    lock: &'static str,
    strategy: &'static str,
    who: Who,
    rounds: u64,
    run: fn(Who, u64) -> Figures,
) -> Program {
    Program { lock, strategy, who, rounds, run }
}

/// The locks as they ship.
const LOCKS: &[Program] = &[
    row("mutex", "hybrid", ALONE, QUICK, ours::<Mutex<Hybrid>, Hybrid>),
    row("mutex", "hybrid", TWO, QUICK, ours::<Mutex<Hybrid>, Hybrid>),
    row("mutex", "hybrid", EIGHT, QUICK, ours::<Mutex<Hybrid>, Hybrid>),
    row("mutex", "hybrid", FIBERS, QUICK, ours::<Mutex<Hybrid>, Hybrid>),
    row("rwlock, writers", "hybrid", ALONE, QUICK, ours::<Writers<Hybrid>, Hybrid>),
    row("rwlock, writers", "hybrid", TWO, QUICK, ours::<Writers<Hybrid>, Hybrid>),
    row("rwlock, writers", "hybrid", EIGHT, QUICK, ours::<Writers<Hybrid>, Hybrid>),
    row("rwlock, writers", "hybrid", FIBERS, QUICK, ours::<Writers<Hybrid>, Hybrid>),
    row("rwlock, one writer", "hybrid", TWO, QUICK, ours::<Readers<Hybrid>, Hybrid>),
    row("rwlock, one writer", "hybrid", EIGHT, QUICK, ours::<Readers<Hybrid>, Hybrid>),
    row("rwlock, one writer", "hybrid", FIBERS, QUICK, ours::<Readers<Hybrid>, Hybrid>),
    row("semaphore(1)", "hybrid", ALONE, QUICK, ours::<Permit<Hybrid>, Hybrid>),
    row("semaphore(1)", "hybrid", TWO, QUICK, ours::<Permit<Hybrid>, Hybrid>),
    row("semaphore(1)", "hybrid", EIGHT, QUICK, ours::<Permit<Hybrid>, Hybrid>),
    row("semaphore(1)", "hybrid", FIBERS, QUICK, ours::<Permit<Hybrid>, Hybrid>),
    row("condvar, a turn", "hybrid", TWO, SLOW, ours::<Turns<Hybrid>, Hybrid>),
    row("condvar, a turn", "hybrid", EIGHT, SLOW, ours::<Turns<Hybrid>, Hybrid>),
    row("condvar, a turn", "hybrid", FIBERS, SLOW, ours::<Turns<Hybrid>, Hybrid>),
];

/// The same mutex with other ways to wait, and the rivals.
const STRATEGIES: &[Program] = &[
    row("mutex", "hybrid", TWO, QUICK, ours::<Mutex<Hybrid>, Hybrid>),
    row("mutex", "spin", TWO, QUICK, ours::<Mutex<Spin>, Spin>),
    row("mutex", "park at once", TWO, QUICK, ours::<Mutex<ParkAtOnce>, ParkAtOnce>),
    row("mutex", "hand-off", TWO, SLOW, ours::<Mutex<HandOff>, HandOff>),
    row("std", "", TWO, QUICK, rival::<Std>),
    row("parking_lot", "", TWO, QUICK, rival::<ParkingLot>),
    row("mutex", "hybrid", EIGHT, QUICK, ours::<Mutex<Hybrid>, Hybrid>),
    row("mutex", "spin", EIGHT, QUICK, ours::<Mutex<Spin>, Spin>),
    row("mutex", "park at once", EIGHT, QUICK, ours::<Mutex<ParkAtOnce>, ParkAtOnce>),
    row("mutex", "hand-off", EIGHT, SLOW, ours::<Mutex<HandOff>, HandOff>),
    row("std", "", EIGHT, QUICK, rival::<Std>),
    row("parking_lot", "", EIGHT, QUICK, rival::<ParkingLot>),
    row("mutex", "hybrid", FIBERS, QUICK, ours::<Mutex<Hybrid>, Hybrid>),
    row("mutex", "spin", FIBERS, QUICK, ours::<Mutex<Spin>, Spin>),
    row("mutex", "park at once", FIBERS, QUICK, ours::<Mutex<ParkAtOnce>, ParkAtOnce>),
    row("mutex", "hand-off", FIBERS, QUICK, ours::<Mutex<HandOff>, HandOff>),
];

impl Program {
    fn name(&self) -> String {
        format!("{}/{}/{}", self.lock, self.strategy, self.who.name())
    }

    fn run_here(&self, rounds: u64) -> Figures {
        (self.run)(self.who, rounds / self.who.count() as u64)
    }

    /// Runs it in a program of its own.
    fn measure(&self) -> Measured {
        let few = 2 * self.who.count() as u64;
        let (figures, calls) = self.spawn(self.rounds);
        let (_, started) = self.spawn(few);
        // What it takes to start and to end is not the lock's.
        let calls = calls.zip(started).map(|(all, started)| all.saturating_sub(started));
        Measured { figures, calls: calls.map(|calls| calls as f64) }
    }

    fn spawn(&self, rounds: u64) -> (Figures, Option<u64>) {
        let own = std::env::current_exe().expect("this program");
        let rounds = rounds.to_string();
        let child = ["--child", &self.name(), &rounds];
        let perf = Command::new("perf")
            .args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "--"])
            .arg(&own)
            .args(child)
            .output();
        let counted = perf.ok().filter(|output| output.status.success());
        let output = match &counted {
            Some(output) => output.clone(),
            None => Command::new(&own).args(child).output().expect("this program starts"),
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let figures = Figures::parse(&text).unwrap_or_else(|| {
            panic!("{}: {text}{}", self.name(), String::from_utf8_lossy(&output.stderr))
        });
        let report = counted.map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
        let calls = report.and_then(|report| {
            let line = report.lines().find(|line| line.contains("raw_syscalls"))?;
            line.split(',').next()?.parse().ok()
        });
        (figures, calls)
    }
}

/// A row, measured.
struct Measured {
    figures: Figures,
    calls: Option<f64>,
}

impl Figures {
    /// What was counted makes sense: somebody entered, and the platform saw it.
    fn check(&self) {
        assert!(self.acquired > 0.0 && self.contended <= self.acquired, "{self:?}");
        if let Some(seen) = self.counts {
            let rmw = Count::Rmw as usize;
            assert!(seen.leaving[rmw] >= self.acquired, "each unlock is counted: {self:?}");
            assert!(seen.waiting[rmw] >= self.contended, "each wait is counted: {self:?}");
            assert!(seen.all[rmw] >= seen.waiting[rmw] + seen.leaving[rmw], "{self:?}");
        }
    }

    fn print(&self) {
        let Self { elapsed_ns, acquired, contended, voluntary, forced, .. } = self;
        println!("{elapsed_ns} {acquired} {contended} {voluntary} {forced}");
        if let Some(Seen { waiting, leaving, all }) = self.counts {
            for counts in [waiting, leaving, all] {
                println!("{}", counts.map(|count| count.to_string()).join(" "));
            }
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().map(|line| {
            let numbers: Result<Vec<f64>, _> = line.split(' ').map(str::parse).collect();
            <[f64; 5]>::try_from(numbers.unwrap_or_default()).ok()
        });
        let [elapsed_ns, acquired, contended, voluntary, forced] = lines.next()??;
        let counts = match [lines.next(), lines.next(), lines.next()] {
            [Some(waiting), Some(leaving), Some(all)] => {
                Some(Seen { waiting: waiting?, leaving: leaving?, all: all? })
            }
            _ => None,
        };
        Some(Self { elapsed_ns, acquired, contended, voluntary, forced, counts })
    }
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--child", name, rounds] => {
            let all = LOCKS.iter().chain(STRATEGIES);
            let program = all.into_iter().find(|it| it.name() == name).expect("a row");
            program.run_here(rounds.parse().expect("a number")).print();
            ExitCode::SUCCESS
        }
        _ if !arguments.contains(&"--bench") => {
            // As a test: each program once, and short.
            LOCKS.iter().chain(STRATEGIES).for_each(|it| it.run_here(1_600).check());
            ExitCode::SUCCESS
        }
        _ => page::run(arguments.contains(&"--write")),
    }
}
