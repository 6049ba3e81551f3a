//! The command line.

use core::fmt;
use core::str::FromStr;

use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};
use raddle::on::net::{IpAddr, Ipv4Addr};

/// How the server runs. On the command line, or made by hand.
#[derive(Clone, Debug, Parser)]
#[command(name = "raddle-kv", version, about = "A Redis-protocol server on Raddle")]
pub struct Config {
    /// TCP port; 0 lets the system choose
    #[arg(long, default_value_t = 6380)]
    pub port: u16,

    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub bind: IpAddr,

    /// Worker threads [default: as many as there are processors]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: Option<u16>,

    /// How to do I/O
    #[arg(long, value_enum, default_value_t = Driver::Auto)]
    pub driver: Driver,

    /// Connections at the same time
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    pub max_clients: usize,

    /// Bytes that may wait for a subscriber that does not read them
    #[arg(long, value_name = "BYTES", default_value = "32mb")]
    pub output_buffer: Bytes,

    /// What happens to a subscriber for which more would have to wait
    #[arg(long, value_enum, value_name = "POLICY", default_value_t = SlowSubscribers::Disconnect)]
    pub slow_subscribers: SlowSubscribers,

    /// Bytes of all clients' buffers together, beyond which the largest client is cut off
    #[arg(long, value_name = "BYTES", default_value = "1gb")]
    pub client_memory: Bytes,

    /// Whether to keep the keys in an append-only file, and to read it at start
    #[arg(long, value_enum, value_name = "WHETHER", default_value_t = Switch::No)]
    pub appendonly: Switch,

    /// When what is written to the append-only file is made to last
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Fsync::Everysec)]
    pub appendfsync: Fsync,

    /// Name of the append-only file
    #[arg(long, value_name = "NAME", default_value = "appendonly.aof")]
    pub appendfilename: PathBuf,

    /// Directory of the append-only file
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    pub dir: PathBuf,

    /// If the append-only file is damaged: keep what comes before the damage, put the rest aside,
    /// and start
    #[arg(long)]
    pub appendonly_repair: bool,

    /// Rewrite the append-only file when it has grown by so many percent; 0 for never
    #[arg(long, value_name = "PERCENT", default_value_t = 100)]
    pub auto_aof_rewrite_percentage: u32,

    /// Leave the append-only file alone while it is smaller
    #[arg(long, value_name = "BYTES", default_value = "64mb")]
    pub auto_aof_rewrite_min_size: Bytes,

    /// What to tell on standard error
    #[arg(long, value_enum, default_value_t = Log::Warn)]
    pub log: Log,
}

impl Config {
    /// Where the append-only file is.
    pub fn append_only_path(&self) -> PathBuf {
        self.dir.join(Path::new(&self.appendfilename))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: 6380,
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            workers: None,
            driver: Driver::Auto,
            max_clients: 10_000,
            output_buffer: Bytes(32 << 20),
            slow_subscribers: SlowSubscribers::Disconnect,
            client_memory: Bytes(1 << 30),
            appendonly: Switch::No,
            appendfsync: Fsync::Everysec,
            appendfilename: PathBuf::from("appendonly.aof"),
            dir: PathBuf::from("."),
            appendonly_repair: false,
            auto_aof_rewrite_percentage: 100,
            auto_aof_rewrite_min_size: Bytes(64 << 20),
            log: Log::Warn,
        }
    }
}

/// What happens to a subscriber that reads more slowly than others publish: a message comes for it,
/// and more than `--output-buffer` would wait, or there is no memory for it among that of all
/// clients.
///
/// Messages are kept or dropped as a whole, and those that are kept stay in order. Dropped ones are
/// counted in `INFO` (`pubsub_dropped_messages`), once for each subscriber; the subscriber itself is
/// not told. A message larger than `--output-buffer` is dropped under both policies that drop, and
/// nothing is dropped for its sake. `PUBLISH` does not count those for which the new message was
/// dropped.
///
/// Whatever the policy, a client can still be cut off because it has most of what all clients have
/// together: `--client-memory` protects the others.
///
/// There is no policy that makes the publisher wait. A publisher that subscribes to its own channel
/// would wait for itself to read, which it does after it has published; two that subscribe to each
/// other's would wait for each other for ever. And one subscriber that has stopped would stop all
/// publishers, and what else they have to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SlowSubscribers {
    /// It is cut off, with an error: that tells it of its loss
    Disconnect,
    /// It loses the oldest messages that it has not been sent, as many as make room for the new one
    DropOldest,
    /// It does not get the new message
    DropNewest,
}

/// Whether to do something, as Redis writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// Do it
    Yes,
    /// Do not
    No,
}

/// When what is written to the append-only file is made to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fsync {
    /// Before the reply to the command: nothing that a client was told is ever lost
    Always,
    /// Once a second: a crash of the machine loses what was written since
    Everysec,
    /// When the system likes to, and at the end
    No,
}

impl Fsync {
    /// As Redis writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Everysec => "everysec",
            Self::No => "no",
        }
    }
}

/// How to do I/O.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Driver {
    /// io_uring where the kernel allows it, else epoll
    Auto,
    /// io_uring or nothing
    Uring,
    /// epoll
    Epoll,
}

/// How much to tell; each level includes those above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Log {
    /// Nothing
    Off,
    /// What ends the server
    Error,
    /// What cuts off a client
    Warn,
    /// Start and end of the server
    Info,
    /// Every connection
    Debug,
}

/// A number of bytes, written as in Redis: `512`, `64k`, `32mb`, `1gb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub usize);

/// The text is no number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BytesError;

impl fmt::Display for BytesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("write a number of bytes as 65536, 64kb, 32mb or 1gb")
    }
}

impl core::error::Error for BytesError {}

impl FromStr for Bytes {
    type Err = BytesError;

    fn from_str(text: &str) -> Result<Self, BytesError> {
        let text = text.to_ascii_lowercase();
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit: usize = match &text[digits.len()..] {
            "" | "b" => 1,
            "k" => 1000,
            "kb" => 1 << 10,
            "m" => 1_000_000,
            "mb" => 1 << 20,
            "g" => 1_000_000_000,
            "gb" => 1 << 30,
            _ => return Err(BytesError),
        };
        let number: usize = digits.parse().map_err(|_| BytesError)?;
        number.checked_mul(unit).map(Self).ok_or(BytesError)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_arguments_give_the_defaults() {
        let parsed = Config::try_parse_from(["raddle-kv"]).unwrap();
        assert_eq!(format!("{parsed:?}"), format!("{:?}", Config::default()));
    }

    #[test]
    fn sizes_have_redis_units() {
        assert_eq!("64kb".parse(), Ok(Bytes(65536)));
        assert_eq!("5k".parse(), Ok(Bytes(5000)));
        assert_eq!("1GB".parse(), Ok(Bytes(1 << 30)));
        assert_eq!("7".parse(), Ok(Bytes(7)));
        for text in ["", "mb", "-1", "1tb", "99999999999gb"] {
            assert_eq!(text.parse::<Bytes>(), Err(BytesError), "{text:?}");
        }
    }

    #[test]
    fn bad_arguments_are_refused() {
        for arguments in [
            &["--port", "70000"][..],
            &["--workers", "0"],
            &["--driver", "kqueue"],
            &["--slow-subscribers", "block"],
        ] {
            let arguments = [&["raddle-kv"], arguments].concat();
            assert!(Config::try_parse_from(&arguments).is_err(), "{arguments:?}");
        }
    }
}
