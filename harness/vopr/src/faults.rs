//! What goes wrong: kinds of faults, how often each strikes, and how often it did.
//!
//! A kind that is off asks for no decision, so an execution without faults is the same as if there
//! were none. Each chance of one that is on is a decision of the log.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;
use std::collections::BTreeMap;

use raddle_platform::Site;
use serde::Serialize;

use crate::decisions::{Decision, Kind};
use crate::history::Name;
use crate::report::FailureKind;
use crate::seeds::{self, Purpose, Stream};
use crate::trace::Contents;
use crate::world::{Failed, State, World};

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident = $name:literal, $class:ident, $rate:expr;)+) => {
        /// What can go wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum FaultKind { $($(#[doc = $doc])+ $kind),+ }

        impl FaultKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kind),+];
            const NAMES: &[&str] = &[$($name),+];
            /// How often each strikes by default, in 65,536 chances.
            const RATES: &[u32] = &[$($rate),+];
            const CLASSES: &[FaultClass] = &[$(FaultClass::$class),+];
        }
    };
}

kinds! {
    /// A segment takes up to two thousand times as long as usual.
    Latency = "latency", Network, 4096;
    /// A segment is lost, once or some times, and comes with its retransmission.
    Retransmission = "retransmission", Network, 1024;
    /// A segment is held back until those of other connections have overtaken it. Counts whenever
    /// that happens.
    Reorder = "reorder", Network, 4096;
    /// Nothing comes through between two nodes for a while.
    Partition = "partition", Network, 256;
    /// Nothing comes through in one direction for a while.
    OneWayPartition = "one-way partition", Network, 256;
    /// A connection is reset, and what was in flight is lost.
    Reset = "reset", Network, 256;
    /// A connection is dead, and neither end is told.
    HalfOpen = "half-open", Network, 256;
    /// A receive gives fewer bytes than there are.
    ShortRead = "short read", Process, 8192;
    /// A send takes fewer bytes than there is room for.
    ShortWrite = "short write", Process, 8192;
    /// An operation in flight ends with `EINTR`.
    Interrupted = "EINTR", Process, 1024;
    /// A call gives `EAGAIN` although the socket was said to be ready.
    WouldBlock = "EAGAIN", Process, 2048;
    /// A cancel comes before the result that was there already: `ECANCELED`.
    Cancelled = "ECANCELED", Process, 16384;
    /// `accept` fails: the connection is gone, or there are too many descriptors.
    AcceptFails = "accept fails", Process, 2048;
    /// A driver's wait returns with nothing.
    EmptyWait = "empty wait", Process, 2048;
    /// A thread does not run for a stretch of time.
    Pause = "pause", Process, 32;
    /// The wall clock of a node jumps, forward or back; or both its clocks jump forward, as when the
    /// machine was suspended.
    ClockJump = "clock jump", Clock, 1024;
    /// The wall clock runs faster or slower than the monotonic one.
    ClockSkew = "clock skew", Clock, 65536;
    /// A rare path that the program asks for: [`Platform::buggify`](raddle_platform::Platform).
    Buggify = "buggify", Process, 16384;
    /// A [node](crate::node) loses its power, and starts again after a while.
    Crash = "crash", Node, 8;
    /// The program on a node is killed, and starts again after a while.
    Kill = "kill", Node, 8;
    /// A loss of power takes away a write, or a change of a name, that was not synced. Counts
    /// whenever that happens, and does whether it is on or not.
    LostWrite = "lost write", Disk, 65536;
    /// A loss of power leaves some sectors of a write that was not synced, or its length alone.
    /// Counts as [`LostWrite`](Self::LostWrite) does.
    TornWrite = "torn write", Disk, 65536;
    /// A read from a file gives fewer bytes than there are.
    ShortFileRead = "short file read", Disk, 4096;
    /// A write to a file takes fewer bytes than it was given.
    ShortFileWrite = "short file write", Disk, 4096;
    /// A write gives `ENOSPC` although there is room.
    DiskFull = "ENOSPC", Disk, 1024;
    /// A sync gives `EIO`. What it was to write is partly on the platter and counts as written: no
    /// later sync writes it.
    SyncFails = "fsync fails", Disk, 1024;
    /// Another operation on files gives `EIO`.
    DiskError = "EIO", Disk, 512;
    /// An operation on files takes a second, or half a minute.
    DiskHang = "disk hang", Disk, 1024;
    /// A bit of what is read has flipped on the platter.
    BitRot = "bit rot", Corruption, 1024;
    /// A sync writes a sector to the place of another, of any file.
    MisdirectedWrite = "misdirected write", Corruption, 1024;
    /// A sync says that it has written a sector, and has not.
    LostSyncedWrite = "lost synced write", Corruption, 1024;
    /// A sector can be read no more: `EIO`, until it is written again.
    LatentSector = "latent sector error", Corruption, 1024;
    /// A task that waits is polled although nobody woke it:
    /// [`Site::SPURIOUS_POLL`](raddle_platform::Site::SPURIOUS_POLL).
    SpuriousPoll = "spurious poll", Process, 4096;
}

