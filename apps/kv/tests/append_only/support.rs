//! A server in this process, with a directory of its own.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;

use raddle::on::{CancellationToken, DriverKind, Native, runtime};
use raddle_kv::config::{Config, Fsync, Log, Switch};
use raddle_kv::server::Server;

/// A directory that is removed at the end.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("raddle-aof-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("appendonly.aof")
    }

    pub(crate) fn marks(&self) -> PathBuf {
        self.0.join("appendonly.aof.mark")
    }

    /// All files, by name, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    /// Another directory with the same files.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::new();
        for name in self.names() {
            std::fs::copy(self.0.join(&name), copy.0.join(&name)).unwrap();
        }
        copy
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            port: 0,
            workers: Some(2),
            log: Log::Off,
            appendonly: Switch::Yes,
            appendfsync: Fsync::Always,
            dir: self.0.clone(),
            ..Config::default()
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server that runs until it is stopped.
pub(crate) struct Kv {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Kv {
    /// Starts a server.
    pub(crate) fn start(config: Config) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let builder = runtime::Builder::new_in().driver(DriverKind::Epoll);
            let runtime: runtime::Runtime = builder.workers(2).build().unwrap();
            let served = runtime.run(move || {
                let server = Server::<Native>::bind(config)?;
                sender.send((server.local_addr()?, server.stop_token())).unwrap();
                server.run()
            });
            served.unwrap_or_else(|error| panic!("{error}"))
        });
        match receiver.recv() {
            Ok((address, stop)) => Ok(Self { address, stop, thread: Some(thread) }),
            Err(_) => Err(thread.join().unwrap().unwrap_err()),
        }
    }

    pub(crate) fn on(directory: &Directory) -> Self {
        Self::start(directory.config()).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn client(&self) -> redis::Connection {
        let url = format!("redis://{}/", self.address);
        redis::Client::open(url).unwrap().get_connection().unwrap()
    }

    /// Runs commands, each a line of words; the reply of the last one.
    pub(crate) fn run<T: redis::FromRedisValue>(&self, lines: &str) -> T {
        let mut client = self.client();
        let mut last = redis::Value::Nil;
        for line in lines.split(';') {
            let mut words = line.split_whitespace();
            let mut command = redis::cmd(words.next().unwrap());
            words.for_each(|word| {
                command.arg(word);
            });
            last = command.query(&mut client).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
        redis::from_redis_value(last).unwrap()
    }

    pub(crate) fn info(&self, field: &str) -> String {
        let info: String = self.run("INFO");
        let line = info.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
        line.unwrap_or_else(|| panic!("{field}?")).to_owned()
    }

    /// Ends the server, as a signal would.
    pub(crate) fn stop(mut self) -> io::Result<()> {
        self.stop.cancel();
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Kv {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// All keys with their values, in order.
pub(crate) fn contents(kv: &Kv) -> Vec<(String, String)> {
    let mut client = kv.client();
    let mut keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut client).unwrap();
    keys.sort();
    let mut contents = Vec::new();
    for keys in keys.chunks(1000) {
        let values: Vec<String> = redis::cmd("MGET").arg(keys).query(&mut client).unwrap();
        contents.extend(keys.iter().cloned().zip(values));
    }
    contents
}

/// What the server says when it does not start.
pub(crate) fn refusal(directory: &Directory) -> String {
    match Kv::start(directory.config()) {
        Ok(_) => panic!("it starts"),
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
            error.to_string()
        }
    }
}

/// Changes one byte.
pub(crate) fn flip(path: &Path, at: usize, bits: u8) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= bits;
    std::fs::write(path, bytes).unwrap();
}
