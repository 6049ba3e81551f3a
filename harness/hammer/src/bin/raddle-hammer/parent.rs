//! Starts the children, reads their reports, sums up.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use raddle_hammer::Sanitizer;

use crate::args::{Arguments, settings};
use crate::child::STUCK;
use crate::planted::{self, Planted};
use crate::programs::{self, Program};
use crate::progress::Progress;
use crate::results::{LeftOut, Ran, Results, Row, Sites};

/// Lines of a report that are shown.
const SHOWN_LINES: usize = 60;

/// How long the race of a broken twin may take to be reported. The twin ends with its report.
const TWIN_TIME: Duration = Duration::from_secs(20);

/// Bytes of a child's report that are kept.
const KEPT_BYTES: u64 = 4 << 20;

/// What a child left.
struct Report {
    code: Option<i32>,
    out: String,
    errors: String,
}

impl Report {
    /// How many reports of a sanitizer there are.
    fn races(&self) -> usize {
        self.errors.matches("WARNING: ThreadSanitizer:").count()
            + self.errors.matches("ERROR: AddressSanitizer:").count()
            + self.errors.matches("ERROR: LeakSanitizer:").count()
    }

    fn shown(&self) -> String {
        let lines: Vec<_> = self.errors.lines().collect();
        let mut shown = lines[..lines.len().min(SHOWN_LINES)].join("\n    ");
        if lines.len() > SHOWN_LINES {
            shown += &format!("\n    … and {} lines more", lines.len() - SHOWN_LINES);
        }
        shown
    }
}

/// Runs what is asked for. `false` if something was found.
pub(crate) fn run(arguments: &Arguments) -> Result<bool, String> {
    let seed = arguments.seed();
    let settings = settings(&seed).map_err(|error| error.to_string())?;
    let full_speed = settings.seed.is_none() && arguments.sites.is_none();
    let wanted = |program: &Program| {
        arguments.scenario.as_ref().is_none_or(|part| program.name().contains(part.as_str()))
    };
    let selected: Vec<_> = programs::all(full_speed).into_iter().filter(wanted).collect();
    if selected.is_empty() {
        let part = arguments.scenario.clone().unwrap_or_default();
        return Err(format!("no program's name contains `{part}`: --list shows them all"));
    }
    let mut results = Results {
        sanitizer: Sanitizer::ACTIVE.name(),
        active: false,
        seed: seed.clone(),
        scenarios: Vec::new(),
        left_out: Vec::new(),
    };
    let mut programs = Vec::new();
    for program in selected {
        match program.left_out(full_speed) {
            Some(reason) => results.left_out.push(LeftOut { name: program.name(), reason }),
            None => programs.push(program),
        }
    }
    if arguments.list {
        programs.iter().for_each(|program| println!("{}", program.name()));
        results.left_out.iter().for_each(|it| println!("{}  left out: {}", it.name, it.reason));
        return Ok(true);
    }
    println!("sanitizer {}, seed {}", results.sanitizer, shown_seed(&seed));
    let folder = Folder::new()?;
    results.active = prove_active(&folder, &seed)?;
    let sites = hammer(arguments, &seed, &programs, &folder, &mut results)?;
    if let Some(file) = &arguments.sites {
        write(file, &serde_json::to_string_pretty(&sites).unwrap_or_default())?;
    }
    if let Some(file) = &arguments.json {
        write(file, &serde_json::to_string_pretty(&results).unwrap_or_default())?;
    }
    Ok(summary(&results))
}

fn shown_seed(seed: &str) -> &str {
    if seed.is_empty() { "none: full speed, no delays" } else { seed }
}

fn write(file: &PathBuf, text: &str) -> Result<(), String> {
    std::fs::write(file, text).map_err(|error| format!("cannot write {}: {error}", file.display()))
}

/// Every planted bug of this sanitizer must be reported.
fn prove_active(folder: &Folder, seed: &str) -> Result<bool, String> {
    let mut planted: Vec<&Planted> = Vec::new();
    planted.extend(planted::ALL.iter().filter(|it| it.sanitizer == Sanitizer::ACTIVE));
    for bug in &planted {
        let report = Child {
            name: bug.name,
            time: Duration::ZERO,
            seed,
            sites: false,
            halts: true,
            leaks: false,
        }
        .run(folder)?;
        if !report.errors.contains(bug.report) {
            return Err(format!(
                "the sanitizer is not active: {} was not reported (exit code {:?}), so nothing \
                 else would be\n    {}",
                bug.name,
                report.code,
                report.shown()
            ));
        }
        println!("{}: reported, as it must be", bug.name);
    }
    Ok(!planted.is_empty())
}

fn hammer(
    arguments: &Arguments,
    seed: &str,
    programs: &[Program],
    folder: &Folder,
    results: &mut Results,
) -> Result<Sites, String> {
    // A stress program wants time to come to speed; a scenario is done in microseconds.
    let shares = |program: &Program| if matches!(program, Program::Stress(_)) { 4 } else { 1 };
    let total: u32 = programs.iter().filter(|program| !program.is_twin()).map(shares).sum();
    let share = Duration::from_secs(arguments.seconds) / total.max(1);
    let mut progress = Progress::new(programs.len());
    let mut sites = Sites::default();
    for program in programs {
        progress.begins(program.name());
        let time = if program.is_twin() { TWIN_TIME } else { share * shares(program) };
        let child = Child {
            name: program.name(),
            time,
            seed,
            sites: arguments.sites.is_some(),
            halts: program.is_twin(),
            leaks: program.leaks(),
        };
        let report = child.run(folder)?;
        let (row, ran) = judge(program, &report);
        if let Some(failure) = &row.failure {
            progress.line(&format!("FAILED {}: {failure}\n    {}", row.name, report.shown()));
        }
        if matches!(program, Program::Stress(_)) && row.failure.is_none() {
            let ((settled, last), rate) = (row.resident_kib, row.operations as f64 / row.seconds);
            progress.line(&format!(
                "{}: {} operations, {rate:.0}/s, resident {settled} KiB, at the end {last} KiB",
                row.name, row.operations
            ));
        }
        progress.ended(row.operations);
        for (name, count) in ran.waits {
            *sites.waits.entry(name).or_default() += count;
        }
        sites.sites.extend(ran.sites);
        if let Program::Stress(stress) = program {
            sites.covers.insert(stress.name, stress.covers);
        }
        results.scenarios.push(row);
    }
    progress.end();
    Ok(sites)
}

