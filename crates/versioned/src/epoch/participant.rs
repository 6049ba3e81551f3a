//! A thread's part in the epochs of its world.

use core::cell::Cell;
use core::ptr;

use crossbeam_utils::CachePadded;
use raddle_parking_lot::spin::Spinlock;
use raddle_platform::suspend::Pins;
use raddle_platform::{Atomic, Ordering, Platform, SlotKey, Threads, global, suspend};

use super::bag::{Bag, Retired};
use crate::world::{self, World};

/// What is to be done at the end of the outermost pin.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Then {
    collect: bool,
    /// Give up the participant: a thread-local's destructor uses it after the thread's exits.
    leave: bool,
}

impl Then {
    const NOTHING: Self = Self { collect: false, leave: false };
}

/// What a thread needs to pin itself, and what it has retired.
///
/// `repr(C)`: it begins with its [`Pins`], where the platform looks for them.
#[repr(C)]
pub(crate) struct Participant<P: Platform> {
    /// How many guards there are. Only its thread has a look.
    pins: Pins,
    /// What the thread does when it is not pinned any more. As above.
    then: Cell<Then>,
    /// The place of a snapshot that this thread used last. As above.
    pub(crate) last_slot: Cell<*const ()>,
    /// Where it lives.
    world: *const World<P>,
    /// Keeps the world. As above; none if no thread has the participant.
    handle: Cell<Option<global::Handle<World<P>>>>,
    /// The era in which its thread pinned itself; 0 if it is not pinned.
    era: CachePadded<P::AtomicU64>,
    /// Whether a thread has it.
    taken: P::AtomicBool,
    /// The one that was added before. Never changes after it was added.
    next: Cell<*const Participant<P>>,
    bag: Spinlock<Bag, P>,
    /// The pin that a collector saw last, and when it saw it first; see `stats`.
    pub(super) seen_era: P::AtomicU64,
    pub(super) seen_at: P::AtomicU64,
}

// SAFETY: the cells are its thread's, which is one at a time (`taken`); `next` does not change once
// it is shared. Everything else is atomic or under the lock.
unsafe impl<P: Platform> Sync for Participant<P> {}
// SAFETY: as above.
unsafe impl<P: Platform> Send for Participant<P> {}

/// The calling thread's participant, for `f`.
#[inline(always)]
pub(crate) fn with_participant<P: Platform, R>(f: impl FnOnce(&Participant<P>) -> R) -> R {
    let mine: *const Participant<P> = P::Threads::slot(SlotKey::Epoch).cast_const().cast();
    if mine.is_null() {
        return f(enter::<P>());
    }
    // SAFETY: set by `enter`, and valid until the thread's exit clears it.
    f(unsafe { &*mine })
}

/// Makes the calling thread a participant.
#[cold]
#[inline(never)]
fn enter<'a, P: Platform>() -> &'a Participant<P> {
    let world = world::of::<P>();
    // From here on light fences are light.
    // ORDERING-AUDIT: light fences are full ones in loom.
    P::fence_heavy(&[]);
    let raw = ptr::from_ref(take_over(&world));
    P::Threads::set_slot(SlotKey::Epoch, raw.cast_mut().cast());
    // SAFETY: freed with its world only, which its `handle` keeps until it leaves.
    let participant = unsafe { &*raw };
    participant.handle.set(Some(world.clone()));
    let exit = Exit { participant: raw, world };
    let leave = !P::Threads::on_exit(Box::new(move || exit.run()));
    participant.then.set(Then { leave, ..Then::NOTHING });
    participant
}

/// A participant that no thread has any more, or a new one.
fn take_over<P: Platform>(world: &World<P>) -> &Participant<P> {
    let free = world.epochs.participants().find(|participant| {
        !participant.taken.load(Ordering::Relaxed)
            // ORDERING: pairs with the releasing swap in `leave`, for its cells.
            // ORDERING-AUDIT: loom does not see plain cells; the lock of the bag orders the rest.
            && !participant.taken.swap(true, Ordering::Acquire)
    });
    free.unwrap_or_else(|| world.epochs.add(Box::new(Participant::new(world))))
}

/// What a thread leaves behind.
struct Exit<P: Platform> {
    participant: *const Participant<P>,
    world: global::Handle<World<P>>,
}

impl<P: Platform> Exit<P> {
    fn run(self) {
        // SAFETY: freed with its world only, which is kept until after this.
        unsafe { (*self.participant).leave() };
        drop(self.world);
    }
}

impl<P: Platform> Participant<P> {
    fn new(world: &World<P>) -> Self {
        Self {
            pins: Pins::default(),
            then: Cell::new(Then::NOTHING),
            last_slot: Cell::new(ptr::null()),
            world,
            handle: Cell::new(None),
            era: CachePadded::new(P::AtomicU64::new(0)),
            taken: P::AtomicBool::new(true),
            next: Cell::new(ptr::null()),
            bag: Spinlock::new(Bag::default()),
            seen_era: P::AtomicU64::new(0),
            seen_at: P::AtomicU64::new(0),
        }
    }

    #[inline(always)]
    pub(crate) fn world(&self) -> &World<P> {
        // SAFETY: a participant is freed with its world, not after it.
        unsafe { &*self.world }
    }

