//! A cell: a chain of versions, from the newest.

use raddle_platform::{Atomic, AtomicInt, Ordering, Platform};

use super::version::{Header, retire};
use crate::epoch::Guard;
use crate::transaction::State;
use crate::world::World;

/// Whether somebody unlinks old versions; the rest of `chain` is how many there are.
const PRUNING: u32 = 1;

/// What of a cell does not depend on the type of the value. See the [module](super).
pub(crate) struct RawCell<P: Platform> {
    head: P::AtomicPtr<Header<P>>,
    /// In which order transactions write to cells; 0 until one does.
    id: P::AtomicU64,
    chain: P::AtomicU32,
}

impl<P: Platform> RawCell<P> {
    pub(crate) fn new(first: *mut Header<P>) -> Self {
        Self {
            head: P::AtomicPtr::new(first),
            id: P::AtomicU64::new(0),
            chain: P::AtomicU32::new(1 << 1),
        }
    }

    #[inline(always)]
    fn head(&self, _pinned: &Guard<P>) -> &Header<P> {
        // ORDERING: pairs with the releasing compare-exchanges of `publish`, for the version.
        let head = self.head.load(Ordering::Acquire);
        // SAFETY: never null. What was in a cell is freed when nobody is pinned any more; the callers
        // use the reference only as long as they are.
        unsafe { &*head }
    }

    /// The newest version that is committed.
    #[inline(always)]
    pub(crate) fn newest<'a>(&'a self, pinned: &'a Guard<P>) -> &'a Header<P> {
        let head = self.head(pinned);
        if head.stamp().is_some() { head } else { Self::newest_from(head, pinned) }
    }

