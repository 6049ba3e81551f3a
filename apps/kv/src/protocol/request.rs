//! The incremental request parser.
//!
//! A request may arrive in pieces. [`Parser::parse`] is called with all bytes of the request that
//! are there and goes on where it stopped (but for a line that announces a length, which it reads
//! again). The outcome does not depend on the pieces. Nothing is allocated for a length that is
//! only announced: what the parser holds is eight bytes for each argument that has arrived.

use core::fmt;

use super::inline::{self, Unbalanced};
use super::{
    ARRAY_LENGTH_MAX, Args, BULK_LENGTH_MAX, LINE_LENGTH_MAX, REQUEST_LENGTH_MAX, Span,
    parse_integer,
};

/// Why a stream of requests cannot be followed any further. Its `Display` is Redis's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// No end of line within [`LINE_LENGTH_MAX`] in an inline request.
    InlineTooLong,
    /// No end of line within [`LINE_LENGTH_MAX`] after `*`.
    ArrayLineTooLong,
    /// No end of line within [`LINE_LENGTH_MAX`] after `$`.
    BulkLineTooLong,
    /// The number of arguments is not a number, or above [`ARRAY_LENGTH_MAX`].
    ArrayLength,
    /// An argument's length is not a number, negative, or above [`BULK_LENGTH_MAX`].
    BulkLength,
    /// This byte where an argument's `$` should be.
    ExpectedBulk(u8),
    /// An inline request with a quote that is not closed.
    UnbalancedQuotes,
    /// The request as a whole exceeds [`REQUEST_LENGTH_MAX`].
    RequestTooLong,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ERR Protocol error: ")?;
        match self {
            Self::InlineTooLong => f.write_str("too big inline request"),
            Self::ArrayLineTooLong => f.write_str("too big mbulk count string"),
            Self::BulkLineTooLong => f.write_str("too big bulk count string"),
            Self::ArrayLength => f.write_str("invalid multibulk length"),
            Self::BulkLength => f.write_str("invalid bulk length"),
            Self::ExpectedBulk(byte) => write!(f, "expected '$', got '{}'", char::from(*byte)),
            Self::UnbalancedQuotes => f.write_str("unbalanced quotes in request"),
            Self::RequestTooLong => f.write_str("too big request"),
        }
    }
}

impl core::error::Error for ProtocolError {}

/// What [`Parser::parse`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A request of `length` bytes. It has no arguments if it was an empty line or an empty array,
    /// which ask for nothing and get no reply.
    Complete {
        /// How many bytes it took.
        length: usize,
    },
    /// More bytes are needed.
    Incomplete {
        /// As many as make this length in total, at least, if an argument is being received. In
        /// the midst of a line nothing is known.
        length: Option<usize>,
    },
    /// Everything from here on is meaningless.
    Failed(ProtocolError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing of the request was looked at, or the last request is complete.
    Start,
    /// An array whose next `remaining` arguments are to come.
    Array { remaining: usize },
    /// Like `Array`, within an argument of `length` bytes, whose first is at the position.
    Bulk { remaining: usize, length: usize },
}

/// Splits a stream of bytes into requests.
///
/// ```
/// use raddle_kv::protocol::{Parser, Progress};
///
/// let mut parser = Parser::new();
/// let mut input = *b"*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n";
/// assert_eq!(parser.parse(&mut input[..10]), Progress::Incomplete { length: Some(14) });
/// assert_eq!(parser.parse(&mut input), Progress::Complete { length: 22 });
/// assert_eq!(parser.args(&input).at(1), b"hi");
/// ```
#[derive(Debug)]
pub struct Parser {
    spans: Vec<Span>,
    /// In an array: the first byte that was not looked at. At the start: up to here there is no
    /// end of line.
    position: usize,
    state: State,
}

impl Default for Parser {
    fn default() -> Self {
        Self::new()
    }
}

/// A line that holds a number.
enum Line {
    Incomplete,
    TooLong,
    Invalid,
    Number { value: i64, next: usize },
}

