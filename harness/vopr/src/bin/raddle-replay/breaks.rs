//! Where an execution is to stop.

use core::fmt;
use core::str::FromStr;

use raddle_vopr::trace::{Moment, Occasion};

/// A place to stop at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// Before this decision.
    Decision(u64),
    /// At the first moment at or after this step.
    Step(u64),
    /// At the first moment at or after this virtual time, in nanoseconds.
    Time(u64),
    /// When so many events were observed: operations, and what the program told.
    Event(u64),
    /// Whenever this thread has done something.
    Thread(u32),
    /// Whenever the program tells something of this task.
    Task(u64),
    /// At operations of this name, or what the program tells of this kind.
    Kind(String),
    /// At operations whose text contains this.
    Operation(String),
    /// At sites that contain this.
    Site(String),
}

impl FromStr for Break {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, value) = text.split_once([':', ' ']).unwrap_or(("decision", text));
        let value = value.trim();
        let number = || {
            value.parse::<u64>().map_err(|_| format!("{value:?} is no number: write `{kind}:N`"))
        };
        let small = || u32::try_from(number()?).map_err(|_| format!("{value} is too large"));
        match kind {
            "decision" => Ok(Self::Decision(number()?)),
            "step" => Ok(Self::Step(number()?)),
            "time" | "tick" => Ok(Self::Time(number()?)),
            "event" => Ok(Self::Event(number()?)),
            "thread" => Ok(Self::Thread(small()?)),
            "task" => Ok(Self::Task(number()?)),
            "kind" => Ok(Self::Kind(value.to_owned())),
            "op" => Ok(Self::Operation(value.to_owned())),
            "site" => Ok(Self::Site(value.to_owned())),
            _ => Err(format!(
                "{text:?} is no place to stop: write decision:N, step:N, time:NANOSECONDS, \
                 event:N, thread:N, task:N, kind:NAME, op:TEXT or site:TEXT"
            )),
        }
    }
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decision(number) => write!(f, "decision:{number}"),
            Self::Step(number) => write!(f, "step:{number}"),
            Self::Time(number) => write!(f, "time:{number}"),
            Self::Event(number) => write!(f, "event:{number}"),
            Self::Thread(number) => write!(f, "thread:{number}"),
            Self::Task(number) => write!(f, "task:{number}"),
            Self::Kind(name) => write!(f, "kind:{name}"),
            Self::Operation(text) => write!(f, "op:{text}"),
            Self::Site(text) => write!(f, "site:{text}"),
        }
    }
}

/// A place, and whether the execution at hand has been there. (Some are passed only once.)
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) place: Break,
    pub(crate) passed: bool,
    /// How many events there were.
    events: u64,
}

impl Watched {
    pub(crate) fn new(place: Break) -> Self {
        Self { place, passed: false, events: 0 }
    }

    /// The execution starts again.
    pub(crate) fn reset(&mut self) {
        (self.passed, self.events) = (false, 0);
    }

    /// Whether the execution is there now.
    pub(crate) fn is_hit(&mut self, moment: &Moment<'_>) -> bool {
        let event = match moment.occasion {
            Occasion::Event(event) => Some(event),
            Occasion::Decision { .. } => None,
        };
        self.events += u64::from(event.is_some());
        let mut once = |there: bool| there && !core::mem::replace(&mut self.passed, there);
        match &self.place {
            Break::Decision(number) => event.is_none() && moment.decision() == *number,
            Break::Step(number) => once(moment.step() >= *number),
            Break::Time(number) => once(moment.time_ns() >= *number),
            Break::Event(number) => event.is_some() && self.events == *number,
            Break::Thread(number) => event.is_some_and(|event| event.thread == *number),
            Break::Task(number) => event.is_some_and(|event| event.field("task") == Some(*number)),
            Break::Kind(name) => event.is_some_and(|event| event.kind() == name),
            Break::Operation(part) => {
                event.is_some_and(|event| event.what.to_string().contains(part))
            }
            Break::Site(part) => event.is_some_and(|event| event.site.contains(part)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Break;

    #[test]
    fn places_are_read_as_they_are_written() {
        let all = ["decision:7", "step:8", "time:9", "event:6", "thread:1", "task:2", "kind:park"];
        for text in all.into_iter().chain(["op:atomic#3 store", "site:queue.rs:14"]) {
            assert_eq!(text.parse::<Break>().map(|it| it.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("12".parse(), Ok(Break::Decision(12)));
        for wrong in ["", "step:", "step:x", "where:1", "thread:99999999999"] {
            assert!(wrong.parse::<Break>().is_err(), "{wrong}");
        }
    }
}
