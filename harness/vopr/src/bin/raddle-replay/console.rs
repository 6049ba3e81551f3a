//! The debugger's prompt. It runs inside of the execution: while it waits for a command, the
//! execution stands still at a decision, or after an operation.

use std::collections::VecDeque;
use std::io::{BufRead, Write};

use raddle_vopr::trace::{Flow, Moment, Occasion, Recording};

use crate::breaks::{Break, Watched};

/// Where commands come from.
pub(crate) enum Input {
    /// The command line.
    Script(VecDeque<String>),
    /// Somebody who sees a prompt.
    Terminal,
    /// Standard input; what is read is shown.
    Pipe,
}

/// What happens after an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Another one, from the start.
    Again,
    /// Nothing.
    Quit { good: bool },
}

/// How far the execution runs before somebody looks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    /// To a place where it is to stop.
    Run,
    /// To the next moment of any kind.
    Step,
    /// To this decision, wherever else it should stop.
    Decision(u64),
}

/// What a command leads to.
enum Answer {
    /// Another command.
    Stay,
    /// The execution goes on, towards the goal.
    Go(Goal),
    /// The execution starts again, towards the goal.
    Restart(Goal),
    Quit,
}

pub(crate) struct Console {
    recording: Recording,
    goal: Goal,
    breaks: Vec<Watched>,
    input: Input,
    /// What to do when the execution at hand has been abandoned.
    then: Option<Then>,
    /// Whether everything that was verified was as recorded.
    good: bool,
    /// The last command.
    last: String,
}

const HELP: &str = "\
run, r            go on to the next place to stop at, or to the end
step, s           go on to the next moment: a decision, or an operation that has taken effect
next, n           go on to the next decision
to N, seek N      go to before the decision N, also back
back, b           go back to before the decision that was taken last
reset             go back to the start
peek, p [N]       show the next decision, and N more of the trace
state             show all threads: what each does or waits for; and what the program shows
last, l [N]       show the last N operations
break WHERE       stop there: decision:N, step:N, time:NS, event:N, thread:N, task:N, kind:NAME,
                  op:TEXT, site:TEXT
breaks            list the places to stop at
delete N          forget a place to stop at
verify, v         compare the certificate with the trace's
where, w          show where the execution is
quit, q           end
An empty line repeats the last command.";

impl Console {
    pub(crate) fn new(
        recording: Recording,
        to: Option<u64>,
        breaks: Vec<Break>,
        input: Input,
    ) -> Self {
        let goal = to.map_or(Goal::Run, Goal::Decision);
        let breaks = breaks.into_iter().map(Watched::new).collect();
        Self { recording, goal, breaks, input, then: None, good: true, last: String::new() }
    }

    /// Is called at each moment of an execution.
    pub(crate) fn look(&mut self, moment: &Moment<'_>) -> Flow {
        let at_decision = matches!(moment.occasion, Occasion::Decision { .. });
        // All of them, so that each knows what it has seen.
        let mut hit = None;
        for (number, watched) in self.breaks.iter_mut().enumerate() {
            if watched.is_hit(moment) && hit.is_none() {
                hit = Some((number, watched.place.to_string()));
            }
        }
        let stops = match self.goal {
            Goal::Run => hit.is_some(),
            Goal::Step => true,
            Goal::Decision(number) => at_decision && moment.decision() >= number,
        };
        if !stops {
            return Flow::Continue;
        }
        if let Some((number, place)) = hit.filter(|_| self.goal == Goal::Run) {
            println!("stopped at {number}: {place}");
        }
        show_place(moment, self.recording.trace.decisions.len());
        loop {
            let Some(line) = self.read() else {
                self.then = Some(Then::Quit { good: self.good });
                return Flow::Abandon;
            };
            match self.answer(&line, Some(moment)) {
                Answer::Stay => {}
                Answer::Go(goal) => {
                    self.goal = goal;
                    return Flow::Continue;
                }
                Answer::Restart(goal) => {
                    self.restart(goal);
                    self.then = Some(Then::Again);
                    return Flow::Abandon;
                }
                Answer::Quit => {
                    self.then = Some(Then::Quit { good: self.good });
                    return Flow::Abandon;
                }
            }
        }
    }

