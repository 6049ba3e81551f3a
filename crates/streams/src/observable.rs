//! Numbers that belong together, read while others change them, and never torn.
//!
//! An [`Observable`] holds a small value of a few machine words: a sum and a count, a minimum and a
//! maximum, or whatever an [`Aggregate`] says. Updates exclude one another. Readers never wait, and see
//! all words of one update.
//!
//! # The protocol
//!
//! ```text
//!  63                        2        1        0
//! +---------------------------+---------+------+
//! |  version                  | WAITING | LOCK |
//! +---------------------------+---------+------+
//! ```
//!
//! | bit     | meaning                             | set by           | cleared by                      |
//! |---------|-------------------------------------|------------------|---------------------------------|
//! | LOCK    | somebody writes the next version    | an updater       | the same, with the next version |
//! | WAITING | somebody sleeps, or is about to     | who will sleep   | an updater, if nobody is queued |
//!
//! There are two copies of the words. Version `v` is in copy `v % 2`; an updater writes version `v + 1`
//! into the other one, which no new reader looks at, and then publishes it with the version. A reader
//! reads the version, the words of its copy, and the version again: if that has not changed, nobody has
//! begun to write that copy again. If it has, there is a newer one to read, so a reader repeats only
//! because somebody else got on; an updater that is preempted in between keeps no reader waiting.
//!
//! # Orderings
//!
//! The words are atomics. Each is stored with release and loaded with acquire: a reader that sees a word
//! of version `v + 2` sees by that, at its second look, that version `v + 1` was published before
//! (`watch/observed_pair_is_never_torn` finds a torn pair otherwise). The first look acquires what the
//! publishing released: the words are no older than the version.

use core::fmt;

use crossbeam_utils::CachePadded;
use raddle_parking_lot::EventCount;
use raddle_parking_lot::spin::Backoff;
use raddle_platform::suspend::{Interrupted, Limits};
use raddle_platform::{Atomic, AtomicInt, Native, Ordering, Platform};

const LOCK: u64 = 1;
const WAITING: u64 = 2;
const FLAGS: u64 = LOCK | WAITING;
/// One version.
const ONE: u64 = 4;
/// The most words that an aggregate can have.
const MAX_WORDS: usize = 4;

/// A value of up to four words.
pub trait Aggregate: Copy {
    /// The words, of which the last ones may be unused.
    fn to_words(self) -> [u64; MAX_WORDS];
    /// The value of these words, which came from [`to_words`](Self::to_words).
    fn from_words(words: [u64; MAX_WORDS]) -> Self;
    /// How many words are used; four at most.
    const WORDS: usize = MAX_WORDS;
}

/// How many numbers were added, and their sum, minimum and maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The sum; wraps on overflow.
    pub sum: i64,
    /// How many.
    pub count: u64,
    /// The smallest; `i64::MAX` if there are none.
    pub min: i64,
    /// The largest; `i64::MIN` if there are none.
    pub max: i64,
}

impl Summary {
    /// Of no numbers.
    pub const EMPTY: Self = Self { sum: 0, count: 0, min: i64::MAX, max: i64::MIN };

    /// With one more number.
    #[must_use]
    pub fn and(self, number: i64) -> Self {
        Self {
            sum: self.sum.wrapping_add(number),
            count: self.count + 1,
            min: self.min.min(number),
            max: self.max.max(number),
        }
    }

    /// The mean; none if there are no numbers.
    pub fn mean(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }
}

impl Aggregate for Summary {
    fn to_words(self) -> [u64; MAX_WORDS] {
        [self.sum as u64, self.count, self.min as u64, self.max as u64]
    }
    fn from_words([sum, count, min, max]: [u64; MAX_WORDS]) -> Self {
        Self { sum: sum as i64, count, min: min as i64, max: max as i64 }
    }
}

impl Aggregate for (u64, u64) {
    const WORDS: usize = 2;
    fn to_words(self) -> [u64; MAX_WORDS] {
        [self.0, self.1, 0, 0]
    }
    fn from_words([first, second, ..]: [u64; MAX_WORDS]) -> Self {
        (first, second)
    }
}

