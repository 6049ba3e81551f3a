//! `cargo xtask hammer`: the scenarios and stress programs on real threads, under a sanitizer.
//!
//! Builds the program with the flags that its sanitizer needs, each in a target directory of its
//! own, so that the usual build is not thrown away, and passes the arguments on. What is run is
//! printed: it can be typed by hand.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::ValueEnum;

use crate::workspace::{self, Kind, Package, Role, Workspace};
use crate::{Error, Verdict};

/// What looks on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sanitizer {
    /// ThreadSanitizer: data races. Needs a nightly toolchain.
    Thread,
    /// AddressSanitizer and LeakSanitizer: wrong accesses, leaks. Needs a nightly toolchain.
    Address,
    /// Nobody: only the programs' own checks.
    None,
}

/// Hammer the scenarios and stress programs on real threads.
///
/// Each runs over and over in a process of its own, with delays that a hash of the seed decides.
/// Before that, planted bugs prove that the sanitizer is active. Exit code 2 means that there is no
/// nightly toolchain, which the sanitizers need.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Who looks on.
    #[arg(long, value_enum, default_value = "thread")]
    sanitizer: Sanitizer,
    /// Run those whose name contains this.
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,
    /// Show what would run and what would not, and end.
    #[arg(long)]
    list: bool,
    /// How long all of them may take together [default: 60].
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// Derive the delays from this seed, a number or a text; empty means none, and full speed
    /// [default: a new one].
    #[arg(long, value_name = "SEED")]
    seed: Option<String>,
    /// Write the results to a file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Run the ordinary tests of the production crates under the sanitizer instead.
    #[arg(long, conflicts_with_all = ["scenario", "list", "seconds", "seed", "json"])]
    tests: bool,
    /// The short form of `cargo xtask test`: half a minute, and without a nightly toolchain a line
    /// that says so, and exit code 0.
    #[arg(long, conflicts_with_all = ["scenario", "list", "seconds", "tests"])]
    quick: bool,
    /// Measure how often planted bugs show, with delays and without, and pass on what follows `--`:
    /// `--bugs -- --help` lists it.
    #[arg(long, conflicts_with_all = ["sanitizer", "scenario", "list", "seconds", "seed", "tests", "quick"])]
    bugs: bool,
    /// Options of the measurement.
    #[arg(last = true, requires = "bugs", value_name = "OPTIONS")]
    measurement: Vec<String>,
}

/// The short form goes on for so many seconds.
const QUICK_SECONDS: u64 = 30;

/// What `--tests` leaves out, and why: packages and tests.
const NOT_UNDER_SANITIZERS: &[(&str, &str)] = &[
    ("raddle", "it has no code, only names"),
    ("stack_overflow", "it faults on purpose, and the sanitizer takes the signal"),
    ("overflow", "it faults on purpose, and the sanitizer takes the signal"),
    ("stack_limits", "it limits addresses, of which the sanitizer needs many"),
    ("footprint", "it counts the memory of the process, which is the sanitizer's"),
];

/// Runs the verb.
pub(crate) fn run(options: &Options) -> Result<Verdict, Error> {
    if options.bugs {
        return bugs(options);
    }
    if let Err(error) = toolchain(options.sanitizer) {
        if options.quick {
            println!("left out: {error}");
            return Ok(Verdict::Good);
        }
        return Err(error);
    }
    if options.tests {
        return tests(options.sanitizer);
    }
    let mut arguments = Vec::new();
    let mut option = |name: &str, value: Option<String>| {
        arguments.extend(value.into_iter().flat_map(|value| [name.to_owned(), value]));
    };
    option("--scenario", options.scenario.clone());
    option(
        "--seconds",
        options.seconds.or(options.quick.then_some(QUICK_SECONDS)).map(|it| it.to_string()),
    );
    option("--seed", options.seed.clone());
    option("--json", options.json.as_deref().map(absolute).transpose()?);
    if options.list {
        arguments.push("--list".to_owned());
    }
    verdict(&mut program(options.sanitizer, &arguments)?)
}

fn absolute(path: &Path) -> Result<String, Error> {
    let absolute = std::path::absolute(path)
        .map_err(|error| Error::new(format!("{}: {error}", path.display())))?;
    Ok(absolute.display().to_string())
}

/// The command that builds the program for the sanitizer and runs it.
pub(crate) fn program(sanitizer: Sanitizer, arguments: &[String]) -> Result<Command, Error> {
    let mut words = vec!["run".to_owned(), "--release".to_owned()];
    words.extend(target_options(sanitizer)?);
    words.extend(["-p", "raddle-hammer", "--bin", "raddle-hammer", "--"].map(str::to_owned));
    words.extend_from_slice(arguments);
    Ok(cargo(sanitizer, &words))
}

/// How often planted bugs show: at full speed, since a sanitizer would be the larger delay.
fn bugs(options: &Options) -> Result<Verdict, Error> {
    let mut words = ["run", "--release", "-p", "raddle-hammer", "--bin", "raddle-bugs", "--"]
        .map(str::to_owned)
        .to_vec();
    if let Some(file) = &options.json {
        words.extend(["--json".to_owned(), absolute(file)?]);
    }
    words.extend_from_slice(&options.measurement);
    verdict(&mut cargo(Sanitizer::None, &words))
}

