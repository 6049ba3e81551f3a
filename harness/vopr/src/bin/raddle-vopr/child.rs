//! Each scenario runs in a process of its own.
//!
//! What crashes and failures abandon is never freed, so a process that has abandoned much is
//! replaced: it hands over how far it is, and the next one goes on from there. And a process that
//! dies (an abort, a stack that overflows, the watchdog) takes no other scenario with it: its death
//! is reported as the failure of the scenario and seed that it was at.
//!
//! The child gets its [`Job`] on standard input, and writes on standard output a line when a run
//! begins and one at its end. Whatever else it prints goes through.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use raddle_scenarios::Scenario;
use raddle_vopr::{Program, programs};
use serde::{Deserialize, Serialize};

use crate::args::Args;
use crate::sweep::{Found, Outcome, Progress, Row, State, Step, sweep};

/// What a child is to do.
#[derive(Debug, Serialize, Deserialize)]
struct Job {
    scenario: String,
    root: u64,
    budget: Option<Duration>,
    state: State,
}

/// What a child has to say.
#[derive(Debug, Serialize, Deserialize)]
enum Message {
    /// The run of that number begins.
    Run(u64),
    /// It has abandoned much: another is to go on.
    Replace(State),
    /// It is done.
    Done { row: Row, result: Result<String, String>, found: Option<Found> },
}

/// What a line that is a message begins with.
const PREFIX: &str = "\u{1}vopr ";
/// How many of the last lines of a child's standard error are kept.
const LINES: usize = 100;

/// Sweeps a scenario in processes of its own.
pub(crate) fn sweep_apart(
    program: &Program,
    args: &Args,
    root: u64,
    budget: Option<Duration>,
    progress: &Progress,
) -> Outcome {
    let scenario = &program.scenario;
    let mut job = Job { scenario: scenario.name.to_owned(), root, budget, state: State::default() };
    loop {
        let mut parent = Parent { args, progress, run: None, said: None };
        let end = parent.run(&job);
        match (parent.said, end) {
            (Some(Message::Replace(state)), Ok(_)) => job.state = state,
            (Some(Message::Done { row, result, found }), Ok(_)) => {
                progress.ended(result.is_err());
                return Outcome { row, result, found };
            }
            (_, end) => {
                progress.ended(true);
                return died(scenario, args, &job, parent.run, end);
            }
        }
    }
}

/// Somebody who listens to a child.
struct Parent<'a> {
    args: &'a Args,
    progress: &'a Progress,
    /// The last run that began.
    run: Option<u64>,
    said: Option<Message>,
}

/// How a child ended, and what it said on standard error.
type Ended = io::Result<(ExitStatus, String)>;

impl Parent<'_> {
    fn run(&mut self, job: &Job) -> Ended {
        let mut child = self.start()?;
        let errors = child.stderr.take();
        let errors = std::thread::spawn(move || errors.map(last_lines).unwrap_or_default());
        if let Some(mut input) = child.stdin.take() {
            // A child that is dead already shows it by its end.
            let _: io::Result<()> = serde_json::to_writer(&mut input, job).map_err(Into::into);
        }
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).lines().map_while(Result::ok).for_each(|line| self.hear(line));
        }
        let status = child.wait()?;
        Ok((status, errors.join().unwrap_or_default()))
    }

    fn start(&self) -> io::Result<Child> {
        Command::new(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .arg("--child")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }

    fn hear(&mut self, line: String) {
        let message = line.strip_prefix(PREFIX).map(serde_json::from_str);
        match message {
            Some(Ok(Message::Run(index))) => {
                self.run = Some(index);
                self.progress.began();
            }
            Some(Ok(message)) => self.said = Some(message),
            Some(Err(_)) | None => println!("{line}"),
        }
        debug_assert!(!self.args.child, "a child has no children");
    }
}

fn last_lines(errors: impl Read) -> String {
    let mut kept = VecDeque::new();
    for line in BufReader::new(errors).split(b'\n').map_while(Result::ok) {
        kept.push_back(String::from_utf8_lossy(&line).into_owned());
        if kept.len() > LINES {
            kept.pop_front();
        }
    }
    Vec::from(kept).join("\n")
}

/// A child has ended without a word.
fn died(scenario: &Scenario, args: &Args, job: &Job, run: Option<u64>, end: Ended) -> Outcome {
    let (how, report) = match end {
        Ok((status, errors)) => (format!("its process died: {status}"), errors),
        Err(error) => (format!("its process could not run: {error}"), String::new()),
    };
    let index = run.unwrap_or(job.state.next);
    let seed = args.seed_of(args.plan(scenario, job.root).0, index);
    let found = Found {
        scenario: job.scenario.clone(),
        seed,
        oracle: "process".to_owned(),
        trace: "not kept: the process died".to_owned(),
        command: args.reproduce(&job.scenario, seed),
        report: format!("{how}\n{report}"),
    };
    let row = Row { runs: index, ..job.state.row(&job.scenario) };
    Outcome { row, result: Err(how), found: Some(found) }
}

/// Is a child.
pub(crate) fn work(args: &Args) -> ExitCode {
    let job: Job = match serde_json::from_reader(io::stdin().lock()) {
        Ok(job) => job,
        Err(error) => {
            eprintln!("raddle-vopr: no job on standard input: {error}");
            return ExitCode::from(2);
        }
    };
    let list = programs();
    let Some(program) = list.iter().find(|it| it.scenario.name == job.scenario) else {
        eprintln!("raddle-vopr: no scenario {:?}", job.scenario);
        return ExitCode::from(2);
    };
    let mut begins = |index| {
        say(&Message::Run(index));
        if let Some(death) = args.plant_death
            && index == 2
        {
            death.strike();
        }
    };
    let step = sweep(program, args, job.root, job.budget, job.state, &mut begins);
    say(&match step {
        Step::Replace(state) => Message::Replace(state),
        Step::Done(Outcome { row, result, found }) => Message::Done { row, result, found },
    });
    ExitCode::SUCCESS
}

fn say(message: &Message) {
    let text = serde_json::to_string(message).unwrap_or_else(|error| error.to_string());
    let mut output = io::stdout().lock();
    // Nobody to talk to: the parent is gone, and the child ends with its pipe.
    let _: io::Result<()> = writeln!(output, "{PREFIX}{text}").and_then(|()| output.flush());
}
