//! The read-write lock's word.
//!
//! ```text
//!  63                 7   6          5        4        3       2       1            0
//! +---------------------+----------+--------+--------+-------+-------+------------+--------+
//! |  number of readers  | STARVING | WAKING | PARKED | QLOCK | DRAIN | UPGRADABLE | WRITER |
//! +---------------------+----------+--------+--------+-------+-------+------------+--------+
//! ```
//!
//! | bit        | meaning                           | set by                   | cleared by          |
//! |------------|-----------------------------------|--------------------------|---------------------|
//! | WRITER     | a writer has the lock, or a claim | that writer; a granter   | that writer         |
//! | UPGRADABLE | an upgradable reader has the lock | that reader; a granter   | that reader         |
//! | DRAIN      | the last reader tells the writer  | that writer              | that writer         |
//! | QLOCK      | somebody changes the queue        | anybody, if it was clear | the same            |
//! | PARKED     | the queue is not empty            | the holder of QLOCK      | the holder of QLOCK |
//! | WAKING     | a woken waiter is on its way      | the holder of QLOCK      | that waiter         |
//! | STARVING   | the first node must be let in     | that waiter, with QLOCK  | the granter         |
//! | readers    | so many read                      | each reader; a granter   | each reader         |
//!
//! | WRITER | UPGRADABLE | DRAIN | readers | who is inside                     | who may come in          |
//! |--------|------------|-------|---------|-----------------------------------|--------------------------|
//! | 0      | 0          | 0     | any     | the readers                       | anybody; a writer claims |
//! | 0      | 1          | 0     | any     | the readers, an upgradable reader | readers                  |
//! | 1      | 0          | 0     | 0       | a writer                          | nobody                   |
//! | 1      | 0          | 0     | some    | the readers; a writer looks       | recursive readers        |
//! | 1      | 0          | 1     | some    | the readers; a writer sleeps      | recursive readers        |
//! | 1      | 0          | 1     | 0       | a writer, about to be told        | nobody                   |
//! | 1      | 1          | any   | any     | never                             |                          |
//! | 0      | any        | 1     | any     | never                             |                          |
//!
//! In all rows STARVING keeps newcomers out. PARKED without QLOCK and WAKING, and a first node
//! that may come in: never.
//!
//! # The protocol
//!
//! A writer takes the lock in two steps. It *claims* WRITER, for which it contends with other
//! writers and with upgradable readers; from then on new readers stay outside. Then it *drains*:
//! it waits until the readers that were there have left. In the queue are thus only those who wait
//! for WRITER or UPGRADABLE to go away, and a reader leaves by one subtraction: if it was the last
//! one and DRAIN is set, it gives the lock to the draining writer, whose node it finds in
//! `drainer`. There is only one, and no lock is needed for it.
//!
//! Releasing WRITER or UPGRADABLE wakes the first in the queue as the mutex does: QLOCK is taken in
//! the same step, [`settle`](RawRwLock::settle) unlinks and wakes the first node, which owns WAKING
//! until it has decided, and may lose to a newcomer for a while, until STARVING. A woken reader
//! that gets in lets in those behind it (settles again): while there is a reader, all readers at
//! the head of the queue are granted the lock directly, and the writer behind them is woken to
//! make its claim. So the queue's order is kept, readers come in together, and only a reader that
//! arrives when no writer has a claim overtakes anybody.
//!
//! A claim that is given up (timeout, dropped future) is a release of WRITER, and wakes the readers
//! that queued behind it.
//!
//! # Orderings
//!
//! As in the mutex; all writes to the word are read-modify-writes. In addition:
//!
//! - A reader's subtraction releases, and whoever finds no readers acquires: what they read is not
//!   overwritten too early (`rwlock/a_writer_comes_after_the_readers`).
//! - Setting DRAIN releases the node and `drainer`; the last reader acquires before it looks
//!   (`rwlock/the_last_reader_wakes_the_writer`).

use core::ptr;

use raddle_platform::{Atomic, AtomicInt, Event, Object, ObjectKind, Ordering, Platform, RaceCell};

