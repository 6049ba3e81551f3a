//! A client that talks to a session without a socket.

#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use raddle::on::{Arc, Native, task};
use raddle_kv::client::Client;
use raddle_kv::commands::Interruption;
use raddle_kv::config::Config;
use raddle_kv::outbox::Patience;
use raddle_kv::protocol::{Output, Parser, Progress};
use raddle_kv::session::Session;
use raddle_kv::shared::Shared;

/// A server's state that lives as long as the test process.
pub fn server(config: Config) -> &'static Shared<Native> {
    Box::leak(Box::new(Shared::new(config, 2, "none")))
}

/// One end of a conversation.
pub struct Local {
    pub session: Session<'static, Native>,
    pub out: Output,
    parser: Parser,
    input: Vec<u8>,
}

impl Local {
    /// A client of its own server.
    pub fn alone() -> Self {
        Self::of(server(Config::default()))
    }

    /// One of several clients.
    pub fn of(shared: &'static Shared<Native>) -> Self {
        Self::try_of(shared).expect("there is room for clients")
    }

    /// One of several clients, if there is room for it.
    pub fn try_of(shared: &'static Shared<Native>) -> Option<Self> {
        let id = shared.ledger.next_id();
        let waker = task::current_waker::<Native>();
        let patience = Patience::from(&shared.config);
        let (peer, local) = ("peer:1".into(), "local:2".into());
        let client = Client::new(id, peer, local, patience, waker, Box::new(|| ()));
        let session = Session::new(shared, Arc::new(client))?;
        Some(Self { session, out: output(), parser: Parser::new(), input: Vec::new() })
    }

    /// Sends bytes and returns what comes back; `None` at the end if the connection closes.
    pub fn raw(&mut self, request: &[u8]) -> (Vec<u8>, bool) {
        self.input.extend_from_slice(request);
        loop {
            match self.parser.parse(&mut self.input) {
                Progress::Complete { length } => {
                    let args = self.parser.args(&self.input);
                    let closed =
                        args.from(0).len() > 0 && !run(&mut self.session, args, &mut self.out);
                    self.input.drain(..length);
                    if closed {
                        return (self.take(), true);
                    }
                }
                Progress::Incomplete { .. } => return (self.take(), false),
                Progress::Failed(error) => {
                    make_room(&mut self.out, 1024);
                    self.out.error(error.to_string().as_bytes());
                    return (self.take(), true);
                }
            }
        }
    }

    /// Runs a line, with Redis's quoting, and returns the reply.
    pub fn line(&mut self, line: &str) -> String {
        let (reply, _) = self.raw(format!("{line}\r\n").as_bytes());
        String::from_utf8_lossy(&reply).into_owned()
    }

    /// Runs a command and returns the reply.
    pub fn command(&mut self, arguments: &[&[u8]]) -> Vec<u8> {
        self.raw(&encode(arguments)).0
    }

    /// The messages that wait.
    pub fn messages(&mut self) -> String {
        while let Err(shortage) = self.session.collect(&mut self.out, 0) {
            make_room(&mut self.out, shortage.bytes);
        }
        String::from_utf8_lossy(&self.take()).into_owned()
    }

    fn take(&mut self) -> Vec<u8> {
        let bytes = self.out.as_bytes().to_vec();
        self.out.truncate(0);
        self.session.sent();
        bytes
    }
}

/// A request in the form that programs send.
pub fn encode(arguments: &[&[u8]]) -> Vec<u8> {
    let mut request = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        request.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        request.extend_from_slice(argument);
        request.extend_from_slice(b"\r\n");
    }
    request
}

fn output() -> Output {
    Output::with_capacity(2 * Output::RESERVE)
}

fn make_room(out: &mut Output, bytes: usize) {
    if out.spare() < bytes {
        out.set_capacity(out.len() + bytes);
    }
}

fn run(
    session: &mut Session<'static, Native>,
    args: raddle_kv::protocol::Args<'_>,
    out: &mut Output,
) -> bool {
    loop {
        while let Err(shortage) = session.collect(out, 0) {
            make_room(out, shortage.bytes);
        }
        make_room(out, Output::RESERVE);
        let capacity = out.capacity();
        match session.execute(args, out) {
            Ok(()) => {
                // These may exchange the buffer for that of the messages.
                let exchanges = args.at(0).to_ascii_lowercase().ends_with(b"unsubscribe");
                let same = out.capacity() == capacity || exchanges || args.is(0, "reset");
                assert!(same, "a command has grown the buffer of replies");
                return true;
            }
            Err(Interruption::Room(bytes)) => {
                assert!(bytes > out.spare(), "a command asks for room that is there");
                make_room(out, bytes);
            }
            Err(Interruption::Close) => return false,
        }
    }
}

/// Tells the other threads to stop, also when this one panics.
pub struct Stop<'a>(pub &'a std::sync::atomic::AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}
