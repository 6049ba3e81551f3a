//! Transactions: several cells read and written as if nobody else were there.
//!
//! A transaction reads at a [snapshot](crate::Snapshot) and keeps what it writes to itself. When its
//! closure has ended it commits:
//!
//! 1. *Publish.* In the order of their ids, put a new version into each cell that it writes, on top of
//!    the one that it has read. They carry its [record](record), which is ACTIVE: nobody counts them.
//! 2. *Prepare.* Make the record PREPARING, pass a fence, and read the clock: PREPARED at that time.
//!    (Whoever needs the time reads the clock for it.)
//! 3. *Validate.* Pass a fence, and look whether what it has read is still the newest in each cell.
//! 4. *Commit.* Make the record COMMITTED. This is the moment at which everybody sees all of it.
//! 5. Let the snapshot go, write the stamps, prune, and retire the record.
//!
//! If somebody was faster (1, 3), or ended the transaction (anybody may until 4), it takes its versions
//! out again and starts over. Nothing is taken out in the order of anything: no cell is ever locked.
//! A panic of the closure comes before 1.
//!
//! **Why it is serializable.** Order transactions by their times, and those of one time by the fence
//! before 3. Let T have read in a cell what U replaced. If U's version was there when T validated, then
//! T has failed, unless U was ACTIVE: so U's fence of 2 comes after T's of 3, its time is not below T's,
//! and T is before U. Both could have read what the other replaced only if each fence of 2 came after
//! the other's of 3, which comes after its own of 2. (`transaction/write_skew`; an update of a single
//! cell is a transaction that validates nothing.)
//!
//! **Why a snapshot sees all or nothing.** A snapshot at `s` that meets a version of T sees it if T is
//! COMMITTED at `s` or before. If T is ACTIVE then its time will be above `s` ([`clock`](crate::clock)).
//! If it is PREPARED at `s` or before, it could still become either: the snapshot waits a little, and
//! then ends T. (`transaction/snapshot_is_never_mixed`)
//!
//! **Why nobody sees one write and misses another.** There is one word that says whether T is
//! committed, and every version of T was in its cell before. (`transaction/read_is_never_mixed`) A
//! plain read looks past T only if T is ACTIVE: if it looked past a T that has validated, then its thread
//! could have replaced before what T has read, and T would come after the read and before the
//! replacing. So it waits a little, and then ends T, as a snapshot does.
//! (`transaction/read_after_replacing`)

mod record;

use core::cell::RefCell;
use core::fmt;

use raddle_parking_lot::spin::Backoff;
use raddle_platform::{Native, Ordering, Platform};

use crate::cell::version::{Linked, Owned, Version};
use crate::cell::{Header, RawCell, Room, Versioned};
use crate::epoch::{Guard, pin_in};
use crate::snapshot::Snapshot;
use crate::{Conflict, TransactionError};

pub(crate) use record::{Record, State};

/// Runs `body` as a transaction: what it reads and writes through its argument happens at one
/// moment, or not at all.
///
/// ```
/// use raddle_versioned::{TransactionError, Versioned, transaction};
///
/// let (from, to): (Versioned<u32>, Versioned<u32>) = (Versioned::new(10), Versioned::new(0));
/// let transfer = |amount| {
///     transaction(|tx| {
///         let left = tx.read(&from).checked_sub(amount).ok_or("not enough")?;
///         tx.write(&from, left);
///         tx.write(&to, tx.read(&to) + amount);
///         Ok(left)
///     })
/// };
/// assert_eq!(transfer(7), Ok(3));
/// assert_eq!(transfer(7), Err(TransactionError::Rejected("not enough")));
/// assert_eq!((*from.read(), *to.read()), (3, 7));
/// ```
///
/// `body` runs again if somebody else has changed what it read; it must have no other effects. Each
/// time it sees one consistent state, also if it will have to run again. It may block: it is not
/// pinned.
///
/// Transactions are serializable: there is an order in which they could have run one after the
/// other, and it is the same for plain reads, updates and snapshots. Committing takes time in
/// proportion to what was read and written; a transaction that writes nothing commits nothing.
///
/// # Errors
/// What `body` returns as an error, or that others were in the way
/// [`transaction_retries`](raddle_platform::CellBounds::transaction_retries) times: see
/// [`TransactionError`]. Nothing has changed then.
///
/// # Panics
/// With what `body` panics with. Nothing has changed then. (As everything that replaces a value, also
/// with what the destructor of some earlier value panics with.)
pub fn transaction<'env, R, E>(
    body: impl FnMut(&Transaction<'env>) -> Result<R, E>,
) -> Result<R, TransactionError<E>> {
    transaction_in::<Native, R, E>(body)
}