impl Parser {
    /// A parser at the beginning of a stream.
    pub const fn new() -> Self {
        Self { spans: Vec::new(), position: 0, state: State::Start }
    }

    /// The arguments of the request that [`parse`](Self::parse) completed; `request` begins with
    /// its bytes.
    #[inline]
    pub fn args<'a>(&'a self, request: &'a [u8]) -> Args<'a> {
        Args { request, spans: &self.spans }
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.spans.capacity() * size_of::<Span>()
    }

    /// Gives back the memory that an unusually long request needed, between two requests.
    pub fn shrink(&mut self) {
        if self.state == State::Start && self.spans.capacity() > 1024 {
            self.spans = Vec::new();
        }
    }

    /// Looks for a request at the start of `input`. After a complete one, the next call begins
    /// with the bytes behind it; after an incomplete one, with the same bytes and more.
    ///
    /// `input` is exclusive because an inline request's escapes are resolved in place.
    #[inline]
    pub fn parse(&mut self, input: &mut [u8]) -> Progress {
        if self.state == State::Start {
            match input.first() {
                None => return Progress::Incomplete { length: None },
                Some(b'*') => {}
                Some(_) => return self.parse_inline(input),
            }
            self.spans.clear();
            let count = match number_line(input, 1) {
                Line::Number { value, next } => {
                    self.position = next;
                    value
                }
                Line::Incomplete => return Progress::Incomplete { length: None },
                Line::TooLong => return Progress::Failed(ProtocolError::ArrayLineTooLong),
                Line::Invalid => return Progress::Failed(ProtocolError::ArrayLength),
            };
            if count > ARRAY_LENGTH_MAX as i64 {
                return Progress::Failed(ProtocolError::ArrayLength);
            }
            self.state = State::Array { remaining: usize::try_from(count).unwrap_or(0) };
        }
        self.parse_array(input)
    }

    fn parse_array(&mut self, input: &[u8]) -> Progress {
        let (mut remaining, mut pending) = match self.state {
            State::Array { remaining } => (remaining, None),
            State::Bulk { remaining, length } => (remaining, Some(length)),
            State::Start => unreachable!("an array has begun"),
        };
        while remaining > 0 {
            let length = match pending.take() {
                Some(length) => length,
                None => match self.bulk_length(input) {
                    Ok(Some(length)) => length,
                    Ok(None) => {
                        self.state = State::Array { remaining };
                        return Progress::Incomplete { length: None };
                    }
                    Err(error) => return Progress::Failed(error),
                },
            };
            let end = self.position + length;
            if end + 2 > REQUEST_LENGTH_MAX {
                return Progress::Failed(ProtocolError::RequestTooLong);
            }
            if end + 2 > input.len() {
                self.state = State::Bulk { remaining, length };
                return Progress::Incomplete { length: Some(end + 2) };
            }
            self.spans.push(Span::new(self.position, end));
            self.position = end + 2;
            remaining -= 1;
        }
        self.state = State::Start;
        Progress::Complete { length: core::mem::take(&mut self.position) }
    }

    /// Reads the line that announces an argument; `None` if it is not all there.
    #[inline]
    fn bulk_length(&mut self, input: &[u8]) -> Result<Option<usize>, ProtocolError> {
        let start = self.position;
        let Some(&byte) = input.get(start) else { return Ok(None) };
        // Redis notices a wrong first byte only when it has the line.
        let line = if byte == b'$' {
            number_line(input, start + 1)
        } else {
            odd_number_line(input, start)
        };
        match line {
            Line::Incomplete => Ok(None),
            Line::TooLong => Err(ProtocolError::BulkLineTooLong),
            _ if byte != b'$' => Err(ProtocolError::ExpectedBulk(byte)),
            Line::Invalid => Err(ProtocolError::BulkLength),
            Line::Number { value, next } => {
                let length = usize::try_from(value).map_err(|_| ProtocolError::BulkLength)?;
                if length > BULK_LENGTH_MAX {
                    return Err(ProtocolError::BulkLength);
                }
                self.position = next;
                Ok(Some(length))
            }
        }
    }