impl Aggregate for u64 {
    const WORDS: usize = 1;
    fn to_words(self) -> [u64; MAX_WORDS] {
        [self, 0, 0, 0]
    }
    fn from_words([word, ..]: [u64; MAX_WORDS]) -> Self {
        word
    }
}

/// A value of a few words that many read while others update it.
///
/// ```
/// use raddle_streams::observable::{Observable, Summary};
/// let sizes = Observable::new(Summary::EMPTY);
/// std::thread::scope(|scope| {
///     scope.spawn(|| (1..=100).for_each(|size| sizes.add(size)));
///     let seen = sizes.get(); // at any time: the sum of just these numbers
///     assert_eq!(seen.sum as u64, seen.count * (seen.count + 1) / 2);
/// });
/// assert_eq!((sizes.get().sum, sizes.get().max), (5050, 100));
/// ```
///
/// Anything else that is reduced from what comes in is an [`update`](Self::update):
///
/// ```
/// use raddle_streams::observable::Observable;
/// let product = Observable::new(1_u64);
/// [2, 3, 7].into_iter().for_each(|factor| _ = product.update(|product| product * factor));
/// assert_eq!(product.get(), 42);
/// ```
pub struct Observable<A: Aggregate, P: Platform = Native> {
    word: CachePadded<P::AtomicU64>,
    copies: [CachePadded<[P::AtomicU64; MAX_WORDS]>; 2],
    changed: EventCount<P>,
    value: core::marker::PhantomData<fn(A) -> A>,
}

impl<A: Aggregate> Observable<A> {
    /// An observable value for production.
    pub fn new(value: A) -> Self {
        Self::new_in(value)
    }
}

impl<A: Aggregate, P: Platform> Observable<A, P> {
    /// An observable value in the world `P`.
    pub fn new_in(value: A) -> Self {
        let copy = || CachePadded::new(value.to_words().map(|word| P::AtomicU64::new(word)));
        Self {
            word: CachePadded::new(P::AtomicU64::new(0)),
            copies: [copy(), copy()],
            changed: EventCount::new_in(),
            value: core::marker::PhantomData,
        }
    }

    /// The value of one moment. Never waits.
    #[inline]
    #[track_caller]
    pub fn get(&self) -> A {
        let _inside = P::called();
        self.read().0
    }

    /// The value and its version.
    #[inline]
    fn read(&self) -> (A, u64) {
        // ORDERING: pairs with the releasing fetch_add in `replace`, for the words.
        let mut version = self.word.load(Ordering::Acquire) & !FLAGS;
        loop {
            let copy = &self.copies[(version / ONE % 2) as usize];
            let mut words = [0; MAX_WORDS];
            for (word, shared) in words.iter_mut().zip(copy.iter()).take(A::WORDS) {
                // ORDERING: pairs with the releasing store in `replace`: see the head of this file.
                *word = shared.load(Ordering::Acquire);
            }
            // ORDERING: as above, for the next round.
            let now = self.word.load(Ordering::Acquire) & !FLAGS;
            if now == version {
                return (A::from_words(words), version);
            }
            P::retry("observe");
            version = now;
        }
    }

    /// Replaces the value by what `change` makes of it, and returns the new one. Updates come one after
    /// the other: `change` should be short, and is called once. If it panics nothing is changed.
    #[inline]
    #[track_caller]
    pub fn update(&self, change: impl FnOnce(A) -> A) -> A {
        let _inside = P::called();
        self.replace(change)
    }

    #[inline]
    fn replace(&self, change: impl FnOnce(A) -> A) -> A {
        let version = self.lock();
        let mut unlock = Unlock::<P> { word: &self.word, add: 0 };
        let copy = &self.copies[(version / ONE % 2) as usize];
        let mut words = [0; MAX_WORDS];
        for (word, shared) in words.iter_mut().zip(copy.iter()).take(A::WORDS) {
            *word = shared.load(Ordering::Relaxed);
        }
        let value = change(A::from_words(words));
        let copy = &self.copies[(version / ONE + 1) as usize % 2];
        for (word, shared) in value.to_words().into_iter().zip(copy.iter()).take(A::WORDS) {
            // ORDERING: pairs with the acquiring load in `read`: see the head of this file.
            shared.store(word, Ordering::Release);
        }
        unlock.add = ONE;
        if unlock.now() & WAITING != 0 {
            self.wake();
        }
        value
    }