/// The ordinary test suites.
fn tests(sanitizer: Sanitizer) -> Result<Verdict, Error> {
    if sanitizer == Sanitizer::Thread && !has_source() {
        return Err(Error::new(
            "the tests use std's scoped threads and channels, which are false alarms unless std is \
             compiled with ThreadSanitizer, too, and its source is not installed: `rustup component \
             add rust-src --toolchain nightly`, or use `--sanitizer address`",
        ));
    }
    let mut words = vec!["test".to_owned(), "--no-fail-fast".to_owned()];
    words.extend(target_options(sanitizer)?);
    // Doctests would be built without the flags.
    words.push("--lib".to_owned());
    let reason = |name: &str| {
        let reason = NOT_UNDER_SANITIZERS.iter().find(|(known, _)| *known == name);
        reason.inspect(|(name, reason)| println!("left out: {name}: {reason}"))
    };
    let packages = Workspace::own()?.packages;
    let shipped = |package: &&Package| matches!(package.role, Role::Platform | Role::Production);
    for package in packages.iter().filter(shipped).filter(|package| reason(&package.name).is_none())
    {
        words.extend(["-p".to_owned(), package.name.clone()]);
        for target in package.targets.iter().filter(|target| target.kind == Kind::Test) {
            if reason(&target.name).is_none() {
                words.extend(["--test".to_owned(), target.name.clone()]);
            }
        }
    }
    // Some forget futures and fibers on purpose. The stress programs are looked at for leaks.
    verdict(cargo(sanitizer, &words).env("ASAN_OPTIONS", "detect_leaks=0"))
}

fn verdict(command: &mut Command) -> Result<Verdict, Error> {
    let status =
        command.status().map_err(|error| Error::new(format!("cannot run cargo: {error}")))?;
    match status.code() {
        Some(0) => Ok(Verdict::Good),
        Some(1 | 101) => Ok(Verdict::Bad),
        _ => Err(Error::new(format!("it ended with {status}"))),
    }
}

/// The target must be named, or build scripts and macros would be compiled with the sanitizer, too.
fn target_options(sanitizer: Sanitizer) -> Result<Vec<String>, Error> {
    if sanitizer == Sanitizer::None {
        return Ok(Vec::new());
    }
    let mut options =
        vec!["--target".to_owned(), host()?, "--target-dir".to_owned(), directory(sanitizer)];
    if has_source() {
        options.push("-Zbuild-std".to_owned());
    }
    Ok(options)
}

fn directory(sanitizer: Sanitizer) -> String {
    match sanitizer {
        Sanitizer::Thread => "target/thread".to_owned(),
        Sanitizer::Address => "target/address".to_owned(),
        Sanitizer::None => "target".to_owned(),
    }
}

fn flags(sanitizer: Sanitizer) -> Option<&'static str> {
    match (sanitizer, has_source()) {
        (Sanitizer::Thread, true) => Some("-Zsanitizer=thread"),
        // std is not instrumented then. What it does behind the sanitizer's back is not used.
        (Sanitizer::Thread, false) => {
            Some("-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer")
        }
        (Sanitizer::Address, _) => Some("-Zsanitizer=address"),
        (Sanitizer::None, _) => None,
    }
}

/// The cargo of the toolchain that the sanitizer needs, in the root of the workspace.
fn cargo(sanitizer: Sanitizer, words: &[String]) -> Command {
    let Some(flags) = flags(sanitizer) else {
        let mut cargo = workspace::cargo();
        cargo.args(words);
        return cargo;
    };
    println!("$ RUSTFLAGS=\"{flags}\" cargo +nightly {}", words.join(" "));
    let mut cargo = nightly("cargo");
    cargo.args(words).env("RUSTFLAGS", flags).current_dir(workspace::root());
    cargo
}

/// A program of the nightly toolchain, with none of the settings that this process was started with.
fn nightly(program: &str) -> Command {
    let mut command = Command::new(program);
    command.arg("+nightly");
    for variable in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN", "CARGO_TARGET_DIR"] {
        command.env_remove(variable);
    }
    command
}

fn asked(program: &str, arguments: &[&str]) -> Option<String> {
    let output = nightly(program).args(arguments).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn toolchain(sanitizer: Sanitizer) -> Result<(), Error> {
    if sanitizer == Sanitizer::None || asked("rustc", &["--version"]).is_some() {
        return Ok(());
    }
    Err(Error::new(
        "sanitizers need a nightly toolchain, and `rustc +nightly` does not run: install one by \
         `rustup toolchain install nightly`, or use `cargo xtask hammer --sanitizer none`",
    ))
}

fn host() -> Result<String, Error> {
    let version = asked("rustc", &["-vV"]).unwrap_or_default();
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Error::new("`rustc +nightly -vV` names no host"))
}

/// Whether std's source is installed, so that it can be instrumented, too.
fn has_source() -> bool {
    asked("rustc", &["--print", "sysroot"]).is_some_and(|root| {
        Path::new(&root).join("lib/rustlib/src/rust/library/Cargo.toml").exists()
    })
}
