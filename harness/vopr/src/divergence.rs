//! Where a replay leaves its trace, and what was there.

use core::fmt;
use std::rc::Rc;

use serde::Serialize;

use crate::decisions::{Certificate, Decision, INTERVAL, Kind, Known, Trace};
use crate::report::FailureKind;
use crate::strategy::Misfit;
use crate::world::World;

/// How a replay came to leave its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Case {
    /// Up to here everything was the same; here the execution asks for another decision.
    Event,
    /// The execution went another way before anybody noticed by its decisions: what it could have
    /// decided, by whom or after how many operations was other than recorded, and later it asked
    /// for another decision.
    CertificateFirst,
    /// All decisions fit, to the end, and yet the execution is another one.
    CertificateOnly,
}

/// A decision that somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// What is decided.
    pub kind: Kind,
    /// Among how many.
    pub options: usize,
    /// Which was taken, if it was.
    pub chosen: Option<usize>,
}

/// Where the symptom shows, if it is later than its cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Symptom {
    /// The decision.
    pub index: u64,
    /// The step.
    pub step: u64,
    /// What the trace has there; nothing after its end.
    pub expected: Option<Asked>,
    /// What the execution asks for; nothing after its end.
    pub actual: Option<Asked>,
}

/// A report of the place where a replay leaves its trace. It is the same each time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Divergence {
    /// How it came about.
    pub case: Case,
    /// The decision, counted from 0.
    pub index: u64,
    /// The step.
    pub step: u64,
    /// What the trace has; nothing after its end.
    pub expected: Option<Asked>,
    /// What the execution asks for; nothing after its end.
    pub actual: Option<Asked>,
    /// The certificate that the trace has after the decision, or before it if it was not taken.
    pub certificate_expected: Known,
    /// The one that the execution has.
    pub certificate_actual: Certificate,
    /// The prefix fingerprint: up to this many decisions trace and execution have this full
    /// certificate in common.
    pub agreed: Option<(u64, Certificate)>,
    /// The thread.
    pub thread: u32,
    /// Its name.
    pub thread_name: String,
    /// The worker that runs on it, if it has told.
    pub worker: Option<u64>,
    /// The task that runs on it, if it has told.
    pub task: Option<u64>,
    /// The operation that it is in.
    pub operation: String,
    /// Where that is in the source.
    pub site: String,
    /// What the execution could decide.
    pub enabled: Vec<String>,
    /// The last operations of the execution.
    pub last: Vec<String>,
    /// The next decisions of the trace.
    pub next: Vec<String>,
    /// The events that the trace has next, if it has any; who has them fills them in.
    pub next_events: Vec<String>,
    /// What it came to later.
    pub symptom: Option<Symptom>,
}

/// How many events before, and how many after.
const LAST: usize = 16;
/// See [`LAST`].
pub(crate) const NEXT: usize = 5;
/// Longer texts are cut.
const TEXT_CHARS: usize = 200;
/// Longer lists are cut.
const LIST: usize = 32;

