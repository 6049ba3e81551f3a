//! A connection's input buffer.
//!
//! Requests are parsed where they were received. The buffer grows only when it is full of bytes
//! that have arrived, never for a length that was only announced: twice as large while it is
//! small, later by an eighth, and no further than the request at hand needs.

use crate::memory::grown;

/// Bytes that have arrived and were not consumed yet.
#[derive(Debug)]
pub struct Input {
    /// All initialised: its length is its capacity.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Whether the last read left no room: more may be waiting.
    filled: bool,
}

impl Input {
    /// The capacity that a buffer begins with, and returns to.
    pub const CAPACITY: usize = 4 << 10;
    /// Up to here the buffer grows to take more with one read.
    const READ_MAX: usize = 64 << 10;
    /// A larger buffer is given back when it is empty.
    const KEPT_MAX: usize = 256 << 10;

    /// A buffer without memory.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), start: 0, end: 0, filled: false }
    }

    /// The bytes.
    #[inline]
    pub fn pending(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// How many bytes of memory are held.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The first `count` bytes are done with.
    #[inline]
    pub fn consume(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.end, "what is consumed has arrived");
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// The capacity that the buffer should have for the next read, when the request at hand is
    /// `wanted` bytes long as far as that is known.
    pub fn wish(&self, wanted: Option<usize>) -> usize {
        let capacity = self.bytes.len();
        if self.is_empty() && capacity > Self::KEPT_MAX {
            Self::CAPACITY
        } else if self.len() == capacity {
            let more = grown(capacity, capacity + 1);
            wanted.filter(|wanted| *wanted > capacity).map_or(more, |wanted| more.min(wanted))
        } else if self.filled && capacity < Self::READ_MAX {
            capacity * 2
        } else {
            capacity
        }
    }

    /// Changes the capacity to one that the bytes fit in.
    pub fn set_capacity(&mut self, capacity: usize) {
        self.make_contiguous();
        if capacity < self.bytes.len() {
            self.bytes.truncate(capacity.max(self.end));
            self.bytes.shrink_to_fit();
        } else {
            self.bytes.reserve_exact(capacity - self.bytes.len());
            self.bytes.resize(capacity, 0);
        }
        self.filled = false;
    }

    /// Where the next read puts its bytes; there is room for one at least, if the capacity was
    /// changed as [wished](Self::wish).
    pub fn space(&mut self) -> &mut [u8] {
        // Little room at the end, but some at the start: what waits is at most one request's part.
        if self.start > 0 && self.bytes.len() - self.end < self.bytes.len() / 2 {
            self.make_contiguous();
        }
        &mut self.bytes[self.end..]
    }

    /// A read has put `count` bytes into the [space](Self::space).
    #[inline]
    pub fn received(&mut self, count: usize) {
        self.end += count;
        self.filled = self.end == self.bytes.len();
    }

    fn make_contiguous(&mut self) {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
    }
}

impl Default for Input {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn capacity_follows_what_has_arrived_not_what_is_announced() {
        let mut input = Input::new();
        input.set_capacity(Input::CAPACITY);
        let announced = Some(512 << 20);
        let mut arrived = 0;
        while arrived < 40 << 20 {
            let wish = input.wish(announced);
            assert!(wish <= (2 * arrived).max(Input::CAPACITY), "{wish} after {arrived}");
            input.set_capacity(wish);
            let count = input.space().len();
            assert!(count > 0, "there is no room to read");
            input.received(count);
            arrived += count;
        }
        assert!(input.capacity() <= arrived + arrived / 8);
        input.consume(arrived);
        input.set_capacity(input.wish(None));
        assert_eq!(input.capacity(), Input::CAPACITY);
    }

    #[test]
    fn the_last_growth_is_to_the_length_of_the_request() {
        let mut input = Input::new();
        input.set_capacity(Input::CAPACITY);
        let wanted = Input::CAPACITY + 10;
        let count = input.space().len();
        input.received(count);
        assert_eq!(input.wish(Some(wanted)), wanted);
    }

    #[test]
    fn growth_is_by_a_factor_when_the_length_is_unknown() {
        let mut input = Input::new();
        input.set_capacity(Input::CAPACITY);
        let mut growths = 0;
        while input.len() < 1 << 20 {
            let wish = input.wish(None);
            growths += usize::from(wish != input.capacity());
            input.set_capacity(wish);
            let count = input.space().len();
            input.received(count);
        }
        assert!(growths < 30, "{growths}");
    }

    proptest! {
        #[test]
        fn bytes_come_out_as_they_went_in(
            steps in prop::collection::vec((1usize..9000, 0usize..9000), 1..60),
        ) {
            let (mut input, mut next_in, mut next_out) = (Input::new(), 0u8, 0u8);
            input.set_capacity(Input::CAPACITY);
            for (put, take) in steps {
                input.set_capacity(input.wish(None));
                let space = input.space();
                prop_assert!(!space.is_empty());
                let count = put.min(space.len());
                for byte in &mut space[..count] {
                    *byte = next_in;
                    next_in = next_in.wrapping_add(1);
                }
                input.received(count);
                let count = take.min(input.len());
                for byte in &input.pending()[..count] {
                    prop_assert_eq!(*byte, next_out);
                    next_out = next_out.wrapping_add(1);
                }
                input.consume(count);
            }
        }
    }
}