    #[cold]
    #[inline(never)]
    fn newest_from<'a>(head: &'a Header<P>, pinned: &Guard<P>) -> &'a Header<P> {
        let Some(record) = head.record() else {
            head.stamp_now(pinned.participant().world());
            return head;
        };
        // Before the state: as long as the version is not committed, the one before is not pruned.
        let prev = head.prev();
        match record.state() {
            State::Committed(time) => {
                head.set_stamp(time);
                head
            }
            // SAFETY: a version of a transaction has one before it, which was the newest committed
            // one when the state was read.
            _ => unsafe { &*prev },
        }
    }

    /// The version that was the newest at `time`, at which the caller has a snapshot. It is not
    /// unlinked as long as the snapshot is there.
    #[inline(always)]
    pub(crate) fn newest_at<'a>(&'a self, time: u64, pinned: &'a Guard<P>) -> &'a Header<P> {
        let head = self.head(pinned);
        match head.stamp() {
            Some(stamp) if stamp <= time => head,
            _ => Self::newest_at_from(head, time, pinned),
        }
    }

    #[cold]
    #[inline(never)]
    fn newest_at_from<'a>(
        mut version: &'a Header<P>,
        time: u64,
        pinned: &Guard<P>,
    ) -> &'a Header<P> {
        let world = pinned.participant().world();
        loop {
            // Before the stamp and the state, as in `newest_from`.
            let prev = version.prev();
            let visible = match (version.stamp(), version.record()) {
                (Some(stamp), _) => stamp <= time,
                (None, None) => version.stamp_now(world) <= time,
                (None, Some(record)) => record.is_committed_at(time, &world.clock),
            };
            if visible {
                return version;
            }
            // SAFETY: there is a version that was the newest at `time`, so it is not the last one
            // that is newer; versions that lead to it are freed when nobody is pinned any more.
            version = unsafe { &*prev };
        }
    }

    /// The newest version, if that is committed and has its stamp, and nothing is in the way of a
    /// next one. Else does something about it: what is in the way is given some time at the first
    /// `attempt`, and ended later.
    pub(crate) fn ready<'a>(&'a self, attempt: u32, pinned: &'a Guard<P>) -> Option<&'a Header<P>> {
        let head = self.head(pinned);
        if head.stamp().is_some() {
            return Some(head);
        }
        let Some(record) = head.record() else {
            head.stamp_now(pinned.participant().world());
            return Some(head);
        };
        match record.state() {
            State::Committed(time) => {
                head.set_stamp(time);
                return Some(head);
            }
            State::Aborted => self.unlink(head, pinned),
            _ if attempt == 0 => {}
            state => record.abort(state),
        }
        None
    }

    /// Takes out the head, which an aborted transaction wrote, unless somebody else does.
    pub(crate) fn unlink(&self, head: &Header<P>, pinned: &Guard<P>) {
        if self.publish(head, head.prev().cast_mut()) {
            // SAFETY: unlinked just now.
            unsafe { retire(pinned, head) };
        }
    }

    /// Makes `new` the head, if that is `current`.
    pub(crate) fn publish(&self, current: *const Header<P>, new: *mut Header<P>) -> bool {
        // ORDERING: releases the version to `head`.
        let published = self.head.compare_exchange(
            current.cast_mut(),
            new,
            Ordering::Release,
            Ordering::Relaxed,
        );
        if published.is_err() {
            P::retry("versioned cell");
        }
        published.is_ok()
    }

    /// Whether `seen` is the newest version still, for the transaction that is prepared for `time`
    /// under `number`. What another transaction is about to write does not count, unless that one is
    /// prepared, too: then the one with the earlier time goes on.
    pub(crate) fn is_newest(
        &self,
        seen: *const Header<P>,
        (time, number): (u64, u32),
        pinned: &Guard<P>,
    ) -> bool {
        let clock = &pinned.participant().world().clock;
        let head = self.head(pinned);
        if core::ptr::eq(head, seen) {
            return true;
        }
        let prev = head.prev();
        let (None, Some(record)) = (head.stamp(), head.record()) else { return false };
        if !core::ptr::eq(prev, seen) {
            return false;
        }
        loop {
            match record.state() {
                State::Active | State::Aborted => return true,
                State::Committed(_) => return false,
                State::Preparing => record.draw(clock),
                State::Prepared(theirs) if (theirs, record.number()) < (time, number) => {
                    return false;
                }
                state => record.abort(state),
            }
        }
    }

    /// Unlinks the versions that nobody looks for any more.
    pub(crate) fn prune(&self, pinned: &Guard<P>) {
        // ORDERING: pairs with the releasing swap below, for the links.
        if self.chain.fetch_or(PRUNING, Ordering::Acquire) & PRUNING != 0 {
            return;
        }
        let clock = &pinned.participant().world().clock;
        let (mut newer, mut newer_stamp) = self.newest_stamped(pinned);
        let mut length = 1;
        // SAFETY: versions that are linked are alive, and only the holder of PRUNING unlinks
        // committed ones.
        while let Some(version) = unsafe { newer.prev().as_ref() } {
            let stamp = version.stamp().unwrap_or(0);
            if clock.somebody_is_between(stamp, newer_stamp) {
                length += 1;
                (newer, newer_stamp) = (version, stamp);
            } else {
                // ORDERING: releases the version before, as it was acquired, to `prev`.
                newer.prev.store(version.prev().cast_mut(), Ordering::Release);
                // SAFETY: unlinked just now.
                unsafe { retire(pinned, version) };
            }
        }
        // ORDERING: releases the links to who prunes next.
        self.chain.swap(length << 1, Ordering::Release);
    }

    /// The newest version with a stamp. There is one: only the newest of all can be without.
    fn newest_stamped<'a>(&'a self, pinned: &'a Guard<P>) -> (&'a Header<P>, u64) {
        let mut version = self.head(pinned);
        loop {
            if let Some(stamp) = version.stamp() {
                return (version, stamp);
            }
            // SAFETY: what has no stamp was published on top of what has.
            version = unsafe { &*version.prev() };
        }
    }

    /// How many committed versions there were when somebody pruned last.
    pub(crate) fn versions(&self) -> u32 {
        self.chain.load(Ordering::Relaxed) >> 1
    }

    /// Whether there is room for another version, after a look for what can go.
    pub(crate) fn has_room(&self, pinned: &Guard<P>) -> bool {
        if self.versions() < P::BOUNDS.versions {
            return true;
        }
        self.prune(pinned);
        self.versions() < P::BOUNDS.versions
    }

    /// Where the cell stands in the order of all.
    pub(crate) fn id(&self, world: &World<P>) -> u64 {
        let id = self.id.load(Ordering::Relaxed);
        if id != 0 {
            return id;
        }
        let new = world.next_cell.fetch_add(1, Ordering::Relaxed);
        match self.id.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => new,
            Err(given) => given,
        }
    }

    /// Takes the versions out, for who has the cell alone.
    pub(crate) fn take(&mut self) -> *mut Header<P> {
        let mut first = core::ptr::null_mut();
        self.head.with_mut(|head| first = core::mem::replace(head, core::ptr::null_mut()));
        first
    }

    /// The newest version, for who has the cell alone.
    pub(crate) fn get_mut(&mut self) -> *mut Header<P> {
        let mut first = core::ptr::null_mut();
        self.head.with_mut(|head| first = *head);
        first
    }
}
