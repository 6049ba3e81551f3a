//! A cell: a chain of versions, from the newest.

use raddle_platform::{Atomic, AtomicInt, Ordering, Platform};

use super::version::{Header, Linked, retire};
use crate::epoch::Guard;
use crate::transaction::State;
use crate::world::World;

/// Somebody unlinks old versions.
const PRUNING: u32 = 1;
/// Somebody else wanted to, meanwhile.
const AGAIN: u32 = 2;
/// One version. The rest of `chain` counts those that are linked.
const ONE: u32 = 4;

/// What of a cell does not depend on the type of the value. See the [module](super).
pub(crate) struct RawCell<P: Platform> {
    head: P::AtomicPtr<Header<P>>,
    /// In which order transactions write to cells; 0 until one does.
    id: P::AtomicU64,
    chain: P::AtomicU32,
}

/// Whether another version may be published.
pub(crate) enum Room {
    Yes,
    /// Snapshots keep as many as there may be.
    No,
    /// Somebody is about to make some, perhaps: prunes, or takes a snapshot, which keeps nearly everything
    /// as long as its time is not known.
    Soon,
}

impl<P: Platform> RawCell<P> {
    pub(crate) fn new(first: *mut Header<P>) -> Self {
        Self {
            head: P::AtomicPtr::new(first),
            id: P::AtomicU64::new(0),
            chain: P::AtomicU32::new(ONE),
        }
    }

