//! What changes once per chunk: which chunks are kept, and for whom.

use std::collections::{BTreeMap, VecDeque};

use raddle_ownership::Arc;
use raddle_platform::Platform;

use super::Policy;
use super::chunk::Chunk;
use super::error::Failure;

/// How many subscribers are at a chunk, but for those that have a backlog of their own. Who is still at a
/// chunk that was given up is counted at the oldest that is retained, where it goes on.
#[derive(Clone, Copy, Default)]
pub(super) struct Here {
    /// They hold the publishers back.
    blocking: usize,
    /// They go on with the oldest chunk, if this one is given up.
    going_on: usize,
    /// They do not.
    doomed: usize,
}

impl Here {
    fn is_nobody(self) -> bool {
        self.blocking + self.going_on + self.doomed == 0
    }

    fn count(&mut self, policy: Policy) -> &mut usize {
        match policy {
            Policy::Block => &mut self.blocking,
            Policy::Disconnect => &mut self.doomed,
            Policy::DropOldest | Policy::DropNewest => &mut self.going_on,
        }
    }
}

/// A share of a chunk.
pub(super) type Share<T, P> = Arc<Chunk<T, P>, P>;

struct Retained<T, P: Platform> {
    chunk: Share<T, P>,
    here: Here,
}

/// What a subscriber with [`Policy::DropNewest`] has before it.
struct Backlog<T, P: Platform> {
    /// The chunks after the one in its hand, with their numbers.
    queue: VecDeque<(u64, Share<T, P>)>,
    /// How many it has, with the one in its hand.
    held: usize,
}

/// Chunks that are dropped when the lock is no longer held.
pub(super) type Garbage<T, P> = Vec<Share<T, P>>;

/// A chunk, its number, and the place in it where a subscriber goes on.
pub(super) struct Place<T, P: Platform> {
    pub(super) number: u64,
    pub(super) index: usize,
    /// None if chunk `number` is not opened yet.
    pub(super) chunk: Option<Share<T, P>>,
    /// How many items lie between this place and the one that was wanted.
    pub(super) lost: u64,
}

/// Chunks are numbered from 1 (or later, in tests). Opened are those to [`tail`](Self::tail), retained the
/// last ones of them.
pub(super) struct State<T, P: Platform> {
    size: usize,
    most: usize,
    retained: VecDeque<Retained<T, P>>,
    /// The number of the oldest retained chunk, or of the next one to be opened.
    first: u64,
    /// Those that wait for the next one to be opened.
    ahead: Here,
    backlogs: BTreeMap<u64, Backlog<T, P>>,
    next_backlog: u64,
    pub(super) publishers: usize,
    pub(super) subscribers: usize,
    /// How many items of the last chunk there are, once the stream is closed.
    pub(super) closed: Option<usize>,
    pub(super) failure: Option<Failure<P>>,
}

/// What hinders opening a chunk.
pub(super) enum Hindrance {
    /// A subscriber that holds the publishers back.
    Full,
    /// A publisher that has claimed a slot of the oldest chunk and will write it at once.
    Unwritten,
}

impl<T, P: Platform> State<T, P> {
    /// The first chunk will have the number `first`.
    pub(super) fn new(size: usize, most: usize, first: u64) -> Self {
        Self {
            size,
            most,
            retained: VecDeque::with_capacity(most.min(64)),
            first,
            ahead: Here::default(),
            backlogs: BTreeMap::new(),
            next_backlog: 0,
            publishers: 1,
            subscribers: 0,
            closed: None,
            failure: None,
        }
    }

    /// The number of the chunk opened last; 0 if there is none.
    pub(super) fn tail(&self) -> u64 {
        self.first + self.retained.len() as u64 - 1
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The index of chunk `number` in `retained`, if it is there.
    fn index(&self, number: u64) -> Option<usize> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        (index < self.retained.len()).then_some(index)
    }

    /// Where a subscriber at chunk `number` is counted; none if it is cut off.
    fn count(&mut self, number: u64, policy: Policy) -> Option<&mut usize> {
        if number < self.first && policy == Policy::Disconnect {
            return None;
        }
        let here = match self.index(number.max(self.first)) {
            Some(index) => &mut self.retained[index].here,
            None => &mut self.ahead,
        };
        Some(here.count(policy))
    }

    /// A subscriber is at chunk `number` from now on.
    pub(super) fn arrive(&mut self, number: u64, policy: Policy) {
        if let Some(count) = self.count(number, policy) {
            *count += 1;
        }
    }

    /// A subscriber is no longer at chunk `number`.
    pub(super) fn depart(&mut self, number: u64, policy: Policy) {
        if let Some(count) = self.count(number, policy) {
            *count -= 1;
        }
    }

    /// Where a subscriber that is counted at chunk `number` goes on.
    pub(super) fn find(&self, number: u64) -> Place<T, P> {
        let mut lost = self.first.saturating_sub(number) * self.size as u64;
        if lost > 0
            && self.retained.is_empty()
            && let Some(count) = self.closed
        {
            // The last chunk is among them, and was not filled any more.
            lost -= (self.size - count) as u64;
        }
        Place { lost, ..self.place(number.max(self.first)) }
    }

