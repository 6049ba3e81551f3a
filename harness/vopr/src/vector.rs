//! Vector clocks: what each thread has seen of the others.

/// For each thread, how much of it has been seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Clock(Vec<u32>);

impl Clock {
    /// What has been seen of `thread`.
    #[inline]
    pub(crate) fn of(&self, thread: u32) -> u32 {
        self.0.get(thread as usize).copied().unwrap_or(0)
    }

    /// Sees `thread` up to `time`.
    #[inline]
    pub(crate) fn set(&mut self, thread: u32, time: u32) {
        let index = thread as usize;
        if index >= self.0.len() {
            self.0.resize(index + 1, 0);
        }
        self.0[index] = time;
    }

    /// Sees all that `other` has.
    #[inline]
    pub(crate) fn join(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine = (*mine).max(*theirs);
        }
    }

    /// Becomes `other`, in the memory that is there.
    #[inline]
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.0.clear();
        self.0.extend_from_slice(&other.0);
    }

    /// Forgets everything.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// The views of one thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// What the thread has seen, and its own time.
    pub(crate) clock: Clock,
    /// What its relaxed loads have read and no acquire fence has made visible.
    pub(crate) unacquired: Clock,
    /// What its last release fence publishes with later relaxed stores.
    pub(crate) released: Clock,
}

impl View {
    /// Of a new thread.
    pub(crate) fn new(thread: u32) -> Self {
        let mut view = Self::default();
        view.clock.set(thread, 1);
        view
    }

    /// What was done until now has been published: from here on is another time.
    #[inline]
    pub(crate) fn tick(&mut self, thread: u32) {
        let now = self.clock.of(thread);
        self.clock.set(thread, now + 1);
    }
}

/// A moment of a thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) thread: u32,
    pub(crate) time: u32,
}

impl Moment {
    /// Whether whoever has seen `clock` has seen this moment.
    #[inline]
    pub(crate) fn seen_by(self, clock: &Clock) -> bool {
        clock.of(self.thread) >= self.time
    }
}
