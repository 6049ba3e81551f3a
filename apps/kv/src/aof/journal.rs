//! What waits to be written, and who waits for it.
//!
//! Everything is under one lock, which is taken with shards locked and never the other way round.
//! Three counts are beside it, for a quick look: of records that came, of those that are settled
//! (what the policy promises of them holds), and of bytes that wait. They are written under the
//! lock, and carry no data: who read a value has locked its shard after the record of that value
//! was counted, so it sees that count or a later one.

use core::fmt;
use std::collections::BTreeSet;

use raddle::on::{Arc, Atomic, Condvar, Instant, Mutex, Native, Ordering, Platform, fs};

use super::effect::{Effects, Reading, clock_difference};
use super::mark::Mark;
use super::rewrite::Rewritten;
use crate::config::Fsync;

/// When more bytes wait, connections wait for the writer.
const BACKLOG_MAX: usize = 64 << 20;

/// See the [module](super).
pub struct Journal<P: Platform = Native> {
    state: Mutex<State<P>, P>,
    /// For the writer.
    work: Condvar<P>,
    /// For connections.
    progress: Condvar<P>,
    /// For the rewriter.
    wishes: Condvar<P>,
    policy: Fsync,
    recorded: P::AtomicU64,
    settled: P::AtomicU64,
    backlog: P::AtomicUsize,
    failed: P::AtomicBool,
}

struct State<P: Platform> {
    /// Payloads, each with its length (4) in front.
    waiting: Vec<u8>,
    recorded: u64,
    settled: u64,
    /// Whether the writer sleeps.
    idle: bool,
    /// Whether the writer syncs and nobody is to wait for it.
    syncing: bool,
    ending: bool,
    doubt: Option<Doubt>,
    rewrite: Rewrite<P>,
    /// The file that is written to, and what is in it.
    file: Arc<fs::File<P>, P>,
    end: Mark,
    base_size: u64,
    rewrite_failed: bool,
}

/// What does not last, after a failure.
#[derive(Debug, Default)]
struct Doubt {
    keys: BTreeSet<Box<[u8]>>,
    /// Whether all keys were removed.
    all: bool,
}

/// How far a rewrite is.
enum Rewrite<P: Platform> {
    None,
    Wanted,
    Running,
    Ready(Box<Rewritten<P>>),
}

/// How the file is, for `INFO`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Status {
    /// Its length, in bytes.
    pub size: u64,
    /// Its length after the last rewrite or the start, in bytes.
    pub base_size: u64,
    /// Whether it is being rewritten.
    pub rewriting: bool,
    /// Whether the last rewrite failed.
    pub rewrite_failed: bool,
    /// Whether a write or sync has failed.
    pub failed: bool,
}

/// What was run is not known to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsettled;

/// What the writer has to do.
pub(super) enum Work<P: Platform> {
    /// Records were put into its buffer: so many.
    Batch(u64),
    /// What was written is to be made to last.
    Sync,
    /// Another file takes over.
    Switch(Box<Rewritten<P>>),
    /// Nothing more comes.
    End,
}

impl<P: Platform> fmt::Debug for Journal<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl<P: Platform> Journal<P> {
    /// An empty journal of a file in which there is what `end` says.
    pub(super) fn new(policy: Fsync, file: Arc<fs::File<P>, P>, end: Mark) -> Self {
        let state = State {
            waiting: Vec::new(),
            recorded: 0,
            settled: 0,
            idle: false,
            syncing: false,
            ending: false,
            doubt: None,
            rewrite: Rewrite::None,
            file,
            end,
            base_size: end.end,
            rewrite_failed: false,
        };
        Self {
            state: Mutex::new_in(state),
            work: Condvar::new_in(),
            progress: Condvar::new_in(),
            wishes: Condvar::new_in(),
            policy,
            recorded: P::AtomicU64::new(0),
            settled: P::AtomicU64::new(0),
            backlog: P::AtomicUsize::new(0),
            failed: P::AtomicBool::new(false),
        }
    }