use crate::patience::Backoff;
use crate::queue::{Chain, GRANTED, List, Node, WOKEN, grant_one, lock_bit, try_lock_bit};

pub(super) const WRITER: usize = 1;
pub(super) const UPGRADABLE: usize = 2;
const DRAIN: usize = 4;
const QLOCK: usize = 8;
const PARKED: usize = 16;
pub(super) const WAKING: usize = 32;
pub(super) const STARVING: usize = 64;
pub(super) const READER: usize = 128;

/// How the lock is taken. The value is what taking it adds to the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Mode {
    Read = READER,
    Write = WRITER,
    Upgradable = UPGRADABLE,
}

impl Mode {
    /// What keeps a waiter of this mode outside. (A writer that claims does not mind readers.)
    const fn obstacles(self) -> usize {
        match self {
            Self::Read => WRITER,
            Self::Write | Self::Upgradable => WRITER | UPGRADABLE,
        }
    }

    fn of_want(want: usize) -> Self {
        match want {
            READER => Self::Read,
            WRITER => Self::Write,
            _ => Self::Upgradable,
        }
    }
}

/// The number of readers, times [`READER`].
const fn readers(word: usize) -> usize {
    word & !(READER - 1)
}

/// A read-write lock without a value.
pub(crate) struct RawRwLock<P: Platform> {
    word: P::AtomicUsize,
    /// Accessed under QLOCK only.
    list: RaceCell<List<P>, P>,
    /// The draining writer's node: written by it before it sets DRAIN, read by the last reader.
    drainer: RaceCell<Drainer<P>, P>,
}

struct Drainer<P: Platform>(*const Node<P>);

// SAFETY: the address of a node that any thread may wake.
unsafe impl<P: Platform> Send for Drainer<P> {}

impl RawRwLock<raddle_platform::Native> {
    pub(super) const fn new() -> Self {
        Self {
            word: raddle_platform::native::AtomicUsize::new(0),
            list: RaceCell::new(List::EMPTY),
            drainer: RaceCell::new(Drainer(ptr::null())),
        }
    }
}

impl<P: Platform> RawRwLock<P> {
    #[track_caller]
    pub(super) fn new_in() -> Self {
        Self {
            word: P::AtomicUsize::new(0),
            list: RaceCell::new_in(List::EMPTY),
            drainer: RaceCell::new_in(Drainer(ptr::null())),
        }
    }

    /// What events call this lock.
    #[inline]
    pub(super) fn object(&self) -> Object {
        Object { kind: ObjectKind::RwLock, number: self.word.number() }
    }

    /// Tells that the caller has the lock, alone or with others.
    #[inline]
    pub(super) fn tell_acquired(&self, shared: bool) {
        P::event(&Event::Acquired { object: self.object(), shared });
    }

    /// Tells that the caller is about to unlock.
    #[inline]
    pub(super) fn tell_released(&self) {
        P::event(&Event::Released { object: self.object() });
    }

    /// The word as it is now, for a look from outside.
    pub(super) fn peek(&self) -> usize {
        self.word.load(Ordering::Relaxed)
    }

    /// Takes the lock if it is free for `mode` and open; a writer only claims it. `mine` is WAKING
    /// if the caller owns that bit, and is cleared then. Returns whether it did.
    #[inline]
    pub(super) fn try_take(&self, mode: Mode, mine: usize) -> bool {
        self.try_take_unless(mode, mode.obstacles() | STARVING, mine)
    }

    /// Takes the lock if `mode` can have it at once, without a drain.
    #[inline]
    pub(super) fn try_now(&self, mode: Mode, mine: usize) -> bool {
        let readers = if mode == Mode::Write { readers(usize::MAX) } else { 0 };
        self.try_take_unless(mode, mode.obstacles() | STARVING | readers, mine)
    }

