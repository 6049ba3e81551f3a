//! The last operations of an execution: for the report of a failure, and for the watchdog.
//!
//! The ring is written by the simulating thread alone and read by it and, when it hangs, by the
//! watchdog's thread. So its words are (real) atomics, all relaxed: they cost what plain stores
//! cost, and a reader sees at worst a torn entry.

use core::fmt::{self, Write};
use core::panic::Location;
use core::sync::atomic::Ordering;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicPtr, AtomicU64};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::faults::FaultKind;

/// How many operations are kept; a power of two.
const KEPT: u64 = 64;

/// The kind of object that an operation is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum On {
    Nothing,
    Atomic,
    Cell,
    Thread,
    Socket,
}

macro_rules! names {
    ($($variant:ident => $text:literal),+ $(,)?) => {
        /// What is done.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Name { $($variant),+ }

        const NAMES: &[&str] = &[$($text),+];
    };
}

names! {
    Load => "load", Store => "store", Swap => "swap",
    CompareExchange => "compare_exchange", CompareExchangeWeak => "compare_exchange_weak",
    FetchAdd => "fetch_add", FetchSub => "fetch_sub", FetchAnd => "fetch_and",
    FetchOr => "fetch_or", FetchXor => "fetch_xor", FetchMax => "fetch_max",
    FetchMin => "fetch_min", WithMut => "with_mut", Drop => "drop",
    Fence => "fence", Read => "read", Write => "write", SpinLoop => "spin_loop",
    Retry => "retry", Choose => "choose", Global => "global", Now => "now", Wall => "wall",
    Random => "u64", Fill => "fill", Wake => "wake", Park => "park",
    ParkUntil => "park_until", Spawn => "spawn", Join => "join", YieldNow => "yield_now",
    End => "end", Submit => "submit", Cancel => "cancel",
    Tick => "tick", Wait => "wait", Notify => "notify", Advance => "time advances",
    Spurious => "spurious wake", Listen => "listen", Accept => "accept", Connect => "connect",
    TakeError => "take_error", Recv => "recv", Peek => "peek", Send => "send",
    Shutdown => "shutdown", Close => "close", BlockUntilReady => "block_until_ready",
    Arrival => "a segment arrives", Fault => "a fault strikes", Boot => "a node starts",
    Crash => "a node crashes", Await => "wait for a node",
    DiskEnds => "an operation on files ends", BlockOn => "block_on", FileLength => "file_length",
}

impl Name {
    /// As the method is called.
    pub(crate) fn text(self) -> &'static str {
        NAMES[self as usize]
    }
}

/// An operation, and what it is on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    pub(crate) name: Name,
    pub(crate) on: On,
    /// The creation number of the object.
    pub(crate) object: u32,
    pub(crate) order: Option<Ordering>,
}

impl Operation {
    /// On nothing in particular.
    pub(crate) const fn plain(name: Name) -> Self {
        Self { name, on: On::Nothing, object: 0, order: None }
    }

    /// On the thread `number`.
    pub(crate) const fn thread(name: Name, number: u32) -> Self {
        Self { name, on: On::Thread, object: number, order: None }
    }

    /// On the socket with that descriptor; the call that makes one has none yet.
    pub(crate) fn socket(name: Name, descriptor: i32) -> Self {
        let on = if descriptor > 0 { On::Socket } else { On::Nothing };
        Self { name, on, object: u32::try_from(descriptor).unwrap_or(0), order: None }
    }

    fn pack(self, thread: u32, effect: Effect) -> u64 {
        let order = match self.order {
            None => 0,
            Some(Ordering::Relaxed) => 1,
            Some(Ordering::Acquire) => 2,
            Some(Ordering::Release) => 3,
            Some(Ordering::AcqRel) => 4,
            Some(_) => 5,
        };
        let small = self.name as u64 | (self.on as u64) << 8 | order << 12 | effect.tag() << 16;
        small | u64::from(thread & 0xfff) << 20 | u64::from(self.object) << 32
    }
}

/// What came of an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Effect {
    Done,
    Value(u64),
    Change(u64, u64),
    Refused { expected: u64, found: u64 },
    Spuriously(u64),
    Token,
    TimedOut,
    Woken,
    Errno(i32),
}

impl Effect {
    fn tag(self) -> u64 {
        match self {
            Self::Done => 0,
            Self::Value(_) => 1,
            Self::Change(..) => 2,
            Self::Refused { .. } => 3,
            Self::Spuriously(_) => 4,
            Self::Token => 5,
            Self::TimedOut => 6,
            Self::Woken => 7,
            Self::Errno(_) => 8,
        }
    }

    fn words(self) -> (u64, u64) {
        match self {
            Self::Value(value) | Self::Spuriously(value) => (value, 0),
            Self::Change(old, new) => (old, new),
            Self::Refused { expected, found } => (expected, found),
            Self::Errno(number) => (u64::from(number.unsigned_abs()), 0),
            _ => (0, 0),
        }
    }
}

/// Small numbers in decimal; of what may be an address only the low bits, which carry flags: an
/// address is another one in every process, and a report is the same in all.
struct Number(u64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            value if value < 1 << 32 => write!(f, "{value}"),
            value => write!(f, "@…{:x}", value & 0xf),
        }
    }
}

#[derive(Debug, Default)]
struct Entry {
    what: AtomicU64,
    first: AtomicU64,
    second: AtomicU64,
    site: AtomicPtr<Location<'static>>,
}