/// [`transaction`] in the world `P`.
///
/// # Errors
/// As [`transaction`].
#[track_caller]
pub fn transaction_in<'env, P: Platform, R, E>(
    body: impl FnMut(&Transaction<'env, P>) -> Result<R, E>,
) -> Result<R, TransactionError<E>> {
    let _inside = P::called();
    run(body)
}

fn run<'env, P: Platform, R, E>(
    mut body: impl FnMut(&Transaction<'env, P>) -> Result<R, E>,
) -> Result<R, TransactionError<E>> {
    let mut backoff = Backoff::new();
    for attempt in 0..=P::CELL_BOUNDS.transaction_retries {
        let transaction = Transaction::begin();
        let result = body(&transaction).map_err(TransactionError::Rejected)?;
        match transaction.commit(attempt) {
            Ok(()) => return Ok(result),
            Err(Failed::Room) => return Err(TransactionError::TooManyVersions),
            Err(Failed::Conflict) => {}
        }
        backoff.pause::<P>();
    }
    Err(TransactionError::Conflict)
}

/// What the body of a [`transaction`](crate::transaction()) reads and writes through.
pub struct Transaction<'env, P: Platform = Native> {
    snapshot: Snapshot<P>,
    reads: RefCell<Vec<Read<'env, P>>>,
    writes: RefCell<Vec<Write<'env, P>>>,
    /// What was written and then written again. References to it may be around.
    replaced: RefCell<Vec<Owned<P>>>,
}

/// A cell, and the version of it that was seen.
struct Read<'env, P: Platform> {
    cell: &'env RawCell<P>,
    seen: *const Header<P>,
}

struct Write<'env, P: Platform> {
    cell: &'env RawCell<P>,
    seen: *const Header<P>,
    new: Owned<P>,
}

enum Failed {
    Conflict,
    Room,
}

impl<'env, P: Platform> Transaction<'env, P> {
    fn begin() -> Self {
        Self {
            snapshot: Snapshot::take(),
            reads: RefCell::default(),
            writes: RefCell::default(),
            replaced: RefCell::default(),
        }
    }

    /// The value of `cell`: what this transaction has written last, or what it was when the
    /// transaction began. O(cells written).
    #[track_caller]
    pub fn read<'a, T: Send + Sync + 'static>(&'a self, cell: &'env Versioned<T, P>) -> &'a T {
        let _inside = P::called();
        self.read_raw(cell)
    }

    fn read_raw<'a, T: Send + Sync + 'static>(&'a self, cell: &'env Versioned<T, P>) -> &'a T {
        let raw = cell.raw();
        let written =
            self.writes.borrow().iter().find(|write| is(write.cell, raw)).map(|w| w.new.as_ptr());
        let version = written.map_or_else(|| self.see(raw), <*mut Header<P>>::cast_const);
        // SAFETY: a version of this cell. What was written is kept until the transaction ends, what
        // was seen by its snapshot.
        let value = unsafe { Version::<T, P>::value(version) };
        let (pointer, open) = value.open();
        drop(open);
        // SAFETY: as above; versions are written by their destructors only.
        unsafe { &*pointer }
    }

    fn see(&self, cell: &'env RawCell<P>) -> *const Header<P> {
        let seen = self.snapshot.find(cell);
        let mut reads = self.reads.borrow_mut();
        // The same cell twice in a row is not worth more looking.
        if reads.last().is_none_or(|read| !is(read.cell, cell)) {
            reads.push(Read { cell, seen });
        }
        seen
    }

    /// Gives `cell` a value when the transaction commits. O(cells written).
    #[track_caller]
    pub fn write<T: Send + Sync + 'static>(&self, cell: &'env Versioned<T, P>, value: T) {
        let _inside = P::called();
        self.write_raw(cell, value);
    }

    fn write_raw<T: Send + Sync + 'static>(&self, cell: &'env Versioned<T, P>, value: T) {
        let raw = cell.raw();
        let seen = self.snapshot.find(raw);
        let new = Version::<T, P>::allocate(value, seen);
        let mut writes = self.writes.borrow_mut();
        match writes.iter_mut().find(|write| is(write.cell, raw)) {
            Some(write) => {
                let before = core::mem::replace(&mut write.new, new);
                self.replaced.borrow_mut().push(before);
            }
            None => writes.push(Write { cell: raw, seen, new }),
        }
    }

    /// Replaces the value of `cell` by what `update` makes of it.
    #[track_caller]
    pub fn update<T: Send + Sync + 'static>(
        &self,
        cell: &'env Versioned<T, P>,
        update: impl FnOnce(&T) -> T,
    ) {
        let _inside = P::called();
        self.write_raw(cell, update(self.read_raw(cell)));
    }

    fn commit(self, attempt: u32) -> Result<(), Failed> {
        let Self { snapshot, reads, writes, replaced: _ } = self;
        // What is not published is dropped after the guard: destructors are foreign code.
        let mut writes = writes.into_inner();
        if writes.is_empty() {
            return Ok(());
        }
        writes.sort_unstable_by_key(|write| core::cmp::Reverse(write.cell.id(snapshot.world())));
        let guard = pin_in::<P>();
        let mut commit = Commit {
            record: Box::into_raw(Box::new(Record::new(snapshot.number()))),
            published: Vec::with_capacity(writes.len()),
            guard: &guard,
        };
        // `commit` rolls back, if it is dropped before the end.
        while let Some(write) = writes.pop() {
            if let Err((write, failed)) = commit.publish(write, attempt) {
                writes.push(write);
                return Err(failed);
            }
        }
        let time = commit.validate(&reads.into_inner()).map_err(|Conflict| Failed::Conflict)?;
        // It would keep what was just replaced.
        drop(snapshot);
        commit.finish(time);
        Ok(())
    }
}

