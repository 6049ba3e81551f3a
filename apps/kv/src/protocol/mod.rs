//! The Redis serialisation protocol: requests in, replies out.
//!
//! Requests are parsed where they lie. The [`Parser`] leaves the bytes in the connection's input
//! buffer and remembers where each argument begins and ends; [`Args`] shows them as slices. Replies
//! are written straight into the connection's [`Output`].

mod inline;
mod number;
mod output;
mod request;

pub use number::{Decimal, parse_integer};
pub use output::{Output, Protocol, Shortage};
pub use request::{Parser, Progress, ProtocolError};

/// The longest bulk string and the longest value, as in Redis.
pub const BULK_LENGTH_MAX: usize = 512 << 20;
/// The most arguments of one request.
pub const ARRAY_LENGTH_MAX: usize = 1 << 20;
/// The longest inline request, and the longest line that announces a length.
pub const LINE_LENGTH_MAX: usize = 64 << 10;
/// The longest request as a whole, as Redis's `client-query-buffer-limit`.
pub const REQUEST_LENGTH_MAX: usize = 1 << 30;

/// Where an argument lies, counted from the first byte of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// `end` is at most [`REQUEST_LENGTH_MAX`], which the parser enforces.
    #[inline]
    fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }
}

/// The arguments of one request; the first is the command's name.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a> {
    request: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Args<'a> {
    /// How many there are, the name included.
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none: such a request asks for nothing and gets no reply.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The argument at `index`.
    ///
    /// # Panics
    /// If there are not so many.
    #[inline]
    pub fn at(&self, index: usize) -> &'a [u8] {
        let span = self.spans[index];
        &self.request[span.start as usize..span.end as usize]
    }

    /// The argument at `index`, if there are so many.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        let span = self.spans.get(index)?;
        Some(&self.request[span.start as usize..span.end as usize])
    }

    /// The arguments from `start` on.
    #[inline]
    pub fn from(&self, start: usize) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a> {
        let request = self.request;
        self.spans[start.min(self.spans.len())..]
            .iter()
            .map(move |span| &request[span.start as usize..span.end as usize])
    }

    /// Whether the argument at `index` is `word`, in any case of letters.
    #[inline]
    pub fn is(&self, index: usize, word: &str) -> bool {
        self.get(index).is_some_and(|argument| argument.eq_ignore_ascii_case(word.as_bytes()))
    }
}