/// What faults have in common: programs that bear one class may not bear another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultClass {
    /// Of the network.
    Network,
    /// Of the kernel and the machine below one program: what a call may always do.
    Process,
    /// Of clocks.
    Clock,
    /// Of nodes: they crash and start again.
    Node,
    /// Of disks that keep what was synced: a sound program loses nothing that it has promised.
    Disk,
    /// Of disks that do not: a program can detect it at best.
    Corruption,
}

/// How many kinds there are.
const KINDS: usize = FaultKind::ALL.len();

/// A certainty, as a rate.
pub const ALWAYS: u32 = 1 << 16;

impl FaultKind {
    /// In words.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// What it has in common with others.
    pub fn class(self) -> FaultClass {
        Self::CLASSES[self as usize]
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which faults an execution has, how often, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Faults {
    rates: [u32; KINDS],
    swarm: bool,
    calm_after: Option<(u64, Duration)>,
    liveness: Liveness,
}

/// How long a program may go on once the faults have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Liveness {
    /// Operations of the platform.
    pub steps: u64,
    /// Virtual time.
    pub virtual_time: Duration,
}

impl Default for Liveness {
    fn default() -> Self {
        Self { steps: 1_000_000, virtual_time: Duration::from_secs(24 * 3600) }
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self::none()
    }
}

impl Faults {
    /// None at all.
    pub fn none() -> Self {
        let liveness = Liveness::default();
        Self { rates: [0; KINDS], swarm: false, calm_after: None, liveness }
    }

    /// All that every program must bear, each at its default rate: those of the network and of the
    /// process. Clocks, nodes and disks come on top, by [`with_class`](Self::with_class).
    pub fn all() -> Self {
        Self::none().with_class(FaultClass::Network).with_class(FaultClass::Process)
    }

    /// All kinds of a class besides, each at its default rate.
    pub fn with_class(self, class: FaultClass) -> Self {
        Self::of(class).fold(self, Self::with)
    }

    /// None of a class.
    pub fn without_class(self, class: FaultClass) -> Self {
        Self::of(class).fold(self, Self::without)
    }

    fn of(class: FaultClass) -> impl Iterator<Item = FaultKind> {
        FaultKind::ALL.iter().copied().filter(move |kind| kind.class() == class)
    }

    /// One more kind, at its default rate.
    pub fn with(self, kind: FaultKind) -> Self {
        self.rate(kind, FaultKind::RATES[kind as usize])
    }

    /// One kind less.
    pub fn without(self, kind: FaultKind) -> Self {
        self.rate(kind, 0)
    }

    /// Sets how often a kind strikes, in 65,536 chances.
    pub fn rate(mut self, kind: FaultKind, rate: u32) -> Self {
        self.rates[kind as usize] = rate.min(ALWAYS);
        self
    }

    /// Each seed has a random half of the kinds, and each of those at a random part of its rate:
    /// some bugs show only where another fault does not come in between.
    pub fn swarm(mut self) -> Self {
        self.swarm = true;
        self
    }

    /// The faults end after so many steps, or at that virtual time, as if the program had called
    /// [`calm`].
    pub fn calm_after(mut self, steps: u64, virtual_time: Duration) -> Self {
        self.calm_after = Some((steps, virtual_time));
        self
    }

