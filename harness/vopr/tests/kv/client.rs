//! A client of the server, and what it asks.

use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use raddle_runtime::net::TcpStream;
use raddle_runtime::sleep;
use raddle_vopr::Sim;
use raddle_vopr::linear::{Bytes, MapOp, Recorder, Reply, When};
use raddle_vopr::seeds::Stream;

/// How long a client waits for an answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
pub(crate) const KEYS: [&str; 3] = ["warp", "weft", "n"];

/// The server writes no more.
pub(crate) const REFUSES: &str = "the server has lost its file";

pub(crate) type Calls = Arc<Recorder<MapOp, Reply>>;

/// A connection, and what was received on it and not read yet.
pub(crate) struct Client {
    stream: TcpStream<Sim>,
    input: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, input: Vec::new() })
    }

    pub(crate) fn call(&mut self, operation: &MapOp) -> io::Result<Reply> {
        (&self.stream).write_all(&encode(operation))?;
        self.reply()
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.input.windows(2).position(|two| two == b"\r\n") {
                let mut line: Vec<u8> = self.input.drain(..end + 2).collect();
                line.truncate(end);
                return Ok(line);
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut buffer = [0; 64];
        match (&self.stream).read(&mut buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.input.extend(&buffer[..count]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn reply(&mut self) -> io::Result<Reply> {
        let line = self.line()?;
        let (kind, rest) = line.split_first().expect("a reply has a kind");
        let rest = core::str::from_utf8(rest).expect("text");
        let number = || rest.parse::<i64>().expect("a number");
        Ok(match kind {
            b'+' => Reply::Ok,
            // Whether what was asked for is done nobody knows.
            b'-' if rest.starts_with("MISCONF") => return Err(io::Error::other(REFUSES)),
            b'-' => Reply::Error,
            b':' => Reply::Integer(number()),
            b'$' => match usize::try_from(number()) {
                Err(_) => Reply::Nil,
                Ok(length) => {
                    while self.input.len() < length + 2 {
                        self.fill()?;
                    }
                    let mut value: Vec<u8> = self.input.drain(..length + 2).collect();
                    value.truncate(length);
                    Reply::Value(value.into())
                }
            },
            b'*' => {
                let values = (0..number()).map(|_| match self.reply()? {
                    Reply::Value(value) => Ok(Some(value)),
                    _ => Ok(None),
                });
                Reply::Values(values.collect::<io::Result<_>>()?)
            }
            other => panic!("a reply of the kind {:?}", char::from(*other)),
        })
    }
}

fn encode(operation: &MapOp) -> Vec<u8> {
    let mut words: Vec<Vec<u8>> = Vec::new();
    let mut word = |bytes: &[u8]| words.push(bytes.to_vec());
    let keys = |word: &mut dyn FnMut(&[u8]), name: &str, keys: &[Bytes]| {
        word(name.as_bytes());
        keys.iter().for_each(|key| word(key.as_slice()));
    };
    match operation {
        MapOp::Get(key) => keys(&mut word, "GET", core::slice::from_ref(key)),
        MapOp::Set { key, value, expires, when } => {
            keys(&mut word, "SET", &[key.clone(), value.clone()]);
            if let Some(expires) = expires {
                word(b"PX");
                word(expires.as_millis().to_string().as_bytes());
            }
            match when {
                When::Always => {}
                When::Absent => word(b"NX"),
                When::Present => word(b"XX"),
            }
        }
        MapOp::Del(list) => keys(&mut word, "DEL", list),
        MapOp::Exists(list) => keys(&mut word, "EXISTS", list),
        MapOp::MGet(list) => keys(&mut word, "MGET", list),
        MapOp::Append(key, value) => keys(&mut word, "APPEND", &[key.clone(), value.clone()]),
        MapOp::Incr(key, by) => {
            keys(&mut word, "INCRBY", core::slice::from_ref(key));
            word(by.to_string().as_bytes());
        }
        MapOp::MSet(pairs) => {
            let list: Vec<_> =
                pairs.iter().flat_map(|(key, value)| [key.clone(), value.clone()]).collect();
            keys(&mut word, "MSET", &list);
        }
        MapOp::Expire(key, after) => {
            keys(&mut word, "PEXPIRE", core::slice::from_ref(key));
            word(after.as_millis().to_string().as_bytes());
        }
        MapOp::Persist(key) => keys(&mut word, "PERSIST", core::slice::from_ref(key)),
        MapOp::Pttl(key) => keys(&mut word, "PTTL", core::slice::from_ref(key)),
        MapOp::DbSize => word(b"DBSIZE"),
        MapOp::Flush => word(b"FLUSHALL"),
    }
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).into_bytes());
        bytes.extend(word);
        bytes.extend(b"\r\n");
    }
    bytes
}

/// What a client asks next. Each value is written once, so that an answer says whose it is.
fn next(stream: &mut Stream, process: u32, count: usize) -> MapOp {
    let mut key = || Bytes::from(KEYS[stream.below(KEYS.len())]);
    let (one, other) = (key(), key());
    let value = || Bytes::from(format!("{process}.{count}").into_bytes());
    match stream.below(10) {
        0..=2 => MapOp::Get(one),
        3 => MapOp::set(one, value()),
        4 => MapOp::Set { key: one, value: value(), expires: None, when: When::Absent },
        5 => MapOp::Incr("n".into(), 1),
        6 => MapOp::Del(vec![one, other]),
        7 => MapOp::Append(one, value()),
        8 => MapOp::MGet(vec![one, other]),
        _ => MapOp::MSet(vec![(one, value()), (other, value())]),
    }
}

/// Asks `commands` times. After a failure nobody knows whether the command was carried out, so it
/// stays without an answer, and another client takes over. `refused` is called when the server says
/// that it writes no more.
pub(crate) fn work(
    address: SocketAddr,
    log: &Calls,
    mut stream: Stream,
    number: u32,
    commands: usize,
    refused: &dyn Fn(),
) {
    let (mut process, mut client) = (number, None);
    for count in 0..commands {
        let mut connected = match client.take() {
            Some(client) => client,
            None => match Client::connect(address) {
                Ok(client) => client,
                Err(_) => {
                    sleep::<Sim>(PATIENCE / 20).expect("nobody cancels");
                    continue;
                }
            },
        };
        let operation = next(&mut stream, process, count);
        let id = log.invoke(process, operation.clone());
        match connected.call(&operation) {
            Ok(reply) => {
                log.complete(id, reply);
                client = Some(connected);
            }
            Err(error) => {
                process += 100;
                if error.to_string() == REFUSES {
                    refused();
                }
            }
        }
    }
}