    #[inline(always)]
    fn head<'a>(&self, _pinned: &'a Guard<P>) -> Linked<'a, P> {
        // ORDERING: pairs with the releasing compare-exchanges of `publish`, for the version.
        let head = self.head.load(Ordering::Acquire);
        // SAFETY: never null. What was in a cell is freed when nobody is pinned any more.
        unsafe { Linked::new(head) }
    }

    /// The newest version that is committed.
    #[inline(always)]
    pub(crate) fn newest<'a>(&self, pinned: &'a Guard<P>) -> Linked<'a, P> {
        let head = self.head(pinned);
        if head.stamp().is_some() { head } else { Self::newest_at_from(head, u64::MAX, pinned) }
    }

    /// The version that was the newest at `time`, at which the caller has a snapshot. It is not
    /// unlinked as long as the snapshot is there.
    #[inline(always)]
    pub(crate) fn newest_at<'a>(&self, time: u64, pinned: &'a Guard<P>) -> Linked<'a, P> {
        let head = self.head(pinned);
        match head.stamp() {
            Some(stamp) if stamp <= time => head,
            _ => Self::newest_at_from(head, time, pinned),
        }
    }

    #[cold]
    #[inline(never)]
    fn newest_at_from<'a>(
        mut version: Linked<'a, P>,
        time: u64,
        pinned: &'a Guard<P>,
    ) -> Linked<'a, P> {
        let world = pinned.participant().world();
        loop {
            // Before the stamp and the state: as long as the version is not committed, the one before
            // is not pruned.
            let prev = version.prev();
            let visible = match version.stamp() {
                Some(stamp) => stamp <= time,
                None => match version.record() {
                    None => version.stamp_now(world) <= time,
                    Some(record) => record.is_committed_at(time, &world.clock),
                },
            };
            if visible {
                return version;
            }
            // SAFETY: there is a version that was the newest at `time`, so it is not the last one
            // that is newer; versions that lead to it are freed when nobody is pinned any more.
            version = unsafe { Linked::new(prev) };
        }
    }

    /// The newest version, if that is committed and has its stamp, and nothing is in the way of a
    /// next one. Else does something about it: what is in the way is given some time at the first
    /// `attempt`, and ended later.
    pub(crate) fn ready<'a>(&self, attempt: u32, pinned: &'a Guard<P>) -> Option<Linked<'a, P>> {
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
            State::Aborted => self.unlink(head, head.prev(), pinned),
            _ if attempt == 0 => {}
            state => record.abort(state),
        }
        None
    }

    /// Takes out the head, which an aborted transaction wrote, unless somebody else does.
    pub(crate) fn unlink(&self, head: Linked<'_, P>, prev: *const Header<P>, pinned: &Guard<P>) {
        if self.replace(head.as_ptr(), prev.cast_mut()) {
            self.chain.fetch_sub(ONE, Ordering::Relaxed);
            // SAFETY: unlinked just now.
            unsafe { retire(pinned, head.as_ptr()) };
        }
    }

    /// Makes `new` the head, if that is `current`.
    pub(crate) fn publish(&self, current: Linked<'_, P>, new: *mut Header<P>) -> bool {
        let published = self.replace(current.as_ptr(), new);
        if published {
            self.chain.fetch_add(ONE, Ordering::Relaxed);
        }
        published
    }

    fn replace(&self, current: *mut Header<P>, new: *mut Header<P>) -> bool {
        // ORDERING: releases the version to `head`.
        let replaced =
            self.head.compare_exchange(current, new, Ordering::Release, Ordering::Relaxed);
        if replaced.is_err() {
            P::retry("versioned cell");
        }
        replaced.is_ok()
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
        if core::ptr::eq(head.as_ptr(), seen) {
            return true;
        }
        if !core::ptr::eq(head.prev(), seen) || head.stamp().is_some() {
            return false;
        }
        let Some(record) = head.record() else { return false };
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

    /// Unlinks the versions that nobody looks for any more. If somebody is about that already, then
    /// that one does it once more.
    pub(crate) fn prune(&self, pinned: &Guard<P>) {
        // ORDERING: pairs with the acquiring fetch_and below: who prunes (again) sees what was published
        // before.
        let mut word = self.chain.fetch_or(PRUNING | AGAIN, Ordering::Release);
        if word & PRUNING != 0 {
            return;
        }
        loop {
            // ORDERING: pairs with the fetch_or above, and with the releasing exchange below, for the
            // links.
            self.chain.fetch_and(!AGAIN, Ordering::Acquire);
            let unlinked = self.prune_once(pinned);
            word = self.chain.fetch_sub(unlinked * ONE, Ordering::Relaxed) - unlinked * ONE;
            // Until nobody wants more.
            while word & AGAIN == 0 {
                // ORDERING: releases the links to who prunes next.
                match self.chain.compare_exchange_weak(
                    word,
                    word & !PRUNING,
                    Ordering::Release,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => return,
                    Err(found) => word = found,
                }
                P::retry("pruning");
            }
        }
    }

    /// Returns how many versions were unlinked.
    fn prune_once(&self, pinned: &Guard<P>) -> u32 {
        let clock = &pinned.participant().world().clock;
        let (mut newer, mut newer_stamp) = self.newest_stamped(pinned);
        let mut unlinked = 0;
        loop {
            let version = newer.prev();
            if version.is_null() {
                return unlinked;
            }
            // SAFETY: versions that are linked are alive, and only the holder of PRUNING unlinks
            // committed ones.
            let version = unsafe { Linked::new(version) };
            let stamp = version.stamp().unwrap_or(0);
            if clock.somebody_is_between(stamp, newer_stamp) {
                (newer, newer_stamp) = (version, stamp);
            } else {
                newer.link(version.prev());
                unlinked += 1;
                // SAFETY: unlinked just now.
                unsafe { retire(pinned, version.as_ptr()) };
            }
        }
    }

    /// The newest version with a stamp. There is one: only the newest of all can be without.
    fn newest_stamped<'a>(&self, pinned: &'a Guard<P>) -> (Linked<'a, P>, u64) {
        let mut version = self.head(pinned);
        loop {
            if let Some(stamp) = version.stamp() {
                return (version, stamp);
            }
            // SAFETY: what has no stamp was published on top of what has.
            version = unsafe { Linked::new(version.prev()) };
        }
    }

    /// How many versions are linked, those of transactions that are not committed included.
    pub(crate) fn versions(&self) -> u32 {
        self.chain.load(Ordering::Relaxed) / ONE
    }

    /// Whether there is room for another version, after a look for what can go.
    pub(crate) fn room(&self, pinned: &Guard<P>) -> Room {
        if self.versions() < P::CELL_BOUNDS.versions {
            return Room::Yes;
        }
        let clock = &pinned.participant().world().clock;
        // Before and after: one may have come, or gone, while we pruned.
        let settling = clock.somebody_is_settling();
        self.prune(pinned);
        let word = self.chain.load(Ordering::Relaxed);
        if word / ONE < P::CELL_BOUNDS.versions {
            Room::Yes
        } else if word & PRUNING != 0 || settling || clock.somebody_is_settling() {
            Room::Soon
        } else {
            Room::No
        }
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