    /// How soon after the end of the faults the program must have ended.
    pub fn liveness(mut self, liveness: Liveness) -> Self {
        self.liveness = liveness;
        self
    }

    /// The kinds that are on; in a swarm, in some seeds.
    pub fn kinds(&self) -> impl Iterator<Item = FaultKind> {
        FaultKind::ALL.iter().copied().filter(|kind| self.rates[*kind as usize] > 0)
    }
}

/// All that matters, on one line: `latency=4096,reset=256;swarm;calm=1000/5000000`, the last in
/// steps and nanoseconds.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        for (index, kind) in self.kinds().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{kind}={}", self.rates[kind as usize])?;
        }
        if self.swarm {
            f.write_str(";swarm")?;
        }
        if let Some((steps, time)) = self.calm_after {
            write!(f, ";calm={steps}/{}", ns(time))?;
        }
        let Liveness { steps, virtual_time } = self.liveness;
        if self.liveness != Liveness::default() {
            write!(f, ";liveness={steps}/{}", ns(virtual_time))?;
        }
        Ok(())
    }
}

impl FromStr for Faults {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("no faults: {what:?}");
        let bound = |text: &str| {
            let (steps, ns) = text.split_once('/')?;
            Some((steps.parse().ok()?, Duration::from_nanos(ns.parse().ok()?)))
        };
        let mut faults = Self::none();
        let (rates, rest) = text.split_once(';').unwrap_or((text, ""));
        for rate in rates.split(',').filter(|rate| !rate.is_empty()) {
            let (name, rate) = rate.split_once('=').ok_or_else(|| wrong(rate))?;
            let kind = FaultKind::ALL.iter().find(|kind| kind.name() == name);
            let kind = *kind.ok_or_else(|| wrong(name))?;
            faults = faults.rate(kind, rate.parse().map_err(|_| wrong(rate))?);
        }
        for word in rest.split(';').filter(|word| !word.is_empty()) {
            faults = match word.split_once('=') {
                None if word == "swarm" => faults.swarm(),
                Some(("calm", text)) => {
                    let (steps, time) = bound(text).ok_or_else(|| wrong(word))?;
                    faults.calm_after(steps, time)
                }
                Some(("liveness", text)) => {
                    let (steps, virtual_time) = bound(text).ok_or_else(|| wrong(word))?;
                    faults.liveness(Liveness { steps, virtual_time })
                }
                _ => return Err(wrong(word)),
            };
        }
        Ok(faults)
    }
}

/// How often each kind of fault struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fired([u64; KINDS]);

impl Default for Fired {
    fn default() -> Self {
        Self([0; KINDS])
    }
}

impl Fired {
    /// How often `kind` did.
    pub fn of(&self, kind: FaultKind) -> u64 {
        self.0[kind as usize]
    }

    /// Both together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
        self
    }

    /// The kinds that are on and never struck: what a sweep says nothing about.
    pub fn never(&self, faults: &Faults) -> Vec<FaultKind> {
        faults.kinds().filter(|kind| self.of(*kind) == 0).collect()
    }

    /// Those that struck, by name.
    pub fn struck(&self) -> BTreeMap<&'static str, u64> {
        let mut table = self.table();
        table.retain(|_, count| *count > 0);
        table
    }

    fn table(&self) -> BTreeMap<&'static str, u64> {
        FaultKind::NAMES.iter().copied().zip(self.0).collect()
    }
}

impl Serialize for Fired {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.table().serialize(serializer)
    }
}

impl fmt::Display for Fired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let struck = FaultKind::ALL.iter().filter(|kind| self.of(**kind) > 0);
        for (index, kind) in struck.enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{kind} {}", self.of(*kind))?;
        }
        Ok(())
    }
}

/// The faults of one seed, and what came of them.
#[derive(Debug)]
pub(crate) struct Plan {
    rates: [u32; KINDS],
    pub(crate) calm_after: Option<(u64, Duration)>,
    liveness: Liveness,
    pub(crate) fired: Fired,
    /// When the faults ended: the step, and the virtual time.
    pub(crate) calm: Option<(u64, u64)>,
    /// The step at which time advanced last.
    pub(crate) time_came: u64,
}