    /// What is to happen if the execution was abandoned from here.
    pub(crate) fn takes_over(&mut self) -> Option<Then> {
        self.then.take()
    }

    /// An execution has come to its end.
    pub(crate) fn ended(&mut self, same: bool, text: &str) -> Then {
        self.good &= same;
        println!("the end. {text}");
        loop {
            let Some(line) = self.read() else { return Then::Quit { good: self.good } };
            match self.answer(&line, None) {
                Answer::Stay => {}
                Answer::Go(_) => println!("the execution has ended; `reset` starts it again"),
                Answer::Restart(goal) => {
                    self.restart(goal);
                    return Then::Again;
                }
                Answer::Quit => return Then::Quit { good: self.good },
            }
        }
    }

    fn restart(&mut self, goal: Goal) {
        self.goal = goal;
        for watched in &mut self.breaks {
            watched.reset();
        }
    }

    /// The next command; nothing at the end.
    fn read(&mut self) -> Option<String> {
        let line = match &mut self.input {
            Input::Script(lines) => lines.pop_front()?,
            Input::Terminal | Input::Pipe => {
                if matches!(self.input, Input::Terminal) {
                    print!("replay> ");
                    // A prompt that cannot be shown is not worth ending for.
                    let _ = std::io::stdout().flush();
                }
                let mut line = String::new();
                match std::io::stdin().lock().read_line(&mut line) {
                    Ok(0) | Err(_) => return None,
                    Ok(_) => line,
                }
            }
        };
        let line = line.trim().to_owned();
        if !matches!(self.input, Input::Terminal) {
            println!("> {line}");
        }
        Some(line)
    }

    fn answer(&mut self, line: &str, moment: Option<&Moment<'_>>) -> Answer {
        if !line.is_empty() {
            line.clone_into(&mut self.last);
        }
        let line = self.last.clone();
        let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let rest = rest.trim();
        let all = self.recording.trace.decisions.len() as u64;
        let here = moment.map_or(all, Moment::decision);
        match verb {
            "run" | "r" | "continue" | "c" => return Answer::Go(Goal::Run),
            "step" | "s" => return Answer::Go(Goal::Step),
            "next" | "n" => {
                let at_decision = moment
                    .is_some_and(|moment| matches!(moment.occasion, Occasion::Decision { .. }));
                return Answer::Go(Goal::Decision(here + u64::from(at_decision)));
            }
            "to" | "seek" => match rest.parse::<u64>() {
                Ok(number) => return self.seek(number, moment),
                Err(_) => println!("write `seek N`, a decision from 0 to {all}"),
            },
            "back" | "b" => match here.checked_sub(1) {
                Some(number) => return Answer::Restart(Goal::Decision(number)),
                None => println!("this is the start"),
            },
            "reset" => return Answer::Restart(Goal::Decision(0)),
            "peek" | "p" => self.peek(here, rest.parse().unwrap_or(1), moment),
            "state" => match moment {
                Some(moment) => show_state(moment),
                None => println!("all has ended; `back` goes to before the last decision"),
            },
            "last" | "l" => {
                let count = rest.parse().unwrap_or(16);
                moment.iter().flat_map(|it| it.last(count)).for_each(|line| println!("{line}"));
            }
            "break" => match rest.parse::<Break>() {
                Ok(place) => {
                    println!("{}: {place}", self.breaks.len());
                    self.breaks.push(Watched::new(place));
                }
                Err(why) => println!("{why}"),
            },
            "breaks" => {
                let lines = self.breaks.iter().enumerate();
                lines.for_each(|(number, watched)| println!("{number}: {}", watched.place));
            }
            "delete" => match rest.parse::<usize>() {
                Ok(number) if number < self.breaks.len() => {
                    println!("forgotten: {}", self.breaks.remove(number).place);
                }
                _ => println!("write `delete N`; `breaks` lists them"),
            },
            "verify" | "v" => self.verify(here, moment),
            "where" | "w" => match moment {
                Some(moment) => show_place(moment, all as usize),
                None => println!("the end"),
            },
            "quit" | "q" => return Answer::Quit,
            "help" | "h" | "?" => println!("{HELP}"),
            "" => {}
            _ => println!("there is no {verb:?}; `help` lists what there is"),
        }
        Answer::Stay
    }