    fn parse_inline(&mut self, input: &mut [u8]) -> Progress {
        let seen = core::mem::take(&mut self.position);
        let window = input.len().min(LINE_LENGTH_MAX);
        let Some(offset) = input[seen..window].iter().position(|&byte| byte == b'\n') else {
            if input.len() > LINE_LENGTH_MAX {
                return Progress::Failed(ProtocolError::InlineTooLong);
            }
            self.position = window;
            return Progress::Incomplete { length: None };
        };
        let end = seen + offset;
        self.spans.clear();
        match inline::split(input, end, &mut self.spans) {
            Ok(()) => Progress::Complete { length: end + 1 },
            Err(Unbalanced) => Progress::Failed(ProtocolError::UnbalancedQuotes),
        }
    }
}

/// Reads a number from `start` to the end of the line. Like Redis it looks for the carriage return
/// and takes the byte behind it on trust.
#[inline]
fn number_line(input: &[u8], start: usize) -> Line {
    // Short numbers without a sign are all that well-behaved clients send.
    let mut value: i64 = 0;
    let mut position = start;
    while let Some(&byte) = input.get(position) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            let canonical = position == start + 1 || position > start && input[start] != b'0';
            if byte == b'\r' && canonical && position + 1 < input.len() {
                return Line::Number { value, next: position + 2 };
            }
            break;
        }
        if position - start >= 18 {
            break;
        }
        value = value * 10 + i64::from(digit);
        position += 1;
    }
    odd_number_line(input, start)
}