/// When the faults have ended, threads that can run have so many steps until time advances.
const HASTE: u64 = 2000;

/// How far the wall clock jumps, in seconds.
const JUMPS: [i64; 6] = [-3600, -60, -1, 1, 60, 3600];

impl Plan {
    /// What depends on nothing but the seed: a replay has the same.
    pub(crate) fn of(faults: &Faults, seed: u64) -> Self {
        let mut stream = Stream::of(seed, Purpose::Fault, 2);
        let mut rates = faults.rates;
        for rate in &mut rates {
            let (on, part) = (stream.below(2) == 1, [0, 0, 2, 4][stream.below(4)]);
            if faults.swarm {
                *rate = if on { (*rate >> part).max(u32::from(*rate > 0)) } else { 0 };
            }
        }
        Self {
            rates,
            calm_after: faults.calm_after,
            liveness: faults.liveness,
            fired: Fired::default(),
            calm: None,
            time_came: 0,
        }
    }

    #[inline]
    pub(crate) fn is_on(&self, kind: FaultKind) -> bool {
        self.rates[kind as usize] > 0
    }
}

impl World {
    /// Counts a fault that has struck, and notes it among the operations.
    pub(crate) fn fired(&mut self, kind: FaultKind) {
        self.count_fault(kind);
        if self.tap.is_some() {
            let fields = [("kind".to_owned(), Contents::Text(kind.name().into()))];
            self.tell_fault(&fields);
        }
        self.remark(Name::Fault, kind as u64);
    }

    pub(crate) fn count_fault(&mut self, kind: FaultKind) {
        self.plan.fired.0[kind as usize] += 1;
    }

    /// Whether a fault strikes now (0 for no), and in which of `options - 1` ways.
    #[inline]
    pub(crate) fn strikes(&mut self, kind: FaultKind, options: usize) -> Result<usize, Failed> {
        if !self.plan.is_on(kind) {
            return Ok(0);
        }
        let chosen = self.draw_fault(kind, options)?;
        if chosen > 0 {
            self.fired(kind);
        }
        Ok(chosen)
    }

    /// As [`strikes`](Self::strikes), but does not count it.
    pub(crate) fn draw_fault(&mut self, kind: FaultKind, options: usize) -> Result<usize, Failed> {
        let rate = self.plan.rates[kind as usize];
        if rate == 0 || self.quiet || self.held > 0 {
            return Ok(0);
        }
        if self.tap.is_some() {
            self.before_decision(Kind::Fault, options)?;
        }
        let chosen = self.policy.rare(Kind::Fault, options, rate);
        let chosen = chosen.map_err(|misfit| self.diverged(&misfit))?;
        self.log(Decision::new(Kind::Fault, options, chosen), kind as u64 + 1);
        Ok(chosen)
    }

    /// The fault that the program asks for at a site of that name.
    pub(crate) fn fault_at(site: Site) -> FaultKind {
        if site == Site::SPURIOUS_POLL { FaultKind::SpuriousPoll } else { FaultKind::Buggify }
    }

