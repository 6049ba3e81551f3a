//! The last operations of an execution, for the report of a failure.
//!
//! loom says that it found a deadlock or a race; it does not say how the threads got there. The
//! ring of operations kept here does: who did what to which object, at which line, with which
//! outcome, in the order in which it took effect; and for each thread, the operation it is stuck
//! in.

use core::fmt::{self, Write};
use core::panic::Location;
use core::sync::atomic::Ordering;
use std::collections::VecDeque;

/// How many operations are kept: enough for the tail that matters, cheap to copy at each panic.
const KEPT: usize = 96;

/// One operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) thread: usize,
    pub(crate) operation: Operation,
    pub(crate) effect: Effect,
    pub(crate) site: &'static Location<'static>,
}

/// What is done, and to what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    /// The platform's method. A name of several words is a remark: a part of an operation, which
    /// is no hit of its site.
    pub(crate) name: &'static str,
    /// The kind of object and its creation number within the execution.
    pub(crate) object: Option<(&'static str, u32)>,
    pub(crate) order: Option<Ordering>,
    /// The second ordering of a compare-exchange.
    pub(crate) failure: Option<Ordering>,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Effect {
    /// Nothing to tell.
    Done,
    /// In words.
    Text(&'static str),
    /// This value was read, written or returned.
    Value(u64),
    /// The value was replaced.
    Change(u64, u64),
    /// A compare-exchange found another value than it expected.
    Refused { expected: u64, found: u64 },
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((kind, number)) = self.object {
            write!(f, "{kind}#{number} ")?;
        }
        f.write_str(self.name)?;
        match (self.order, self.failure) {
            (Some(order), Some(failure)) => write!(f, "({order:?}, {failure:?})"),
            (Some(order), None) => write!(f, "({order:?})"),
            (None, _) => Ok(()),
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Done => Ok(()),
            Self::Text(text) => f.write_str(text),
            Self::Value(value) => write!(f, "= {}", Number(value)),
            Self::Change(old, new) => write!(f, "{} -> {}", Number(old), Number(new)),
            Self::Refused { expected, found } => {
                write!(f, "expected {}, found {}", Number(expected), Number(found))
            }
        }
    }
}

/// Small numbers in decimal; addresses and bit patterns in hexadecimal.
struct Number(u64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1 << 16 { write!(f, "{}", self.0) } else { write!(f, "{:#x}", self.0) }
    }
}

/// The ring, and what each thread is in the middle of.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    records: VecDeque<Record>,
    dropped: u64,
    pending: Vec<Option<(Operation, &'static Location<'static>)>>,
}

impl History {
    pub(crate) fn clear(&mut self) {
        self.records.clear();
        self.pending.clear();
        self.dropped = 0;
    }

    /// `thread` begins an operation. Others may act before it takes effect.
    pub(crate) fn begin(
        &mut self,
        thread: usize,
        operation: Operation,
        site: &'static Location<'static>,
    ) {
        if self.pending.len() <= thread {
            self.pending.resize(thread + 1, None);
        }
        self.pending[thread] = Some((operation, site));
    }

    /// `thread`'s operation has taken effect.
    pub(crate) fn end(&mut self, record: Record) {
        if let Some(pending) = self.pending.get_mut(record.thread) {
            *pending = None;
        }
        if self.records.len() == KEPT {
            self.records.pop_front();
            self.dropped += 1;
        }
        self.records.push_back(record);
    }

    /// The tail as text, oldest first.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        let site =
            |site: &Location<'_>| format!("{}:{}:{}", site.file(), site.line(), site.column());
        if self.dropped > 0 {
            let _ = writeln!(text, "  … {} earlier operations", self.dropped);
        }
        for record in &self.records {
            let operation = record.operation.to_string();
            let effect = record.effect.to_string();
            let (thread, site) = (record.thread, site(record.site));
            let _ = writeln!(text, "  thread {thread}  {operation:<40} {effect:<24} {site}");
        }
        for (thread, pending) in self.pending.iter().enumerate() {
            if let Some((operation, at)) = pending {
                let _ = writeln!(text, "  thread {thread} is in {operation}, {}", site(at));
            }
        }
        text
    }
}