/// All that is not a short number, or not all there.
#[cold]
fn odd_number_line(input: &[u8], start: usize) -> Line {
    let rest = input.get(start..).unwrap_or_default();
    let window = &rest[..rest.len().min(LINE_LENGTH_MAX)];
    match window.iter().position(|&byte| byte == b'\r') {
        None if rest.len() > LINE_LENGTH_MAX => Line::TooLong,
        None => Line::Incomplete,
        Some(length) if length + 1 >= rest.len() => Line::Incomplete,
        Some(length) => match parse_integer(&rest[..length]) {
            Some(value) => Line::Number { value, next: start + length + 2 },
            None => Line::Invalid,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All requests in `stream`, delivered in pieces that end at `cuts`, and the error at the end
    /// if there is one.
    fn requests(stream: &[u8], cuts: &[usize]) -> (Vec<Vec<Vec<u8>>>, Option<ProtocolError>) {
        let mut parser = Parser::new();
        let (mut buffer, mut found) = (Vec::new(), Vec::new());
        let mut arrived = 0;
        for &cut in cuts.iter().chain([&stream.len()]) {
            buffer.extend_from_slice(&stream[arrived..cut]);
            arrived = cut;
            loop {
                match parser.parse(&mut buffer) {
                    Progress::Complete { length } => {
                        if !parser.spans.is_empty() {
                            let args = parser.args(&buffer);
                            found.push(args.from(0).map(<[u8]>::to_vec).collect());
                        }
                        buffer.drain(..length);
                    }
                    Progress::Incomplete { length } => {
                        let more = length.is_none_or(|length| length > buffer.len());
                        assert!(more, "it asks for what it has");
                        break;
                    }
                    Progress::Failed(error) => return (found, Some(error)),
                }
                assert!(parser.memory() <= 64 + 2 * 8 * arrived, "memory is bounded by input");
            }
        }
        (found, None)
    }

    fn encode(request: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = format!("*{}\r\n", request.len()).into_bytes();
        for argument in request {
            bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
            bytes.extend_from_slice(argument);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes
    }

    fn fails_with(stream: &[u8], error: ProtocolError) {
        for cut in 0..stream.len().min(64) {
            let (found, failure) = requests(stream, &[cut]);
            assert_eq!(failure, Some(error), "{:?}", String::from_utf8_lossy(stream));
            assert!(found.is_empty());
        }
    }

    #[test]
    fn malformed_requests_are_named_as_redis_names_them() {
        use ProtocolError::*;
        fails_with(b"*x\r\n", ArrayLength);
        fails_with(b"*\r\n", ArrayLength);
        fails_with(b"*01\r\n", ArrayLength);
        fails_with(b"*1048577\r\n", ArrayLength);
        fails_with(b"*99999999999999999999\r\n", ArrayLength);
        fails_with(b"*1\r\nfoo\r\n", ExpectedBulk(b'f'));
        fails_with(b"*1\r\n\r\n", ExpectedBulk(b'\r'));
        fails_with(b"*1\r\n$-1\r\n", BulkLength);
        fails_with(b"*1\r\n$x\r\n", BulkLength);
        fails_with(b"*1\r\n$536870913\r\n", BulkLength);
        fails_with(b"get \"a\r\n", UnbalancedQuotes);
        fails_with(&[b'a'; LINE_LENGTH_MAX + 1], InlineTooLong);
        fails_with(&[&b"*"[..], &[b'1'; LINE_LENGTH_MAX + 1]].concat(), ArrayLineTooLong);
        fails_with(&[&b"*1\r\n$"[..], &[b'1'; LINE_LENGTH_MAX + 1]].concat(), BulkLineTooLong);
        assert_eq!(ExpectedBulk(b'x').to_string(), "ERR Protocol error: expected '$', got 'x'");
    }

    #[test]
    fn empty_requests_ask_for_nothing() {
        let (found, error) = requests(b"\r\n*0\r\n*-1\r\n  \r\nping\r\n", &[]);
        assert_eq!((found, error), (vec![vec![b"ping".to_vec()]], None));
    }

    #[test]
    fn announced_lengths_allocate_nothing() {
        let mut parser = Parser::new();
        let mut input = *b"*1048576\r\n$536870912\r\n";
        let length = Some(input.len() + 536_870_912 + 2);
        assert_eq!(parser.parse(&mut input), Progress::Incomplete { length });
        assert_eq!(parser.memory(), 0);
    }

    #[test]
    fn requests_as_a_whole_are_bounded() {
        let mut parser = Parser::new();
        // Pretend that two of three arguments of 512 MB have arrived.
        parser.position = REQUEST_LENGTH_MAX - 100;
        parser.state = State::Bulk { remaining: 1, length: 200 };
        let progress = parser.parse(&mut [b'x'; 10]);
        assert_eq!(progress, Progress::Failed(ProtocolError::RequestTooLong));
    }

    fn request() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..6)
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_requests(sent in prop::collection::vec(request(), 1..5)) {
            let stream: Vec<u8> = sent.iter().flat_map(|request| encode(request)).collect();
            for cut in 0..=stream.len() {
                prop_assert_eq!(requests(&stream, &[cut]), (sent.clone(), None));
            }
            let each_byte: Vec<usize> = (0..stream.len()).collect();
            prop_assert_eq!(requests(&stream, &each_byte), (sent, None));
        }

        #[test]
        fn any_split_of_noise_gives_the_same_outcome(
            stream in "([*$][-0-9]{0,3}\r\n|[a-c\"' \\\\x]{0,6}|\r\n|\\*2\r\n\\$1\r\na\r\n){0,12}",
        ) {
            let stream = stream.as_bytes();
            let whole = requests(stream, &[]);
            for cut in 0..=stream.len() {
                prop_assert_eq!(&requests(stream, &[cut]), &whole);
            }
            let each_byte: Vec<usize> = (0..stream.len()).collect();
            prop_assert_eq!(&requests(stream, &each_byte), &whole);
        }

        #[test]
        fn random_bytes_never_panic(stream in prop::collection::vec(any::<u8>(), 0..300)) {
            requests(&stream, &[]);
        }
    }
}
