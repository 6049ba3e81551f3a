//! Replies, in both versions of the protocol.
//!
//! An [`Output`] is the connection's buffer of replies that are not sent yet. Its capacity is what
//! the connection has paid for out of the server's memory for clients, and writing a reply never
//! grows it: a command whose reply may be long asks for [`room`](Output::room) first and gives up
//! with the [`Shortage`] before it has changed anything; the connection makes room and runs it
//! again. Short replies need not ask, because the connection keeps [`Output::RESERVE`] bytes free.

use super::number::Decimal;

/// Which version a client speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// What every client begins with.
    #[default]
    Resp2,
    /// What `HELLO 3` asks for: maps, sets, pushes, and a null of its own.
    Resp3,
}

/// A reply does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// How many free bytes it needs.
    pub bytes: usize,
}

/// Replies that wait to be sent.
#[derive(Debug)]
pub struct Output {
    bytes: Vec<u8>,
    protocol: Protocol,
}

impl Output {
    /// Bytes that are free before each command, for replies that do not ask for room.
    pub const RESERVE: usize = 1024;

    /// An empty buffer of this capacity.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity), protocol: Protocol::Resp2 }
    }

    /// The version in which replies are written.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Changes the version from the next reply on.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// What waits.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bytes wait.
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How many bytes fit.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Free bytes.
    #[inline]
    pub fn spare(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }

    /// Drops all but the first `length` bytes.
    #[inline]
    pub fn truncate(&mut self, length: usize) {
        self.bytes.truncate(length);
    }

    /// Makes the capacity `capacity`, or as little more or as much less as the contents allow.
    pub fn set_capacity(&mut self, capacity: usize) {
        if capacity > self.bytes.capacity() {
            self.bytes.reserve_exact(capacity - self.bytes.len());
        } else {
            self.bytes.shrink_to(capacity);
        }
    }

    /// Makes sure that a bulk string of `length` bytes fits and still leaves the reserve.
    ///
    /// # Errors
    /// What is missing, if it does not fit.
    #[inline]
    pub fn room(&self, length: usize) -> Result<(), Shortage> {
        let bytes = length.saturating_add(Self::RESERVE);
        if bytes <= self.spare() { Ok(()) } else { Err(Shortage { bytes }) }
    }

    /// Bytes that are encoded already.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.len() <= self.spare(), "a reply is longer than the room for it");
        self.bytes.extend_from_slice(bytes);
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.raw(b"+OK\r\n");
    }

    /// A status.
    #[inline]
    pub fn simple(&mut self, status: &str) {
        self.raw(b"+");
        self.raw(status.as_bytes());
        self.raw(b"\r\n");
    }

    /// An error; `message` begins with its code. Line breaks in it become spaces.
    pub fn error(&mut self, message: &[u8]) {
        self.raw(b"-");
        let start = self.bytes.len();
        self.raw(message);
        for byte in &mut self.bytes[start..] {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        self.raw(b"\r\n");
    }

    /// An integer.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        // Counts and flags are most of what is sent.
        match value {
            0 => self.raw(b":0\r\n"),
            1 => self.raw(b":1\r\n"),
            _ => self.header(b':', Decimal::from(value)),
        }
    }

    /// A count, as an integer.
    #[inline]
    pub fn count(&mut self, value: usize) {
        self.integer(i64::try_from(value).unwrap_or(i64::MAX));
    }

    /// A bulk string.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        if bytes.len() < 10 {
            self.raw(&[b'$', b'0' + bytes.len() as u8, b'\r', b'\n']);
        } else {
            self.header(b'$', Decimal::from(bytes.len() as u64));
        }
        self.raw(bytes);
        self.raw(b"\r\n");
    }

    /// Text that a client may show as it is.
    pub fn verbatim(&mut self, text: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                self.header(b'=', Decimal::from(text.len() as u64 + 4));
                self.raw(b"txt:");
                self.raw(text);
                self.raw(b"\r\n");
            }
        }
    }

    /// Nothing.
    #[inline]
    pub fn null(&mut self) {
        match self.protocol {
            Protocol::Resp2 => self.raw(b"$-1\r\n"),
            Protocol::Resp3 => self.raw(b"_\r\n"),
        }
    }

    /// The head of an array of `length` replies, which follow.
    #[inline]
    pub fn array(&mut self, length: usize) {
        self.header(b'*', Decimal::from(length as u64));
    }

    /// The head of a map of `length` pairs, which follow; a flat array in the old version.
    pub fn map(&mut self, length: usize) {
        match self.protocol {
            Protocol::Resp2 => self.array(length * 2),
            Protocol::Resp3 => self.header(b'%', Decimal::from(length as u64)),
        }
    }

    /// The head of a set of `length` replies, which follow; an array in the old version.
    pub fn set(&mut self, length: usize) {
        match self.protocol {
            Protocol::Resp2 => self.array(length),
            Protocol::Resp3 => self.header(b'~', Decimal::from(length as u64)),
        }
    }

    /// The head of a push, which is no reply; an array in the old version.
    pub fn push(&mut self, length: usize) {
        match self.protocol {
            Protocol::Resp2 => self.array(length),
            Protocol::Resp3 => self.header(b'>', Decimal::from(length as u64)),
        }
    }

    /// Puts what `write` writes in front of what was written since the buffer was `start` long,
    /// for arrays whose length is known only at the end.
    pub fn prepend(&mut self, start: usize, write: impl FnOnce(&mut Self)) {
        let end = self.bytes.len();
        write(self);
        let head = self.bytes.len() - end;
        self.bytes[start..].rotate_right(head);
    }

    /// Exchanges the buffer, which is empty, for `bytes`, if they leave room for `more`.
    pub fn exchange(&mut self, bytes: &mut Vec<u8>, more: usize) -> bool {
        debug_assert!(self.bytes.is_empty(), "only an empty buffer can be given away");
        let fits = bytes.capacity() - bytes.len() >= more.saturating_add(Self::RESERVE);
        if fits {
            core::mem::swap(&mut self.bytes, bytes);
        }
        fits
    }

    #[inline]
    fn header(&mut self, kind: u8, value: Decimal) {
        let digits = value.as_bytes();
        let mut line = [0; 23];
        line[0] = kind;
        line[1..1 + digits.len()].copy_from_slice(digits);
        line[1 + digits.len()..3 + digits.len()].copy_from_slice(b"\r\n");
        self.raw(&line[..3 + digits.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(protocol: Protocol, write: impl FnOnce(&mut Output)) -> String {
        let mut output = Output::with_capacity(4096);
        output.set_protocol(protocol);
        write(&mut output);
        String::from_utf8_lossy(output.as_bytes()).into_owned()
    }

    fn all(output: &mut Output) {
        output.map(1);
        output.bulk(b"key");
        output.set(1);
        output.integer(-7);
        output.push(2);
        output.null();
        output.verbatim(b"some text");
        output.error(b"ERR line\r\nbreak");
    }

    #[test]
    fn each_version_has_its_own_types() {
        assert_eq!(
            written(Protocol::Resp2, all),
            "*2\r\n$3\r\nkey\r\n*1\r\n:-7\r\n*2\r\n$-1\r\n$9\r\nsome text\r\n\
             -ERR line  break\r\n"
        );
        assert_eq!(
            written(Protocol::Resp3, all),
            "%1\r\n$3\r\nkey\r\n~1\r\n:-7\r\n>2\r\n_\r\n=13\r\ntxt:some text\r\n\
             -ERR line  break\r\n"
        );
    }

    #[test]
    fn a_head_can_be_put_in_front_later() {
        let text = written(Protocol::Resp2, |output| {
            output.ok();
            let start = output.len();
            output.bulk(b"a");
            output.bulk(b"long enough to have two digits");
            output.prepend(start, |output| output.array(2));
        });
        assert_eq!(text, "+OK\r\n*2\r\n$1\r\na\r\n$30\r\nlong enough to have two digits\r\n");
    }

    #[test]
    fn writing_within_the_room_never_grows_the_buffer() {
        let mut output = Output::with_capacity(Output::RESERVE + 100);
        let capacity = output.capacity();
        assert_eq!(output.room(101), Err(Shortage { bytes: Output::RESERVE + 101 }));
        assert_eq!(output.room(100), Ok(()));
        output.bulk(&[b'x'; 100]);
        assert_eq!(output.capacity(), capacity);
    }
}