    /// Forwards by going on, back by starting again.
    fn seek(&self, number: u64, moment: Option<&Moment<'_>>) -> Answer {
        let all = self.recording.trace.decisions.len() as u64;
        if number > all {
            println!("the trace has {all} decisions");
            return Answer::Stay;
        }
        match moment {
            Some(moment) if number > moment.decision() => Answer::Go(Goal::Decision(number)),
            _ => Answer::Restart(Goal::Decision(number)),
        }
    }

    fn peek(&self, here: u64, count: usize, moment: Option<&Moment<'_>>) {
        if let Some(moment) = moment {
            for (option, text) in moment.options().iter().enumerate() {
                let Occasion::Decision { logged, .. } = moment.occasion else { continue };
                let taken = logged.is_some_and(|it| it.chosen() == option);
                println!("  {} {option}: {text}", if taken { "->" } else { "  " });
            }
        }
        let decisions = self.recording.trace.decisions.iter().enumerate().skip(here as usize);
        for (index, decision) in decisions.take(count) {
            println!("  decision {index}: {decision:?}");
        }
        let events = self.recording.events.iter().filter(|event| event.decision > here);
        events.take(count).for_each(|event| println!("  {event}"));
    }

    fn verify(&mut self, here: u64, moment: Option<&Moment<'_>>) {
        let Some(moment) = moment else {
            let word = if self.good { "as recorded" } else { "not as recorded" };
            return println!("the end was {word}");
        };
        let recorded = self.recording.trace.mark_after(here as usize);
        let actual = moment.certificate();
        match recorded {
            Some(recorded) if recorded.fits(actual) => {
                println!("certificate {actual} after {here} decisions: as recorded ({recorded})");
            }
            Some(recorded) => {
                self.good = false;
                println!("certificate {actual} after {here} decisions: RECORDED WAS {recorded}");
            }
            None => println!("certificate {actual}; the trace has none to compare with"),
        }
    }
}

fn show_place(moment: &Moment<'_>, all: usize) {
    let thread = moment.thread();
    println!(
        "decision {} of {all}, step {}, {} ns, certificate {}",
        moment.decision(),
        moment.step(),
        moment.time_ns(),
        moment.certificate()
    );
    match &moment.occasion {
        Occasion::Event(event) => {
            println!("  after: thread {thread} {} at {}", event.what, event.site)
        }
        Occasion::Decision { logged, options, .. } => {
            if let Some(state) = moment.threads().get(thread as usize) {
                println!("  thread {thread} is about to {} at {}", state.operation, state.site);
            }
            let chosen = logged.map(|it| moment.options().get(it.chosen()).cloned());
            match chosen.flatten() {
                Some(chosen) => println!("  next, of {options}: {chosen}"),
                None => println!("  next, of {options}: the trace does not say"),
            }
        }
    }
}

fn show_state(moment: &Moment<'_>) {
    for thread in moment.threads() {
        let mut runs = String::new();
        runs.extend(thread.worker.map(|worker| format!(", worker {worker}")));
        runs.extend(thread.task.map(|task| format!(", task {task}")));
        println!("  thread {} ({}{runs}) {}", thread.number, thread.name, thread.state);
        if thread.state != "has ended" {
            println!("      {} at {}", thread.operation, thread.site);
        }
    }
    for (name, text) in moment.state() {
        println!("  {name} = {text}");
    }
}