fn judge(program: &Program, report: &Report) -> (Row, Ran) {
    let races = report.races();
    let ran: Option<Ran> =
        report.out.lines().last().and_then(|line| serde_json::from_str(line).ok());
    let failure = match (program.is_twin(), races, report.code) {
        (true, 0, Some(0)) => Some("its planted race was not reported".to_owned()),
        (_, 0, Some(code)) if code == STUCK => Some("it does not end".to_owned()),
        // By the sanitizer, or by its own check, whichever came first.
        (true, ..) => None,
        (false, 0, Some(0)) if ran.is_some() => None,
        (false, 0, Some(code)) => Some(format!("exit code {code}")),
        (false, 0, None) => Some("ended by a signal".to_owned()),
        (false, races, _) => Some(format!("{races} reports of the sanitizer")),
    };
    let row = Row {
        name: program.name(),
        operations: ran.as_ref().map_or(0, |ran| ran.operations),
        seconds: ran.as_ref().map_or(0.0, |ran| ran.seconds),
        races,
        delays: ran.as_ref().map_or(0, |ran| ran.delays),
        resident_kib: ran.as_ref().map_or((0, 0), |ran| ran.resident_kib),
        failure,
    };
    (row, ran.unwrap_or_default())
}

fn summary(results: &Results) -> bool {
    let rows = &results.scenarios;
    let failed: Vec<_> = rows.iter().filter(|row| row.failure.is_some()).collect();
    for left_out in &results.left_out {
        println!("left out: {}: {}", left_out.name, left_out.reason);
    }
    for row in &failed {
        let again = format!("cargo xtask hammer --scenario {} --seed {}", row.name, results.seed);
        println!("failed: {}; again: {again}", row.name);
    }
    let operations: u64 = rows.iter().map(|row| row.operations).sum();
    let seconds: f64 = rows.iter().map(|row| row.seconds).sum();
    println!(
        "{operations} operations in {seconds:.0} s ({:.0}/s), {} delays, {} races in what must have \
         none; seed {}",
        operations as f64 / seconds.max(0.001),
        rows.iter().map(|row| row.delays).sum::<u64>(),
        failed.iter().map(|row| row.races).sum::<usize>(),
        shown_seed(&results.seed),
    );
    println!(
        "{} passed, {} failed, {} left out",
        rows.len() - failed.len(),
        failed.len(),
        results.left_out.len()
    );
    failed.is_empty()
}

/// A folder for the files of the programs, taken away at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("raddle-hammer-{}", std::process::id()));
        std::fs::create_dir_all(&path)
            .map_err(|error| format!("cannot make the folder {}: {error}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A process that runs one program.
struct Child<'a> {
    name: &'a str,
    time: Duration,
    seed: &'a str,
    /// Whether it counts the visits of sites.
    sites: bool,
    /// Whether it ends with the first report.
    halts: bool,
    /// Whether it leaves memory behind on purpose.
    leaks: bool,
}

impl Child<'_> {
    /// What the sanitizers are told; what the caller wants of them comes last and wins.
    fn options(&self) -> [(&'static str, String); 2] {
        let (halts, leaks) = (u8::from(self.halts), u8::from(!self.leaks));
        [
            // A worker that a forced shutdown leaves behind is no leak.
            // A second more at the end of each process would be most of the time.
            (
                "TSAN_OPTIONS",
                format!(
                    "halt_on_error={halts}:atexit_sleep_ms=0:history_size=4:report_thread_leaks=0"
                ),
            ),
            ("ASAN_OPTIONS", format!("detect_stack_use_after_return=1:detect_leaks={leaks}")),
        ]
        .map(|(name, own)| (name, format!("{own}:{}", std::env::var(name).unwrap_or_default())))
    }

    /// Runs it to its end.
    fn run(&self, folder: &Folder) -> Result<Report, String> {
        let own = std::env::current_exe();
        let own = own.map_err(|error| format!("where is this program? {error}"))?;
        let time = self.time.as_millis().to_string();
        let mut child = Command::new(own)
            .args(["--child", self.name, "--child-ms", &time, "--seed", self.seed])
            .args(self.sites.then_some(["--sites", "-"]).into_iter().flatten())
            .envs(self.options())
            .current_dir(&folder.0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start a process: {error}"))?;
        let errors = child.stderr.take();
        let reader = std::thread::spawn(move || errors.map_or_else(String::new, read));
        let out = child.stdout.take().map_or_else(String::new, read);
        let errors = reader.join().unwrap_or_default();
        let status = child.wait().map_err(|error| format!("a process got lost: {error}"))?;
        Ok(Report { code: status.code(), out, errors })
    }
}

/// All of it, of which the beginning is kept.
fn read(mut from: impl Read) -> String {
    let mut kept = Vec::new();
    // A child whose report breaks off has one that is too short, and no result.
    let _ = from.by_ref().take(KEPT_BYTES).read_to_end(&mut kept);
    let _ = std::io::copy(&mut from, &mut std::io::sink());
    String::from_utf8_lossy(&kept).into_owned()
}
