//! A connection: one fiber between a socket and a session.
//!
//! ```text
//!             ┌────────┐  requests   ┌─────────┐   replies   ┌────────┐
//!   socket ──▶│ Input  │────────────▶│ Session │────────────▶│ Output │──▶ socket
//!             └────────┘             └─────────┘             └────────┘
//!                                         outbox ── messages ──▲
//! ```
//! The fiber runs all requests that have arrived, sends all replies with one write, and waits for
//! more. It holds a bounded number of replies: a client that sends requests and does not read is
//! not read from either.
//!
//! All buffers are paid for out of the [`Ledger`](crate::memory::Ledger) before they grow. When the
//! client is cut off, its token is cancelled; the fiber then gets an error from whatever it waits
//! in, and ends.

use core::convert::Infallible;
use core::fmt;
use core::time::Duration;
use std::io::{self, Read as _, Write as _};

use raddle::is_cancelled_error;
use raddle::on::net::{Shutdown, TcpStream};
use raddle::on::{Atomic, Clock, Native, Ordering, Platform};

use crate::aof::Unsettled;
use crate::client::Cut;
use crate::commands::Interruption;
use crate::input::Input;
use crate::memory::Exhausted;
use crate::protocol::{Output, Parser, Progress, ProtocolError};
use crate::session::Session;

/// Why a connection ended.
#[derive(Debug)]
pub enum End {
    /// The client closed it, or asked for it.
    Closed,
    /// What it sent makes no sense.
    Protocol(ProtocolError),
    /// It took too much.
    Cut(Cut),
    /// The server ends.
    Stopped,
    /// What it has changed could not be written to the append-only file.
    Unsettled,
    /// The socket failed.
    Io(io::Error),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed"),
            Self::Protocol(error) => write!(f, "closed: {error}"),
            Self::Cut(cut) => write!(f, "cut off: {}", cut.message()),
            Self::Stopped => f.write_str("closed by shutdown"),
            Self::Unsettled => f.write_str("closed: the append-only file could not be written"),
            Self::Io(error) => write!(f, "lost: {error}"),
        }
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        if is_cancelled_error(&error) { Self::Stopped } else { Self::Io(error) }
    }
}

impl From<Unsettled> for End {
    fn from(_: Unsettled) -> Self {
        Self::Unsettled
    }
}

impl From<Exhausted> for End {
    fn from(_: Exhausted) -> Self {
        Self::Stopped
    }
}

/// A client's socket with its buffers.
pub struct Connection<'s, P: Platform = Native> {
    stream: &'s TcpStream<P>,
    session: Session<'s, P>,
    parser: Parser,
    input: Input,
    out: Output,
    /// What is paid for the parser.
    parser_memory: usize,
    /// Whether a part of the replies in the buffer may have been sent.
    sending: bool,
}

impl<'s, P: Platform> Connection<'s, P> {
    /// The capacity of a new buffer of replies, and of one that was large.
    const OUT_CAPACITY: usize = 4 << 10;
    /// Replies are sent when there are so many bytes, although more requests wait.
    const OUT_FULL: usize = 64 << 10;

    /// A larger buffer is given back when it was sent.
    const OUT_KEPT_MAX: usize = 256 << 10;

    /// Serves a client until one of both ends it.
    pub fn serve(stream: &'s TcpStream<P>, session: Session<'s, P>) -> End {
        let mut connection = Self {
            stream,
            session,
            parser: Parser::new(),
            input: Input::default(),
            out: Output::with_capacity(0),
            parser_memory: 0,
            sending: false,
        };
        let Err(end) = connection.run();
        // A client that is cut off learns of it by a failure of what it was about.
        let end = match connection.session.client.fate() {
            Some(cut) => End::Cut(cut),
            None => end,
        };
        connection.say_goodbye(&end);
        end
    }

    fn run(&mut self) -> Result<Infallible, End> {
        self.resize_out(Self::OUT_CAPACITY)?;
        self.resize_input(Input::CAPACITY)?;
        loop {
            let wanted = self.run_requests()?;
            self.collect()?;
            self.flush()?;
            self.describe();
            self.receive(wanted)?;
        }
    }

    /// Runs the requests that are there. Returns how long the next one is, as far as it is known.
    fn run_requests(&mut self) -> Result<Option<usize>, End> {
        loop {
            match self.parser.parse(self.input.pending()) {
                Progress::Complete { length } => {
                    self.run_request()?;
                    self.input.consume(length);
                }
                Progress::Incomplete { length } => return Ok(length),
                Progress::Failed(error) => return Err(End::Protocol(error)),
            }
        }
    }

    /// Runs the request that the parser has completed.
    fn run_request(&mut self) -> Result<(), End> {
        loop {
            if self.session.subscriptions() > 0 {
                self.collect()?;
            }
            if self.out.spare() < Output::RESERVE {
                self.make_room(Output::RESERVE)?;
            }
            let args = self.parser.args(self.input.pending());
            if args.is_empty() {
                return Ok(());
            }
            match self.session.execute(args, &mut self.out) {
                Ok(()) => return Ok(()),
                Err(Interruption::Room(bytes)) => self.make_room(bytes)?,
                Err(Interruption::Close) => return Err(End::Closed),
            }
        }
    }

    /// Makes room for `bytes` of replies: by a larger buffer while it is small, then by sending
    /// what is there, then by a buffer as large as needed.
    fn make_room(&mut self, bytes: usize) -> Result<(), End> {
        let full = self.out.capacity() >= Self::OUT_FULL;
        let fits = self.out.len() + bytes <= Self::OUT_FULL;
        if full || !fits {
            self.flush()?;
        }
        if self.out.spare() >= bytes {
            return Ok(());
        }
        let needed = self.out.len() + bytes;
        let capacity = needed.max((2 * self.out.capacity()).min(Self::OUT_FULL));
        self.resize_out(capacity)
    }