    /// The beginning of chunk `number`, which is retained or will be opened.
    pub(super) fn place(&self, number: u64) -> Place<T, P> {
        let chunk = self.index(number).map(|index| Arc::clone(&self.retained[index].chunk));
        Place { number, index: 0, chunk, lost: 0 }
    }

    /// Whether opening a chunk would have to wait for a subscriber.
    pub(super) fn is_full(&self) -> bool {
        self.retained.len() == self.most
            && self.retained.front().is_some_and(|front| front.here.blocking != 0)
    }

    /// Whether, and if so how, the next chunk cannot be opened now.
    pub(super) fn hindrance(&self) -> Option<Hindrance> {
        if self.is_full() {
            return Some(Hindrance::Full);
        }
        let front = self.retained.front().filter(|_| self.retained.len() == self.most)?;
        (!front.chunk.is_written(self.size)).then_some(Hindrance::Unwritten)
    }

    /// Makes `chunk` the last one. There is no [hindrance](Self::hindrance).
    pub(super) fn push(&mut self, chunk: Share<T, P>, garbage: &mut Garbage<T, P>) {
        if self.retained.len() == self.most {
            self.give_up(garbage);
        }
        let number = self.tail() + 1;
        for backlog in self.backlogs.values_mut().filter(|backlog| backlog.held < self.most) {
            backlog.queue.push_back((number, Arc::clone(&chunk)));
            backlog.held += 1;
        }
        self.retained.push_back(Retained { chunk, here: core::mem::take(&mut self.ahead) });
    }

    /// Gives up the oldest chunk.
    fn give_up(&mut self, garbage: &mut Garbage<T, P>) {
        let Some(oldest) = self.retained.pop_front() else { return };
        garbage.push(oldest.chunk);
        self.first += 1;
        let next = self.retained.front_mut().map_or(&mut self.ahead, |next| &mut next.here);
        next.blocking += oldest.here.blocking;
        next.going_on += oldest.here.going_on;
    }

    /// Gives up the oldest chunks as far as nobody is there, or will be.
    ///
    /// A chunk that is not written yet is kept: publishers are there. (It is given up when the next
    /// chunk is opened or left. Whoever has received all of a chunk has seen it written.)
    pub(super) fn free_passed(&mut self, garbage: &mut Garbage<T, P>) {
        while let Some(front) = self.retained.front() {
            let count = match self.closed {
                Some(count) if self.retained.len() == 1 => count,
                _ => self.size,
            };
            if !front.here.is_nobody() || !front.chunk.is_written(count) {
                return;
            }
            self.give_up(garbage);
        }
    }

    /// Starts a backlog for a subscriber at `number`, which has that chunk in its hand if `has`.
    pub(super) fn add_backlog(&mut self, number: u64, has: bool) -> u64 {
        let skipped = usize::try_from(number - self.first).unwrap_or(usize::MAX);
        let behind = self.retained.iter().zip(self.first..).skip(skipped.saturating_add(1));
        let queue: VecDeque<_> =
            behind.map(|(retained, number)| (number, Arc::clone(&retained.chunk))).collect();
        self.insert_backlog(Backlog { held: queue.len() + usize::from(has), queue })
    }

    /// Another backlog like that of `id`.
    pub(super) fn clone_backlog(&mut self, id: u64) -> u64 {
        let backlog = &self.backlogs[&id];
        let copy = Backlog { queue: backlog.queue.clone(), held: backlog.held };
        self.insert_backlog(copy)
    }

    fn insert_backlog(&mut self, backlog: Backlog<T, P>) -> u64 {
        let id = self.next_backlog;
        self.next_backlog += 1;
        self.backlogs.insert(id, backlog);
        id
    }

    /// Ends a backlog.
    pub(super) fn remove_backlog(&mut self, id: u64, garbage: &mut Garbage<T, P>) {
        if let Some(backlog) = self.backlogs.remove(&id) {
            garbage.extend(backlog.queue.into_iter().map(|(_, chunk)| chunk));
        }
    }

    /// The subscriber with backlog `id` has no chunk in its hand any more.
    pub(super) fn put_down(&mut self, id: u64) {
        if let Some(backlog) = self.backlogs.get_mut(&id) {
            backlog.held -= 1;
        }
    }

    /// Where the subscriber with backlog `id`, which wants chunk `number` next, goes on. The last
    /// chunk has `claimed` items so far.
    pub(super) fn find_in_backlog(&mut self, id: u64, number: u64, claimed: usize) -> Place<T, P> {
        let (tail, size) = (self.tail(), self.size as u64);
        let mut place = Place { number, index: 0, chunk: None, lost: 0 };
        let Some(backlog) = self.backlogs.get_mut(&id) else { return place };
        if let Some((found, chunk)) = backlog.queue.pop_front() {
            place.lost = (found - number) * size;
            place.number = found;
            place.chunk = Some(chunk);
        } else if number <= tail {
            // The backlog was full when these were opened. It has room again from here on.
            place.lost = (tail - number) * size + claimed as u64;
            if claimed < self.size
                && let Some(last) = self.retained.back()
            {
                (place.number, place.index) = (tail, claimed);
                place.chunk = Some(Arc::clone(&last.chunk));
                backlog.held += 1;
            } else {
                place.number = tail + 1;
            }
        }
        place
    }
}