fn cap(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn cap_all(mut list: Vec<String>) -> Vec<String> {
    let more = list.len().saturating_sub(LIST);
    list.truncate(LIST);
    let mut list: Vec<_> = list.iter().map(|text| cap(text)).collect();
    list.extend((more > 0).then(|| format!("… and {more} more")));
    list
}

impl Asked {
    fn of(decision: Decision) -> Self {
        let (kind, options) = (decision.kind(), decision.options());
        Self { kind, options, chosen: Some(decision.chosen()) }
    }
}

/// The trace that an execution replays, and whether it still goes the same way.
#[derive(Clone, Debug)]
pub(crate) struct Replayed {
    trace: Rc<Trace>,
    /// So many decisions are replayed.
    length: usize,
    /// The first decision after which the certificate was another one.
    parted: Option<Box<Divergence>>,
    /// So many decisions have led to a certificate that is known to be the same.
    agreed: usize,
    /// Whether certificates are compared.
    compares: bool,
}

impl Replayed {
    pub(crate) fn new(trace: Rc<Trace>, length: usize, compares: bool) -> Self {
        let length = length.min(trace.decisions.len());
        Self { trace, length, parted: None, agreed: 0, compares }
    }

    /// So many decisions led to this certificate here and there, if the trace has certificates.
    fn agreed(&self) -> Option<(u64, Certificate)> {
        let full = self.trace.certificate_after(self.agreed)?;
        (!self.trace.prefixes.is_empty()).then_some((self.agreed as u64, full))
    }

    /// Where the execution has left the trace, if it has.
    pub(crate) fn parted(&self) -> Option<&Divergence> {
        self.parted.as_deref()
    }

    /// The decision `index` of the trace.
    pub(crate) fn next(&self, index: usize) -> Option<Decision> {
        self.trace.decisions.get(index).copied().filter(|_| index < self.length)
    }

    /// Whether the certificate after the decision `index` is the recorded one, as far as that is
    /// known.
    #[inline]
    fn fits(&mut self, index: usize, certificate: Certificate) -> bool {
        if !self.compares || self.parted.is_some() || index >= self.length {
            return true;
        }
        let prefixes = &self.trace.prefixes;
        match prefixes.mark(index) {
            Some(mark) if mark != certificate.mark() => return false,
            Some(_) => {}
            None => return true,
        }
        let count = index + 1;
        if count.is_multiple_of(INTERVAL) || count == self.length {
            match prefixes.full(count) {
                Some(full) if full == certificate => self.agreed = count,
                Some(_) => return false,
                None => {}
            }
        }
        true
    }

    fn known(&self, count: usize) -> Known {
        self.trace.mark_after(count).unwrap_or(Known::Nothing)
    }

    fn next_decisions(&self, from: usize) -> Vec<String> {
        let end = self.length.min(from + NEXT);
        let line = |index| format!("decision {index}: {:?}", self.trace.decisions[index]);
        (from..end).map(line).collect()
    }
}

impl World {
    /// A decision has been logged: is the execution still the one of the trace?
    #[inline]
    pub(crate) fn compare(&mut self, decision: Decision) {
        let Some(replayed) = &mut self.replayed else { return };
        let index = self.decisions.len() - 1;
        if !replayed.fits(index, self.certificate) {
            self.part(index, decision);
        }
    }

    /// The certificate has become another one.
    #[cold]
    fn part(&mut self, index: usize, decision: Decision) {
        let asked = Some(Asked::of(decision));
        let report = self.divergence(Case::CertificateOnly, index, index + 1, asked, asked);
        if let Some(replayed) = &mut self.replayed {
            replayed.parted = Some(Box::new(report));
        }
    }

    fn divergence(
        &self,
        case: Case,
        index: usize,
        counted: usize,
        expected: Option<Asked>,
        actual: Option<Asked>,
    ) -> Divergence {
        let replayed = self.replayed.as_ref();
        let thread = self.describe_current();
        let enabled = match actual {
            Some(asked) => self.options(asked.kind, asked.options),
            None => Vec::new(),
        };
        Divergence {
            case,
            index: index as u64,
            step: self.steps,
            expected,
            actual,
            certificate_expected: replayed.map_or(Known::Nothing, |it| it.known(counted)),
            certificate_actual: self.certificate,
            agreed: replayed.and_then(Replayed::agreed),
            thread: self.current,
            thread_name: cap(&thread.as_ref().map(|it| it.name.clone()).unwrap_or_default()),
            worker: thread.as_ref().and_then(|it| it.worker),
            task: thread.as_ref().and_then(|it| it.task),
            operation: cap(&thread.as_ref().map(|it| it.operation.clone()).unwrap_or_default()),
            site: cap(&thread.map(|it| it.site).unwrap_or_default()),
            enabled: cap_all(enabled),
            last: cap_all(self.watch.history.tail(LAST)),
            next: replayed.map(|it| it.next_decisions(index)).unwrap_or_default(),
            next_events: Vec::new(),
            symptom: None,
        }
    }

    fn describe_current(&self) -> Option<crate::trace::ThreadState> {
        (self.current < self.threads.len() as u32).then(|| self.describe(self.current))
    }

    /// The report of a decision that the trace does not have, or of an end that it has not come to.
    pub(crate) fn misfit(&mut self, misfit: &Misfit) -> Box<Divergence> {
        let index = self.decisions.len();
        let expected = self.replayed.as_ref().and_then(|it| it.next(index)).map(Asked::of);
        let actual = match *misfit {
            Misfit::Asks { kind, options } => Some(Asked { kind, options, chosen: None }),
            Misfit::Ended => None,
        };
        let parted = self.replayed.as_mut().and_then(|it| it.parted.take());
        match parted {
            Some(mut report) => {
                report.case = Case::CertificateFirst;
                let (index, step) = (index as u64, self.steps);
                report.symptom = Some(Symptom { index, step, expected, actual });
                report
            }
            None => Box::new(self.divergence(Case::Event, index, index, expected, actual)),
        }
    }

    /// The execution is over: did the trace end with it, and was it the same all the way?
    pub(crate) fn check_replay(&mut self) {
        if self.divergence.is_some() {
            return;
        }
        // Whoever abandons an execution knows that it does not come to the end of its trace.
        let abandoned = self.failure.as_ref().is_some_and(|it| it.kind == FailureKind::Abandoned);
        if let Err(misfit) = self.policy.end()
            && !abandoned
        {
            self.diverged(&misfit);
        } else if let Some(report) = self.replayed.as_mut().and_then(|it| it.parted.take()) {
            self.fail(FailureKind::Divergence, report.to_string());
            self.divergence = Some(report);
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.chosen {
            Some(chosen) => write!(f, "{:?} {chosen} of {}", self.kind, self.options),
            None => write!(f, "{:?} with {} options", self.kind, self.options),
        }
    }
}

impl Divergence {
    /// Whether the execution asks for more than the trace has.
    pub fn is_unexpected_end(&self) -> bool {
        let (expected, actual) = match &self.symptom {
            Some(symptom) => (symptom.expected, symptom.actual),
            None => (self.expected, self.actual),
        };
        expected.is_none() && actual.is_some()
    }

    /// What happened, in one line.
    fn summary(&self) -> String {
        let words = |index, expected: Option<Asked>, actual: Option<Asked>| match (expected, actual)
        {
            (Some(expected), Some(actual)) => format!(
                "divergence at decision {index}: the log has {expected}, the execution asks for \
                 {actual}"
            ),
            (None, Some(actual)) => format!(
                "unexpected end: the log has {index} decisions, and the execution asks for \
                 another ({actual})"
            ),
            _ => format!("the execution ended after {index} decisions, the log has more"),
        };
        let index = self.index;
        match (self.case, &self.symptom) {
            (Case::CertificateFirst, Some(it)) => format!(
                "{}, but it went another way before: the certificate differs from decision {index} \
                 on",
                words(it.index, it.expected, it.actual)
            ),
            (Case::Event, _) => words(index, self.expected, self.actual),
            _ => format!(
                "divergence at decision {index}: only the certificate differs; all decisions fit, \
                 and yet what could have been decided, by whom or after how many operations is \
                 other than recorded"
            ),
        }
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.summary())?;
        let asked = |asked: &Option<Asked>, none: &str| match asked {
            Some(asked) => asked.to_string(),
            None => none.to_owned(),
        };
        writeln!(f, "  decision     {} (step {})", self.index, self.step)?;
        writeln!(f, "  expected     {}", asked(&self.expected, "the log has ended"))?;
        writeln!(f, "  actual       {}", asked(&self.actual, "the execution has ended"))?;
        writeln!(f, "  certificate expected {}", self.certificate_expected)?;
        writeln!(f, "  certificate actual   {}", self.certificate_actual)?;
        match self.agreed {
            Some((count, full)) => {
                writeln!(f, "  prefix       the same up to decision {count}: {full}")?;
            }
            None => writeln!(f, "  prefix       the trace has no certificates")?,
        }
        write!(f, "  thread       {} ({})", self.thread, self.thread_name)?;
        if let Some(worker) = self.worker {
            write!(f, ", worker {worker}")?;
        }
        if let Some(task) = self.task {
            write!(f, ", task {task}")?;
        }
        writeln!(f, "\n  in           {} at {}", self.operation, self.site)?;
        writeln!(f, "  enabled      {}", self.enabled.join(", "))?;
        if let Some(Symptom { index, step, expected, actual }) = &self.symptom {
            writeln!(
                f,
                "  later        at decision {index} (step {step}): expected {}, actual {}",
                asked(expected, "the log has ended"),
                asked(actual, "the execution has ended")
            )?;
        }
        writeln!(f, "  the last operations:")?;
        for line in &self.last {
            writeln!(f, "  {line}")?;
        }
        writeln!(f, "  the trace goes on with:")?;
        for line in self.next.iter().chain(&self.next_events) {
            writeln!(f, "    {line}")?;
        }
        if self.next.is_empty() {
            writeln!(f, "    nothing")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::Replayed;
    use crate::decisions::{Certificate, Decision, INTERVAL, Kind, Trace};

    /// Of a certificate four bits are known after each decision, and all after some.
    #[test]
    fn a_certificate_counts_as_a_whole_where_it_is_known() {
        let (recorded, other) = (Certificate::from_bits(0x10), Certificate::from_bits(0x20));
        assert_eq!(recorded.mark(), other.mark());
        let all = INTERVAL + 3;
        let mut trace = Trace::new(7, vec![Decision::new(Kind::Schedule, 2, 0); all]);
        for count in 1..=all {
            let full = count.is_multiple_of(INTERVAL).then_some(recorded);
            trace.prefixes.restore(recorded.mark(), full);
        }
        trace.prefixes.end(recorded);
        let trace = Rc::new(trace);
        let mut part = Replayed::new(Rc::clone(&trace), INTERVAL, true);
        assert!(part.fits(INTERVAL, Certificate::from_bits(0x21)), "so far it is not replayed");
        let mut replayed = Replayed::new(trace, usize::MAX, true);
        assert!(replayed.fits(INTERVAL - 2, other), "nobody knows");
        assert!(!replayed.fits(INTERVAL - 2, Certificate::from_bits(0x21)), "its mark is another");
        assert!(!replayed.fits(INTERVAL - 1, other), "here it is known");
        assert_eq!(replayed.agreed(), Some((0, Certificate::default())));
        assert!(replayed.fits(INTERVAL - 1, recorded));
        assert_eq!(replayed.agreed(), Some((INTERVAL as u64, recorded)));
        assert!(replayed.fits(all - 2, other) && !replayed.fits(all - 1, other), "and at the end");
        assert!(replayed.fits(all, other), "what comes after the trace is not compared");
    }
}