    /// Writes down what one command has done: all parts together, or none of it, will be there
    /// after the next start. Empties the parts.
    pub(crate) fn record<'e>(&self, parts: impl IntoIterator<Item = &'e mut Effects>) {
        let mut parts = parts.into_iter().filter(|effects| !effects.is_empty());
        let Some(first) = parts.next() else { return };
        // Almost all commands are in one shard.
        let mut rest: Vec<&mut Effects> = parts.collect();
        let timed = first.is_timed() || rest.iter().any(|effects| effects.is_timed());
        let difference = if timed { clock_difference::<P>() } else { 0 };
        let bytes =
            rest.iter().fold(first.as_bytes().len(), |sum, part| sum + part.as_bytes().len());

        let mut state = self.state.lock();
        let start = state.waiting.len();
        state.waiting.extend_from_slice(&(8 + bytes as u32).to_le_bytes());
        state.waiting.extend_from_slice(&difference.to_le_bytes());
        state.waiting.extend_from_slice(first.as_bytes());
        for effects in &rest {
            state.waiting.extend_from_slice(effects.as_bytes());
        }
        let State { doubt, waiting, .. } = &mut *state;
        if let Some(doubt) = doubt {
            doubt.add(&waiting[start..]);
            waiting.clear();
        } else {
            state.recorded += 1;
            self.recorded.store(state.recorded, Ordering::Relaxed);
            self.backlog.store(state.waiting.len(), Ordering::Relaxed);
        }
        let wake = core::mem::take(&mut state.idle);
        drop(state);
        if wake {
            self.work.notify_one();
        }
        first.forget();
        rest.iter_mut().for_each(|effects| effects.forget());
    }

    /// Whether writing has failed.
    #[inline]
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// After a failure: whether what this key has now may not be there after the next start.
    pub(crate) fn is_in_doubt(&self, key: &[u8]) -> bool {
        let state = self.state.lock();
        let doubt = state.doubt.as_ref().filter(|_| self.policy == Fsync::Always);
        doubt.is_some_and(|doubt| doubt.all || doubt.keys.contains(key))
    }

    /// Waits until what the policy promises holds for all that was written down so far.
    ///
    /// # Errors
    /// If writing has failed: it will not hold before the next start.
    pub(crate) fn settle(&self) -> Result<(), Unsettled> {
        if self.has_failed() {
            return Err(Unsettled);
        }
        let target = self.recorded.load(Ordering::Relaxed);
        let behind = self.backlog.load(Ordering::Relaxed) > BACKLOG_MAX;
        if self.settled.load(Ordering::Relaxed) >= target && !behind {
            return Ok(());
        }
        let mut state = self.state.lock();
        let waits = |state: &mut State<P>| {
            let behind = state.waiting.len() > BACKLOG_MAX;
            state.doubt.is_none() && (behind || state.settled < target && !state.syncing)
        };
        self.progress.wait_while(&mut state, waits);
        if state.doubt.is_some() && state.settled < target { Err(Unsettled) } else { Ok(()) }
    }

    /// The writer syncs what was written, or has done so: meanwhile nobody waits for it.
    pub(super) fn set_syncing(&self, syncing: bool) {
        self.state.lock().syncing = syncing;
        if syncing {
            self.progress.notify_all();
        }
    }

    /// How the file is.
    pub fn status(&self) -> Status {
        let state = self.state.lock();
        Status {
            size: state.end.end,
            base_size: state.base_size,
            rewriting: !matches!(state.rewrite, Rewrite::None),
            rewrite_failed: state.rewrite_failed,
            failed: state.doubt.is_some(),
        }
    }

    /// The file that is written to, and what is in it.
    pub(super) fn file(&self) -> (Arc<fs::File<P>, P>, Mark) {
        let state = self.state.lock();
        (state.file.clone(), state.end)
    }

    /// What the writer has to do next, with the records in `batch`; waits for it until `due`.
    pub(super) fn next_work(&self, batch: &mut Vec<u8>, due: Option<Instant>) -> Work<P> {
        batch.clear();
        let mut state = self.state.lock();
        loop {
            if let Rewrite::Ready(_) = &state.rewrite {
                let rewrite = core::mem::replace(&mut state.rewrite, Rewrite::Running);
                let Rewrite::Ready(rewritten) = rewrite else { unreachable!("it was looked at") };
                return Work::Switch(rewritten);
            }
            if !state.waiting.is_empty() {
                core::mem::swap(&mut state.waiting, batch);
                self.backlog.store(0, Ordering::Relaxed);
                return Work::Batch(state.recorded);
            }
            if state.ending {
                return Work::End;
            }
            state.idle = true;
            match due {
                None => self.work.wait(&mut state),
                Some(due) => {
                    if self.work.wait_until(&mut state, due).timed_out() {
                        state.idle = false;
                        return Work::Sync;
                    }
                }
            }
            state.idle = false;
        }
    }

    /// The first `count` records are settled, in a file that ends there now.
    pub(super) fn written(&self, count: u64, end: Mark) {
        let mut state = self.state.lock();
        state.end = end;
        state.settled = count;
        self.settled.store(count, Ordering::Relaxed);
        drop(state);
        self.progress.notify_all();
    }

    /// Writing has failed, with the records in `batch` in doubt.
    pub(super) fn fail(&self, batch: &[u8]) {
        let mut state = self.state.lock();
        let mut doubt = Doubt::default();
        doubt.add(batch);
        doubt.add(&state.waiting);
        state.waiting = Vec::new();
        state.doubt = Some(doubt);
        self.backlog.store(0, Ordering::Relaxed);
        self.failed.store(true, Ordering::Relaxed);
        drop(state);
        self.progress.notify_all();
        self.wishes.notify_all();
    }

    /// No more commands are run.
    pub(crate) fn end(&self) {
        self.state.lock().ending = true;
        self.work.notify_one();
        self.wishes.notify_all();
    }

    /// Asks for a rewrite; `false` if one is on its way.
    pub(crate) fn ask_for_rewrite(&self) -> bool {
        let mut state = self.state.lock();
        let free = matches!(state.rewrite, Rewrite::None);
        if free {
            state.rewrite = Rewrite::Wanted;
            drop(state);
            self.wishes.notify_all();
        }
        free
    }

    /// Waits until a rewrite is wanted; `false` if none will be any more.
    pub(super) fn wait_for_wish(&self) -> bool {
        let mut state = self.state.lock();
        self.wishes.wait_while(&mut state, |state| {
            !state.ending && state.doubt.is_none() && !matches!(state.rewrite, Rewrite::Wanted)
        });
        let wanted = !state.ending && state.doubt.is_none();
        if wanted {
            state.rewrite = Rewrite::Running;
        }
        wanted
    }

    /// Whether a rewrite is of no use any more.
    pub(super) fn is_ending(&self) -> bool {
        let state = self.state.lock();
        state.ending || state.doubt.is_some()
    }

    /// Hands a rewritten file to the writer.
    pub(super) fn hand_over(&self, rewritten: Box<Rewritten<P>>) {
        let mut state = self.state.lock();
        state.rewrite = Rewrite::Ready(rewritten);
        state.idle = false;
        drop(state);
        self.work.notify_one();
    }

    /// A rewrite has ended; with a file that is written to from now on, if it succeeded.
    pub(super) fn rewrite_ended(&self, file: Option<(Arc<fs::File<P>, P>, Mark)>) {
        let mut state = self.state.lock();
        state.rewrite = Rewrite::None;
        state.rewrite_failed = file.is_none();
        let Some((file, end)) = file else { return };
        let before = core::mem::replace(&mut state.file, file);
        state.end = end;
        state.base_size = end.end;
        drop(state);
        drop(before);
    }
}