/// Whether both are the same cell.
fn is<P: Platform>(one: &RawCell<P>, other: &RawCell<P>) -> bool {
    core::ptr::eq(one, other)
}

impl<P: Platform> fmt::Debug for Transaction<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("reads", &self.reads.borrow().len())
            .field("writes", &self.writes.borrow().len())
            .finish_non_exhaustive()
    }
}

/// A transaction whose body has ended. No foreign code runs while it is there.
struct Commit<'a, 'env, P: Platform> {
    record: *mut Record<P>,
    published: Vec<(&'env RawCell<P>, *const Header<P>, *mut Header<P>)>,
    guard: &'a Guard<P>,
}

impl<'env, P: Platform> Commit<'_, 'env, P> {
    fn record(&self) -> &Record<P> {
        // SAFETY: retired when `self` is dropped.
        unsafe { &*self.record }
    }

    /// Puts a version into its cell, or gives it back.
    fn publish(
        &mut self,
        write: Write<'env, P>,
        attempt: u32,
    ) -> Result<(), (Write<'env, P>, Failed)> {
        match write.cell.room(self.guard) {
            Room::Yes => {}
            Room::Soon => return Err((write, Failed::Conflict)),
            Room::No => return Err((write, Failed::Room)),
        }
        let mut backoff = Backoff::new();
        // What is in the way is ended at the second look at the latest, and taken out at the third.
        for look in attempt..attempt + 4 {
            let Some(current) = write.cell.ready(look, self.guard) else {
                backoff.pause::<P>();
                continue;
            };
            if !core::ptr::eq(current.as_ptr(), write.seen) {
                break;
            }
            // SAFETY: not shared yet.
            unsafe { Header::set_record(write.new.as_ptr(), self.record) };
            if write.cell.publish(current, write.new.as_ptr()) {
                self.published.push((write.cell, write.seen, write.new.share()));
                return Ok(());
            }
        }
        Err((write, Failed::Conflict))
    }

    /// Commits if nothing that was read has changed. Returns the time.
    fn validate(&self, reads: &[Read<'env, P>]) -> Result<u64, Conflict> {
        let world = self.guard.participant().world();
        let record = self.record();
        if !record.prepare() {
            return Err(Conflict);
        }
        record.draw(&world.clock);
        let State::Prepared(time) = record.state() else { return Err(Conflict) };
        // ORDERING: pairs with the fence before another transaction's time (`draw`); stands between our
        // time and what is looked at now. No handshake to name: nothing is read on the strength of it
        // that was not acquired.
        // ORDERING-AUDIT: two transactions whose times differ take a third thread, which moves the clock
        // between them: too many executions for loom.
        P::fence(Ordering::SeqCst, &[]);
        let me = (time, record.number());
        for Read { cell, seen } in reads {
            let mine = self.published.iter().any(|(written, ..)| is(written, cell));
            if !mine && !cell.is_newest(*seen, me, self.guard) {
                return Err(Conflict);
            }
        }
        if record.commit(time) { Ok(time) } else { Err(Conflict) }
    }

    /// Writes the stamps, and lets go what nobody looks for any more.
    fn finish(&mut self, time: u64) {
        for (cell, _, new) in self.published.drain(..) {
            // SAFETY: shared, and freed when nobody is pinned any more.
            unsafe { (*new).set_stamp(time) };
            cell.prune(self.guard);
        }
    }
}

impl<P: Platform> Drop for Commit<'_, '_, P> {
    fn drop(&mut self) {
        if !self.published.is_empty() {
            self.record().give_up();
        }
        for (cell, seen, new) in self.published.drain(..) {
            // SAFETY: it was in the cell while we are pinned. If somebody else unlinks it first, that
            // one retires it.
            cell.unlink(unsafe { Linked::new(new) }, seen, self.guard);
        }
        // SAFETY: came from a box. Its versions have their stamps, or are in no cell any more, so
        // who is not pinned yet will not look for it.
        unsafe { self.guard.retire(Box::from_raw(self.record)) };
    }
}