    /// Whether the rare path at the site of that name is taken: at a quarter of all sites in a
    /// seed, now and then. (What is polled spuriously is so at any time.)
    pub(crate) fn buggify(&mut self, site: Site) -> Result<bool, Failed> {
        let kind = Self::fault_at(site);
        if kind == FaultKind::SpuriousPoll {
            return Ok(self.strikes(kind, 2)? > 0);
        }
        let Site(site) = site;
        let name = site.bytes().fold(0, |hash: u64, byte| {
            (hash.rotate_left(7) ^ u64::from(byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        if !seeds::derive(self.seed, Purpose::Fault, name | 1 << 63).is_multiple_of(4) {
            return Ok(false);
        }
        Ok(self.strikes(FaultKind::Buggify, 2)? > 0)
    }

    /// The distance of the node's wall clock from what it would be without faults.
    pub(crate) fn wall_error(&mut self) -> Result<i64, Failed> {
        if let jump @ 1.. = self.strikes(FaultKind::ClockJump, JUMPS.len() + 1)? {
            self.host().clocks.wall_offset_ns += JUMPS[jump - 1] * 1_000_000_000;
        }
        let clocks = self.host().clocks;
        if clocks.drift != 0 && self.plan.fired.of(FaultKind::ClockSkew) == 0 {
            self.fired(FaultKind::ClockSkew);
        }
        let drifted = self.now as i64 / 1_000_000 * clocks.drift;
        Ok(clocks.wall_offset_ns + drifted)
    }

    /// The machine of the current thread may have been suspended since its clock was read before.
    pub(crate) fn clock_jump(&mut self) -> Result<(), Failed> {
        if let jump @ 1.. = self.strikes(FaultKind::ClockJump, 4)? {
            self.jump(self.node(), 10_000_000 << (6 * jump));
        }
        Ok(())
    }

    /// The current thread may not run for a while: `true` if so, and it was decided who goes on.
    pub(crate) fn pause(&mut self) -> Result<bool, Failed> {
        if self.strikes(FaultKind::Pause, 2)? == 0 {
            return Ok(false);
        }
        let length = 10_000 << (3 * self.choose(Kind::Network, 6)?);
        self.agenda.add(self.now + length, crate::agenda::Event::Resume(self.current));
        self.set_blocked(State::Paused);
        self.decide(false)?;
        Ok(true)
    }

    /// The faults end: what is cut heals, who was paused goes on, which node a fault has crashed
    /// starts again. What was lost stays lost. From now the program has a limit.
    pub(crate) fn calm(&mut self) -> Result<(), Failed> {
        if self.plan.calm.is_some() {
            return Ok(());
        }
        self.plan.rates = [0; KINDS];
        self.plan.calm = Some((self.steps, self.now));
        self.spurious_wakes = false;
        self.plan.time_came = self.steps;
        self.net.heal();
        let paused = |thread: &u32| self.threads[*thread as usize].state == State::Paused;
        let paused: Vec<_> = (0..self.threads.len() as u32).filter(paused).collect();
        paused.into_iter().for_each(|thread| self.set_runnable(thread));
        let Liveness { steps, virtual_time } = self.plan.liveness;
        self.limits.steps = self.limits.steps.min(self.steps.saturating_add(steps));
        self.stop_at = self.next_stop();
        let end = Duration::from_nanos(self.now).saturating_add(virtual_time);
        self.limits.virtual_time = self.limits.virtual_time.min(end);
        self.restart_all()
    }

    /// Whether time advances when the faults have ended: that it does while somebody can run is as
    /// if a machine were overloaded, and no timeout would be long enough.
    pub(crate) fn is_idle(&self) -> bool {
        self.runnable.is_empty() || self.steps > self.plan.time_came + HASTE
    }

    /// A step that is not passed without looking: the end of the faults, or of the execution.
    #[cold]
    pub(crate) fn at_limit(&mut self) -> Result<(), Failed> {
        if self.plan.calm.is_none() && self.steps <= self.limits.steps {
            return self.calm();
        }
        Err(self.livelock(format!("after {} steps", self.limits.steps)))
    }

    #[cold]
    pub(crate) fn livelock(&mut self, end: String) -> Failed {
        let calm = self.plan.calm.map(|(step, now)| {
            let now = Duration::from_nanos(now);
            format!(", though the faults ended at step {step} (virtual time {now:?})")
        });
        let message = format!("livelock: no end {end}{}", calm.unwrap_or_default());
        self.fail(FailureKind::Livelock, message)
    }
}

/// Ends the faults of the simulation that the caller is in: what is cut heals, what is paused goes
/// on, what a fault has crashed starts again; what was lost stays lost. Nothing is spurious any more, and time advances only when nobody
/// can run, or somebody has run for long. From now the program must end within the bounds of
/// [`Faults::liveness`], or fails as a livelock.
///
/// # Panics
/// Outside of a simulation.
pub fn calm() {
    let calmed = crate::world::with(World::calm);
    calmed.unwrap_or_else(|Failed| crate::world::stop());
}