/// The ring.
#[derive(Debug)]
pub(crate) struct History {
    entries: [Entry; KEPT as usize],
    count: AtomicU64,
    /// What is to be said besides, by the number of the operation: of few, so a lock is cheap.
    besides: Mutex<VecDeque<(u64, String)>>,
}

impl Default for History {
    fn default() -> Self {
        Self {
            entries: core::array::from_fn(|_| Entry::default()),
            count: AtomicU64::new(0),
            besides: Mutex::default(),
        }
    }
}

impl History {
    pub(crate) fn clear(&self) {
        self.count.store(0, Ordering::Relaxed);
        self.besides().clear();
    }

    fn besides(&self) -> MutexGuard<'_, VecDeque<(u64, String)>> {
        self.besides.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says more of the last operation than its words can hold.
    pub(crate) fn explain(&self, text: String) {
        let Some(last) = self.count().checked_sub(1) else { return };
        let mut besides = self.besides();
        if besides.len() == KEPT as usize {
            besides.pop_front();
        }
        besides.push_back((last, text));
    }

    fn line(&self, index: u64, text: &mut String) {
        let besides = self.besides();
        let more = besides.iter().find(|(known, _)| *known == index);
        let more = more.map_or("", |(_, text)| text);
        self.entries[(index % KEPT) as usize].render(text, more);
    }

    /// How many operations there were.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Notes an operation that has taken effect.
    #[inline]
    pub(crate) fn push(
        &self,
        thread: u32,
        operation: Operation,
        effect: Effect,
        site: &'static Location<'static>,
    ) {
        let count = self.count.load(Ordering::Relaxed);
        let entry = &self.entries[(count % KEPT) as usize];
        let (first, second) = effect.words();
        entry.what.store(operation.pack(thread, effect), Ordering::Relaxed);
        entry.first.store(first, Ordering::Relaxed);
        entry.second.store(second, Ordering::Relaxed);
        entry.site.store(core::ptr::from_ref(site).cast_mut(), Ordering::Relaxed);
        self.count.store(count + 1, Ordering::Relaxed);
    }

    /// The last operations as lines, oldest first.
    pub(crate) fn tail(&self, lines: usize) -> Vec<String> {
        let count = self.count();
        let first = count.saturating_sub(KEPT.min(lines as u64));
        let line = |index: u64| {
            let mut text = String::new();
            self.line(index, &mut text);
            text.trim_end().to_owned()
        };
        (first..count).map(line).collect()
    }

    /// The tail as text, oldest first.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        let count = self.count();
        let first = count.saturating_sub(KEPT);
        if first > 0 {
            let _ = writeln!(text, "  … {first} earlier operations");
        }
        for index in first..count {
            self.line(index, &mut text);
        }
        text
    }
}

impl Entry {
    fn render(&self, text: &mut String, more: &str) {
        let what = self.what.load(Ordering::Relaxed);
        let (first, second) =
            (self.first.load(Ordering::Relaxed), self.second.load(Ordering::Relaxed));
        let site = self.site.load(Ordering::Relaxed);
        // SAFETY: null, or stored by `push` from a `&'static`.
        let Some(site) = (unsafe { site.cast_const().as_ref() }) else { return };
        let object = match what >> 8 & 0xf {
            1 => format!("atomic#{} ", what >> 32),
            2 => format!("cell#{} ", what >> 32),
            3 => format!("thread {} ", what >> 32),
            4 => format!("socket#{} ", what >> 32),
            _ => String::new(),
        };
        let name = NAMES.get((what & 0xff) as usize).copied().unwrap_or("?");
        let orders = ["", "(Relaxed)", "(Acquire)", "(Release)", "(AcqRel)", "(SeqCst)"];
        let order = orders.get((what >> 12 & 0xf) as usize).copied().unwrap_or("");
        let (a, b) = (Number(first), Number(second));
        let fault = (what & 0xff == Name::Fault as u64).then(|| FaultKind::ALL.get(first as usize));
        let effect = match what >> 16 & 0xf {
            1 if let Some(Some(kind)) = fault => format!("= {kind} {more}").trim_end().to_owned(),
            1 => format!("= {a}"),
            2 => format!("{a} -> {b}"),
            3 => format!("expected {a}, found {b}"),
            4 => format!("failed spuriously at {a}"),
            5 => "woken".to_owned(),
            6 => "timed out".to_owned(),
            7 => "woken for no reason".to_owned(),
            8 => format!("errno {a}"),
            _ => String::new(),
        };
        let operation = format!("{object}{name}{order}");
        let thread = what >> 20 & 0xfff;
        let _ = writeln!(text, "  thread {thread}  {operation:<40} {effect:<24} {}", Place(site));
    }
}

/// A site, as the compiler's messages write it.
pub(crate) struct Place<'a>(pub(crate) &'a Location<'a>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.0.file(), self.0.line(), self.0.column())
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.on {
            On::Nothing => {}
            On::Atomic => write!(f, "atomic#{} ", self.object)?,
            On::Cell => write!(f, "cell#{} ", self.object)?,
            On::Thread => write!(f, "thread {} ", self.object)?,
            On::Socket => write!(f, "socket#{} ", self.object)?,
        }
        f.write_str(NAMES[self.name as usize])?;
        match self.order {
            Some(order) => write!(f, "({order:?})"),
            None => Ok(()),
        }
    }
}