impl Doubt {
    /// Adds the keys of payloads that have their lengths in front.
    fn add(&mut self, payloads: &[u8]) {
        for payload in Payloads(payloads) {
            for effect in Reading::new(payload).into_iter().flatten().flatten() {
                match effect.key() {
                    Some(key) => drop(self.keys.insert(key.into())),
                    None => self.all = true,
                }
            }
        }
    }
}

/// Payloads that have their lengths (4) in front.
pub(super) struct Payloads<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Payloads<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk()?;
        let (payload, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        self.0 = rest;
        Some(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use raddle_loom::{Loom, Model, Report, Verdict};
    use raddle_scenarios::scope;

    /// A failed execution cannot be unwound safely, so the process ends with it.
    fn fail(report: &Report) {
        if let Verdict::Failed(failure) = &report.verdict {
            eprintln!("{failure}");
        }
        std::process::exit(101);
    }

    fn journal(policy: Fsync) -> Journal<Loom> {
        let options = fs::OpenOptions::new().read(true).write(true).create(true);
        let file = options.open::<Loom>("file").expect("a file");
        Journal::new(policy, Arc::new_in(file), Mark { id: 1, end: 32, number: 1 })
    }

    /// A writer that gives up after so many batches.
    fn write(journal: &Journal<Loom>, batches: usize) {
        let mut batch = Vec::new();
        for _ in 0..batches {
            match journal.next_work(&mut batch, None) {
                Work::Batch(count) => {
                    journal.written(count, Mark { id: 1, end: 32 + count, number: 1 + count });
                }
                Work::End => return,
                Work::Sync | Work::Switch(_) => unreachable!("nobody asks for it"),
            }
        }
        if let Work::Batch(_) = journal.next_work(&mut batch, None) {
            journal.fail(&batch);
        }
    }

    fn record(journal: &Journal<Loom>, key: &[u8]) {
        let mut effects = Effects::default();
        effects.remove(key);
        journal.record([&mut effects]);
    }

    fn check(bound: usize, clients: usize, batches: usize) {
        let program = move || {
            let journal = journal(Fsync::Always);
            let settled = scope::<Loom, _>(|threads| {
                threads.spawn(|| write(&journal, batches));
                let others: Vec<_> = (1..clients)
                    .map(|_| {
                        threads.spawn(|| {
                            record(&journal, b"b");
                            journal.settle().is_ok()
                        })
                    })
                    .collect();
                record(&journal, b"a");
                let mut settled = usize::from(journal.settle().is_ok());
                settled += others.into_iter().map(|other| usize::from(other.join())).sum::<usize>();
                journal.end();
                settled
            });
            let state = journal.state.lock();
            assert!(settled as u64 <= state.settled, "nobody is told too early");
            if batches >= clients {
                assert_eq!((settled, state.settled), (clients, clients as u64));
            }
            if let Some(doubt) = &state.doubt {
                assert!(settled < clients && !doubt.keys.is_empty(), "somebody is told");
            }
        };
        let report = Model::new().preemption_bound(Some(bound)).on_failure(fail).check(program);
        assert_eq!(report.verdict, Verdict::Bounded(bound), "{} executions", report.executions);
    }

    #[test]
    fn who_waits_is_told_when_it_is_written() {
        check(2, 1, 1);
        check(1, 2, 2);
    }

    #[test]
    fn who_waits_is_told_when_writing_has_failed() {
        check(2, 1, 0);
        check(1, 2, 1);
    }
}