    fn resize_out(&mut self, capacity: usize) -> Result<(), End> {
        let (ledger, client) = (&self.session.shared.ledger, &self.session.client);
        let before = self.out.capacity();
        let growth = capacity.saturating_sub(before);
        ledger.charge(client, growth)?;
        self.out.set_capacity(capacity);
        ledger.settle(client, before + growth, self.out.capacity());
        Ok(())
    }

    /// Moves messages from the outbox behind the replies. Ends the connection of a client that is cut
    /// off: messages of its may be gone, and what follows would hide it.
    fn collect(&mut self) -> Result<(), End> {
        while let Err(shortage) = self.session.collect(&mut self.out, 0) {
            self.make_room(shortage.bytes)?;
        }
        match self.session.client.fate() {
            Some(cut) => Err(End::Cut(cut)),
            None => Ok(()),
        }
    }

    /// Sends everything.
    fn flush(&mut self) -> Result<(), End> {
        if self.session.unsettled.is_some() {
            self.session.settle(&mut self.out)?;
        }
        if self.out.is_empty() {
            return Ok(());
        }
        self.session.tally.sent += self.out.len() as u64;
        self.sending = true;
        write_all(self.stream, self.out.as_bytes())?;
        self.sending = false;
        self.out.truncate(0);
        self.session.sent();
        if self.out.capacity() > Self::OUT_KEPT_MAX {
            self.resize_out(Self::OUT_CAPACITY)?;
        }
        Ok(())
    }

    /// Waits for bytes, or for messages, and takes what is there.
    fn receive(&mut self, wanted: Option<usize>) -> Result<(), End> {
        self.prepare_input(wanted)?;
        let stream = self.stream;
        let count = if self.session.subscriptions() > 0 {
            let client = &self.session.client;
            let wake = || client.has_news() || client.fate().is_some();
            if !stream.readable_or(wake)? {
                return Ok(());
            }
            match stream.try_read(self.input.space()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                done => done?,
            }
        } else {
            (&*stream).read(self.input.space())?
        };
        if count == 0 {
            return Err(End::Closed);
        }
        self.input.received(count);
        self.session.tally.received += count as u64;
        let now = P::Clock::now().as_nanos();
        self.session.client.activity.last_ns.store(now, Ordering::Relaxed);
        Ok(())
    }

    /// Pays for the parser's memory and for the input buffer that the next read needs.
    fn prepare_input(&mut self, wanted: Option<usize>) -> Result<(), End> {
        let (ledger, client) = (&self.session.shared.ledger, &self.session.client);
        if self.input.is_empty() {
            self.parser.shrink();
        }
        let memory = self.parser.memory();
        if memory > self.parser_memory {
            ledger.charge(client, memory - self.parser_memory)?;
        } else {
            ledger.release(client, self.parser_memory - memory);
        }
        self.parser_memory = memory;

        let wish = self.input.wish(wanted);
        if wish != self.input.capacity() { self.resize_input(wish) } else { Ok(()) }
    }

    fn resize_input(&mut self, capacity: usize) -> Result<(), End> {
        let (ledger, client) = (&self.session.shared.ledger, &self.session.client);
        let before = self.input.capacity();
        let growth = capacity.saturating_sub(before);
        ledger.charge(client, growth)?;
        self.input.set_capacity(capacity);
        ledger.settle(client, before + growth, self.input.capacity());
        Ok(())
    }

    /// Reports what was done since the last time.
    fn describe(&mut self) {
        self.session.shared.stats.report(&mut self.session.tally);
        let activity = &self.session.client.activity;
        activity.input.store(self.input.len(), Ordering::Relaxed);
        activity.output.store(self.out.len(), Ordering::Relaxed);
    }

    /// Sends what is ready, tells the client why it is left, and ends the stream, if all that can
    /// be done without waiting: the client may be one that does not read.
    fn say_goodbye(&mut self, end: &End) {
        // If that fails, the error is among the replies.
        let _: Result<(), Unsettled> = self.session.settle(&mut self.out);
        // Behind half a reply nothing would be understood.
        if self.sending || self.flush().is_err() {
            return;
        }
        let message = match end {
            End::Cut(cut) => format!("-{}\r\n", cut.message()),
            End::Protocol(error) => format!("-{error}\r\n"),
            End::Closed | End::Stopped | End::Unsettled => String::new(),
            End::Io(_) => return,
        };
        if write_all(self.stream, message.as_bytes()).is_ok() {
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }
}

/// Sends all `bytes`; waits only if the socket takes no more. So what is ready is sent even by a
/// fiber that was cancelled.
fn write_all<P: Platform>(stream: &TcpStream<P>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = match stream.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (&*stream).write(bytes),
            done => done,
        };
        match written {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads and forgets what the client still sends, until it closes or `LINGER` is over. A socket
/// that is closed with bytes unread resets the connection, and the client would lose the error
/// that was meant for it.
pub fn linger<P: Platform>(stream: &TcpStream<P>) {
    const LINGER: Duration = Duration::from_secs(3);
    let deadline = P::Clock::now() + LINGER;
    let mut buffer = [0; 16 << 10];
    loop {
        let rest = deadline - P::Clock::now();
        if rest.is_zero() || stream.set_read_timeout(Some(rest)).is_err() {
            return;
        }
        match (&*stream).read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}