    /// Takes a lock that nobody has, and nobody waits for, for writing.
    #[inline]
    pub(super) fn try_write_idle(&self) -> bool {
        // ORDERING: pairs with the releasing read-modify-writes in `release` and `unlock_read`,
        // for the value.
        self.word.compare_exchange(0, WRITER, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[inline]
    fn try_take_unless(&self, mode: Mode, obstacles: usize, mine: usize) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & obstacles == 0 {
            let next = self.add(word, mode) & !mine;
            // ORDERING: pairs with the releasing read-modify-writes in `release` and
            // `unlock_read`, for the value.
            match self.word.compare_exchange_weak(word, next, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(found) => word = found,
            }
            P::retry("rwlock take");
        }
        false
    }

    /// A reader that may hold the lock already: only a writer who is inside keeps it out.
    pub(super) fn try_read_recursive(&self) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while readers(word) != 0 || word & (WRITER | STARVING) == 0 {
            // ORDERING: as in `try_take_unless`.
            match self.word.compare_exchange_weak(
                word,
                self.add(word, Mode::Read),
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(found) => word = found,
            }
            P::retry("rwlock take");
        }
        false
    }

    #[inline]
    fn add(&self, word: usize, mode: Mode) -> usize {
        word.checked_add(mode as usize).unwrap_or_else(|| too_many_readers())
    }

    #[inline]
    pub(super) fn unlock_read(&self) {
        // ORDERING: what was read happens before a writer changes it: pairs with the acquiring
        // looks at the number of readers in `try_now`, `no_readers` and below.
        let before = self.word.fetch_sub(READER, Ordering::Release);
        if readers(before) == READER && before & DRAIN != 0 {
            self.wake_drainer();
        }
    }

    /// The last reader has left and a writer sleeps. It does not return before it is told, so the
    /// lock is still there.
    #[cold]
    #[inline(never)]
    fn wake_drainer(&self) {
        // ORDERING: pairs with the releasing compare-exchange in `set_drain`, for the node; and
        // with the subtractions of the other readers, which reach the writer through its verdict.
        self.word.load(Ordering::Acquire);
        // SAFETY: the writer wrote it before it set DRAIN, and does not write it again before its
        // verdict. As the one who found no readers left, the caller is alone here.
        let node = unsafe { self.drainer.with(|drainer| drainer.0) };
        // SAFETY: the node is alive until the verdict, and in no list.
        unsafe { grant_one(node) };
    }

    /// Whether the readers have left. The caller has claimed WRITER.
    #[inline]
    pub(super) fn no_readers(&self) -> bool {
        // ORDERING: pairs with the releasing subtraction in `unlock_read`.
        readers(self.word.load(Ordering::Acquire)) == 0
    }

    /// Lets the last reader grant `node`; returns whether there is a reader. The caller has claimed
    /// WRITER.
    ///
    /// # Safety
    /// The node is prepared and lives until its verdict, or until `clear_drain` returned true.
    pub(super) unsafe fn set_drain(&self, node: *const Node<P>) -> bool {
        // SAFETY: the holder of the claim is the only one here while DRAIN is clear.
        unsafe { self.drainer.with_mut(|drainer| drainer.0 = node) };
        let mut word = self.word.load(Ordering::Relaxed);
        while readers(word) != 0 {
            // ORDERING: pairs with the acquiring load in `wake_drainer`, for the node and its
            // address.
            match self.word.compare_exchange_weak(
                word,
                word | DRAIN,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(found) => word = found,
            }
            P::retry("rwlock drain");
        }
        // ORDERING: pairs with the releasing subtraction in `unlock_read`.
        self.word.load(Ordering::Acquire);
        false
    }