    /// Keeps the world. The caller is pinned.
    pub(crate) fn handle(&self) -> global::Handle<World<P>> {
        let handle = self.handle.take();
        let mine = handle.clone();
        self.handle.set(handle);
        mine.unwrap_or_else(crate::world::of::<P>)
    }

    pub(super) fn next(&self) -> *const Self {
        self.next.get()
    }

    /// For whoever has not shared it yet.
    pub(super) fn set_next(&self, next: *const Self) {
        self.next.set(next);
    }

    /// The era in which its thread is pinned.
    pub(super) fn pinned_since(&self) -> Option<u64> {
        // ORDERING: pairs with the releasing stores of `pin` and `unpin`: what its thread read under
        // earlier pins happened before.
        let era = self.era.load(Ordering::Acquire);
        (era != 0).then_some(era)
    }

    /// Whether a thread has it.
    pub(super) fn is_taken(&self) -> bool {
        self.taken.load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub(super) fn pin(&self) {
        let pins = self.pins.count();
        self.pins.set(pins + 1);
        if pins == 0 {
            let era = self.world().epochs.now();
            // ORDERING: pairs with the acquiring load of `pinned_since`: a look that sees this pin
            // must not miss what was read under the ones before.
            self.era.store(era, Ordering::Release);
            // No handshake to name: what is read after this is acquired from who wrote it, and the
            // reads are released by `unpin`.
            P::fence_light(&[]);
        }
    }

    #[inline(always)]
    pub(super) fn unpin(&self) {
        let pins = self.pins.count() - 1;
        self.pins.set(pins);
        if pins == 0 {
            // ORDERING: pairs with the acquiring load of `pinned_since`: what was read happened
            // before it is freed.
            self.era.store(0, Ordering::Release);
            if self.then.get() != Then::NOTHING {
                self.after_unpin();
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn after_unpin(&self) {
        // Before foreign code runs, which may pin and unpin: once it has left, others have it.
        let Then { collect, leave } = self.then.replace(Then::NOTHING);
        if collect {
            let kept = self.collect();
            if kept >= P::CELL_BOUNDS.garbage_limit && !P::Threads::panicking() {
                self.wait_for_room();
            }
        }
        if leave {
            self.leave();
        }
    }

    /// Retires what was unlinked. The caller is pinned, so it collects later.
    pub(super) fn retire(&self, retired: Retired) {
        let (items, fresh) = self.bag.locked(|bag| bag.push(retired));
        if fresh >= P::CELL_BOUNDS.garbage_batch || items >= P::CELL_BOUNDS.garbage_limit {
            self.want_to_collect();
        }
        if items == 1 {
            self.world().epochs.janitor.told_of_garbage();
        }
    }

    /// Collects at the end of the outermost pin.
    pub(super) fn want_to_collect(&self) {
        self.then.set(Then { collect: true, ..self.then.get() });
    }

    /// Frees of the bag what nobody can read any more. Returns how much is kept.
    pub(super) fn collect(&self) -> usize {
        let epochs = &self.world().epochs;
        let fresh = self.bag.locked(Bag::take_fresh);
        let stamp = epochs.seal();
        // Between what was unlinked and the look at who is pinned.
        P::fence_heavy(&[]);
        let oldest = epochs.oldest_pin();
        // Not what somebody else has sealed since: our look says nothing about that.
        let before = oldest.min(stamp + 1);
        let (free, kept) = self.bag.locked(|bag| {
            bag.seal(stamp, fresh);
            (bag.take_before(before), bag.items())
        });
        // Foreign destructors: not under the lock.
        drop(free);
        kept
    }

    /// Too much is kept by somebody's pin: waits until it is not.
    #[cold]
    fn wait_for_room(&self) {
        let mut looks = 0;
        // HAMMER-WAIT-LOOP: garbage-limit
        while self.collect() >= P::CELL_BOUNDS.garbage_limit {
            looks += 1;
            suspend::with_current::<P, _>(|current| current.yield_now());
            if looks > P::BOUNDS.spins {
                super::pause::<P>();
            }
        }
    }

    /// How many things and bytes are in the bag.
    pub(super) fn limbo(&self) -> (usize, usize) {
        self.bag.locked(|bag| (bag.items(), bag.bytes()))
    }

    /// Gives the participant to whoever comes next. Its garbage stays where it is.
    fn leave(&self) {
        if self.pins.count() > 0 {
            // A forgotten guard, whose references may be anywhere: it is pinned for ever.
            P::Threads::set_slot(SlotKey::Epoch, ptr::null_mut());
            return;
        }
        if self.bag.locked(|bag| bag.items()) > 0 {
            self.collect();
        }
        // After the destructors, which may pin.
        P::Threads::set_slot(SlotKey::Epoch, ptr::null_mut());
        self.then.set(Then::NOTHING);
        let world = self.handle.take();
        // ORDERING: pairs with the acquiring swap in `take_over`, for the cells.
        // ORDERING-AUDIT: loom does not see plain cells; the lock of the bag orders the rest.
        self.taken.swap(false, Ordering::Release);
        // Perhaps the last one, and the participant goes with its world.
        drop(world);
    }
}
