//! The process that runs one program over and over.

use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use raddle_hammer::stress::Budget;
use raddle_hammer::{Settings, begin, count_sites, delays, nap, visited_sites};
use raddle_platform::native::waits;

use crate::args::{Child, settings};
use crate::planted;
use crate::programs::{self, Program};
use crate::results::{Ran, SiteRow};

/// Beyond its budget a program has this long to end. Under a sanitizer and beside other work
/// everything is ten times slower; what hangs, hangs for ever.
const PATIENCE: Duration = Duration::from_secs(90);

/// The exit code of a program that does not end.
pub(crate) const STUCK: i32 = 75;

/// The seed of the run that is under way.
static RUNNING: AtomicU64 = AtomicU64::new(0);

/// Resident memory in KiB after a minute, or after half of the time where that is less.
static SETTLED: AtomicU64 = AtomicU64::new(0);

/// Resident memory in KiB; 0 where the kernel does not tell.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: Option<u64> = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    // SAFETY: `sysconf` reads a constant.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages.unwrap_or(0) * u64::try_from(page).unwrap_or(0) / 1024
}

pub(crate) fn run(child: &Child) -> ExitCode {
    let settings = match settings(&child.seed) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    settings.install();
    if child.sites {
        count_sites();
    }
    if let Some(planted) = planted::find(&child.name) {
        (planted.run)();
        return ExitCode::SUCCESS;
    }
    let full_speed = settings.seed.is_none() && !child.sites;
    let all = programs::all(full_speed);
    let Some(program) = all.iter().find(|program| program.name() == child.name) else {
        eprintln!("no program is called {}", child.name);
        return ExitCode::from(2);
    };
    let time = Duration::from_millis(child.milliseconds);
    watch(time);
    tell(&repeat(program, settings, time));
    ExitCode::SUCCESS
}

/// The first run has the seed itself, so that a failure of a later one is run again by its own.
fn repeat(program: &Program, mut settings: Settings, time: Duration) -> Ran {
    if program.is_twin() {
        // It is looked for, and not only looked after.
        settings.zero_bias = 0.7;
    }
    let start = Instant::now();
    let budget = Budget::until(start + time);
    let mut ran = Ran::default();
    let mut runs = 0;
    loop {
        let seed = settings.seed.map(|root| if runs == 0 { root } else { derive(root, runs) });
        Settings { seed, ..settings }.install();
        RUNNING.store(seed.unwrap_or(0), Ordering::Relaxed);
        begin();
        ran.operations += program.run(&budget);
        runs += 1;
        if !budget.lasts() || matches!(program, Program::Stress(_)) {
            break;
        }
    }
    ran.seconds = start.elapsed().as_secs_f64();
    ran.resident_kib = (SETTLED.load(Ordering::Relaxed), resident());
    ran.delays = delays();
    ran.waits = waits().map(|(name, count)| (name.to_owned(), count)).collect();
    ran.sites = visited_sites().into_iter().map(SiteRow::from).collect();
    ran
}

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
fn derive(root: u64, run: u64) -> u64 {
    let z = root.wrapping_add(run.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    // Short enough to be typed.
    (z ^ (z >> 31)) >> 32
}

fn tell(ran: &Ran) {
    let json = serde_json::to_string(ran).unwrap_or_default();
    let mut out = std::io::stdout().lock();
    // Nobody reads: the parent is gone, and so will be this process.
    let _ = writeln!(out, "{json}");
}

/// Says which seed a panic belongs to, looks at the memory, and ends the process when it does not end
/// by itself.
fn watch(time: Duration) {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        eprintln!("in the run of seed {:#x}:", RUNNING.load(Ordering::Relaxed));
        usual(panic);
    }));
    std::thread::spawn(move || {
        let (start, settled) = (Instant::now(), (time / 2).min(Duration::from_secs(60)));
        while start.elapsed() < time + PATIENCE {
            nap(Duration::from_millis(100));
            if SETTLED.load(Ordering::Relaxed) == 0 && start.elapsed() >= settled {
                SETTLED.store(resident(), Ordering::Relaxed);
            }
        }
        eprintln!(
            "no end {PATIENCE:?} after the time was over, in the run of seed {:#x}: a deadlock, or \
             a wake-up that was lost",
            RUNNING.load(Ordering::Relaxed)
        );
        std::process::exit(STUCK);
    });
}