    /// Takes the node back; returns false if there are no readers any more, and a verdict is owed.
    pub(super) fn clear_drain(&self) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while readers(word) != 0 {
            match self.word.compare_exchange_weak(
                word,
                word & !DRAIN,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(found) => word = found,
            }
            P::retry("rwlock drain");
        }
        false
    }

    /// The verdict is there.
    pub(super) fn drained(&self) {
        self.word.fetch_and(!DRAIN, Ordering::Relaxed);
    }

    /// Takes UPGRADABLE away and WRITER in one step; `only_if_alone`, if there are no readers.
    /// Returns whether it did.
    pub(super) fn upgrade(&self, only_if_alone: bool) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while !only_if_alone || readers(word) == 0 {
            // ORDERING: pairs with the releasing subtraction in `unlock_read`.
            match self.word.compare_exchange_weak(
                word,
                word - UPGRADABLE + WRITER,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(found) => word = found,
            }
            P::retry("rwlock upgrade");
        }
        false
    }

    #[inline]
    pub(super) fn unlock_write(&self) {
        // ORDERING: pairs with the acquiring compare-exchanges that take the lock, for the value.
        let alone = self.word.compare_exchange(WRITER, 0, Ordering::Release, Ordering::Relaxed);
        if alone.is_err() {
            self.release(WRITER, 0);
        }
    }

    #[inline]
    pub(super) fn unlock_upgradable(&self) {
        // ORDERING: as in `unlock_write`.
        let alone = self.word.compare_exchange(UPGRADABLE, 0, Ordering::Release, Ordering::Relaxed);
        if alone.is_err() {
            self.release(UPGRADABLE, 0);
        }
    }

    /// Exchanges what the caller holds, WRITER or UPGRADABLE, for less: `held` is taken from the
    /// word and `kept` is added. Wakes whoever that lets in.
    #[cold]
    #[inline(never)]
    pub(super) fn release(&self, held: usize, kept: usize) {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let work = word & (PARKED | QLOCK | WAKING) == PARKED;
            let next = (word - held + kept) | if work { QLOCK } else { 0 };
            // ORDERING: releases the value to whoever takes the lock next; acquires, for the case
            // of work, the nodes as the releasing compare-exchange in `settle` left them. If there
            // is no work and nothing is kept this is the last access: the lock may be gone.
            match self.word.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) if work => break,
                Ok(_) => return,
                Err(found) => word = found,
            }
            P::retry("rwlock release");
        }
        // SAFETY: QLOCK is held since the exchange above.
        unsafe { self.settle(self.list(), 0, 0).publish() };
    }

    /// Unlocks, and hands the lock to the first in the queue if there is one.
    pub(super) fn unlock_write_fair(&self) {
        let list = self.lock_queue();
        // SAFETY: QLOCK is held. The first node is treated as a starving one.
        unsafe { self.settle(list, WRITER, STARVING).publish() };
    }

    /// Lets in whoever may come in now that the caller, who was woken, is inside.
    pub(super) fn relay(&self) {
        if self.word.load(Ordering::Relaxed) & PARKED != 0 {
            let list = self.lock_queue();
            // SAFETY: QLOCK is held.
            unsafe { self.settle(list, 0, 0).publish() };
        }
    }

    /// Takes QLOCK, and with it the list.
    pub(super) fn lock_queue(&self) -> List<P> {
        lock_bit::<P>(&self.word, QLOCK);
        // SAFETY: QLOCK was just taken.
        unsafe { self.list() }
    }

    /// As [`lock_queue`](Self::lock_queue), unless the lock is free for `mode`: then takes it.
    pub(super) fn lock_queue_or_take(&self, mode: Mode, mine: usize) -> Option<List<P>> {
        let mut backoff = Backoff::new();
        loop {
            if self.try_take(mode, mine) {
                return None;
            }
            let word = self.word.load(Ordering::Relaxed);
            if word & QLOCK != 0 {
                backoff.pause::<P>();
            } else if try_lock_bit::<P>(&self.word, QLOCK, word) {
                // SAFETY: QLOCK was just taken.
                return Some(unsafe { self.list() });
            }
        }
    }

    /// # Safety
    /// The caller holds QLOCK.
    unsafe fn list(&self) -> List<P> {
        // SAFETY: QLOCK excludes everybody else.
        unsafe { self.list.with(|list| *list) }
    }

    /// Clears QLOCK, changes the flags (`clear` first, then `set`), puts `list` back, and unlinks
    /// whoever can come in. The result is to be published; nothing else may follow.
    ///
    /// # Safety
    /// The caller holds QLOCK, and `list` is the list that it got with it. What is in `clear` is
    /// the caller's; STARVING is in `set` only for the first node, and if nobody else can be.
    pub(super) unsafe fn settle(&self, mut list: List<P>, clear: usize, set: usize) -> Settled<P> {
        let mut settled = Settled { granted: Chain::new(GRANTED), woken: Chain::new(WOKEN) };
        let mut change = (clear, set);
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let flags = (word & !change.0) | change.1;
            // SAFETY: QLOCK is held.
            let (next, let_in) = match unsafe { verdicts(list, flags) } {
                Verdicts::Grant { count, next } => (next, count),
                Verdicts::Wake => {
                    // Only this holder of QLOCK wakes, so WAKING stays set whatever else changes.
                    // SAFETY: QLOCK is held, and the list not empty.
                    unsafe { list.pop_into(&mut settled.woken) };
                    change.1 |= WAKING;
                    continue;
                }
                Verdicts::Nothing => {
                    // SAFETY: QLOCK excludes everybody else.
                    unsafe { self.list.with_mut(|kept| *kept = list) };
                    let next = flags & !(QLOCK | PARKED);
                    let left = if list.is_empty() { next & !STARVING } else { next | PARKED };
                    (left, 0)
                }
            };
            // ORDERING: releases the list to the next holder of QLOCK, and the value if `clear`
            // holds WRITER; acquires, for those who are granted the lock, what those before them
            // did with the value.
            match self.word.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) if let_in == 0 => return settled,
                Ok(_) => {
                    for _ in 0..let_in {
                        // SAFETY: QLOCK is still held; so many nodes were counted.
                        unsafe { list.pop_into(&mut settled.granted) };
                    }
                    change = (0, 0);
                    word = next;
                }
                Err(found) => word = found,
            }
            P::retry("rwlock settle");
        }
    }
}