    /// Takes LOCK, and returns the version.
    #[inline]
    fn lock(&self) -> u64 {
        let mut backoff = Backoff::new();
        let mut seen = self.word.load(Ordering::Relaxed);
        // HAMMER-WAIT-LOOP: observable-lock
        loop {
            if seen & LOCK != 0 {
                backoff.pause::<P>();
                seen = self.word.load(Ordering::Relaxed);
                continue;
            }
            // ORDERING: pairs with the releasing fetch_add in `Unlock`, for the words.
            match self.word.compare_exchange_weak(
                seen,
                seen | LOCK,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return seen & !FLAGS,
                Err(found) => seen = found,
            }
            P::retry("observable lock");
        }
    }

    #[cold]
    fn wake(&self) {
        // ORDERING: pairs with the releasing fetch_or in `mark`, for the queue.
        // ORDERING-AUDIT: loom runs read-modify-writes of all words in one order, so there the node is
        // found anyway.
        self.word.load(Ordering::Acquire);
        self.changed.notify_marked(usize::MAX, || {
            self.word.fetch_and(!WAITING, Ordering::Relaxed);
        });
    }

    fn mark(&self) {
        // ORDERING: pairs with the acquiring load in `wake`.
        // ORDERING-AUDIT: loom runs read-modify-writes of all words in one order, so there the node is
        // found anyway.
        self.word.fetch_or(WAITING, Ordering::Release);
    }

    /// Suspends the calling fiber or thread until the value has the property. A cancellation point.
    ///
    /// # Errors
    /// [`Interrupted::Cancelled`], if the fiber was cancelled.
    #[track_caller]
    pub fn wait_for(&self, mut property: impl FnMut(A) -> bool) -> Result<A, Interrupted> {
        let _inside = P::called();
        let attempt = || Some(self.read().0).filter(|value| property(*value));
        self.changed.wait_marked(Limits::CANCELLABLE, attempt, || self.mark())
    }

    /// Suspends the calling task until the value has the property.
    pub async fn wait_for_async(&self, mut property: impl FnMut(A) -> bool) -> A {
        let mut waiter = core::pin::pin!(raddle_parking_lot::EventWaiter::new(&self.changed));
        core::future::poll_fn(|context| {
            let attempt = || Some(self.read().0).filter(|value| property(*value));
            waiter.as_mut().poll_marked(context, attempt, || self.mark())
        })
        .await
    }
}

impl<P: Platform> Observable<Summary, P> {
    /// Adds a number.
    #[inline]
    #[track_caller]
    pub fn add(&self, number: i64) {
        let _inside = P::called();
        self.replace(|summary| summary.and(number));
    }
}

/// Clears LOCK, also when an update panics.
struct Unlock<'a, P: Platform> {
    word: &'a P::AtomicU64,
    /// What the version grows by.
    add: u64,
}

impl<P: Platform> Unlock<'_, P> {
    #[inline]
    fn unlock(&self) -> u64 {
        // ORDERING: pairs with the acquiring loads in `read` and the compare-exchange in `lock`.
        self.word.fetch_add(self.add.wrapping_sub(LOCK), Ordering::Release)
    }

    /// What the word was before.
    #[inline]
    fn now(self) -> u64 {
        core::mem::ManuallyDrop::new(self).unlock()
    }
}

impl<P: Platform> Drop for Unlock<'_, P> {
    fn drop(&mut self) {
        self.unlock();
    }
}

impl<A: Aggregate + fmt::Debug, P: Platform> fmt::Debug for Observable<A, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observable").field(&self.get()).finish()
    }
}