#[cold]
#[inline(never)]
fn too_many_readers() -> ! {
    panic!("too many readers")
}

/// What is to be done for the first in the queue.
enum Verdicts {
    /// So many get the lock, which makes the word `next`; QLOCK stays set.
    Grant {
        count: usize,
        next: usize,
    },
    /// The first one is to try.
    Wake,
    Nothing,
}

/// # Safety
/// The caller holds the QLOCK that guards `list`.
unsafe fn verdicts<P: Platform>(list: List<P>, flags: usize) -> Verdicts {
    // SAFETY: QLOCK is held, so the nodes are alive.
    let mode_of = |node: *const Node<P>| Mode::of_want(unsafe { (*node).want() });
    let Some(first) = list.front() else { return Verdicts::Nothing };
    let mode = mode_of(first);
    // Whoever is on its way comes first, and sees to the rest.
    if flags & mode.obstacles() != 0 || flags & (WAKING | STARVING) == WAKING {
        return Verdicts::Nothing;
    }
    if mode == Mode::Read && (flags & STARVING != 0 || readers(flags) != 0) {
        // The readers at the head come in together.
        // SAFETY: QLOCK is held.
        let count = unsafe { list.count_while(|node| mode_of(node) == Mode::Read) };
        return Verdicts::Grant { count, next: (flags & !STARVING) + count * READER };
    }
    if flags & STARVING != 0 {
        return Verdicts::Grant { count: 1, next: (flags & !STARVING) + mode as usize };
    }
    Verdicts::Wake
}

/// Those who left the queue, and wait for their verdict.
#[must_use = "a waiter whose verdict is never published waits for ever"]
pub(super) struct Settled<P: Platform> {
    granted: Chain<P>,
    woken: Chain<P>,
}

impl<P: Platform> Settled<P> {
    /// # Safety
    /// As [`Chain::publish`].
    pub(super) unsafe fn publish(self) {
        // SAFETY: the caller's promise. WAKING keeps everybody but the first from being woken.
        unsafe {
            // First, because it is to have its verdict before foreign code runs. It is woken last.
            let _woken = self.woken.publish_only();
            self.granted.publish();
        }
    }
}
