//! The server as a process of its own.

#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Long enough for a machine that is busy with something else.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A server that is killed when it is dropped.
pub struct Server {
    process: Child,
    stdout: BufReader<ChildStdout>,
    pub address: SocketAddr,
    pub banner: String,
    /// Asks for information. One connection for all questions: thousands of short ones would leave
    /// the kernel with as many addresses that it must not use again for a minute.
    monitor: Mutex<Option<redis::Connection>>,
}

impl Server {
    /// Starts a server on a port that the system chooses.
    pub fn start(arguments: &[&str]) -> Self {
        allow_descriptors();
        let mut process = Command::new(env!("CARGO_BIN_EXE_raddle-kv"))
            .args(["--port", "0", "--log", "error"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut stdout = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut banner = String::new();
        stdout.read_line(&mut banner).expect("the server says where it listens");
        let address = banner
            .strip_prefix("raddle-kv listening on ")
            .and_then(|rest| rest.split(',').next())
            .and_then(|address| address.parse().ok())
            .unwrap_or_else(|| panic!("no address in {banner:?}"));
        Self { process, stdout, address, banner, monitor: Mutex::new(None) }
    }

    /// A plain socket.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// A real client.
    pub fn client(&self) -> redis::Connection {
        self.client_of("")
    }

    /// A real client that speaks the new version of the protocol.
    pub fn client3(&self) -> redis::Connection {
        self.client_of("?protocol=resp3")
    }

    fn client_of(&self, options: &str) -> redis::Connection {
        let url = format!("redis://{}/{options}", self.address);
        redis::Client::open(url).unwrap().get_connection().expect("the server answers")
    }

    /// A field of `INFO`.
    pub fn info(&self, field: &str) -> usize {
        let mut monitor = self.monitor.lock().unwrap();
        let monitor = monitor.get_or_insert_with(|| self.client());
        let info: String = redis::cmd("INFO").query(monitor).unwrap();
        let line = info.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
        line.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("{field}?"))
    }

    /// What `/proc` calls `name`, in bytes: `VmRSS` now, `VmHWM` the most so far.
    pub fn memory(&self, name: &str) -> usize {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(&format!("{name}:"))).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    /// Sends a signal.
    pub fn signal(&self, signal: libc::c_int) {
        // SAFETY: the process is a child that was not waited for, so the id is its own.
        let result = unsafe { libc::kill(self.process.id() as libc::pid_t, signal) };
        assert_eq!(result, 0);
    }

    /// Waits for the end.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < PATIENCE, "the server does not end");
            std::thread::yield_now();
        };
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (status, rest)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// As many descriptors as this process, and those that it starts, may have.
fn allow_descriptors() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the calls read and write the structure that they are given.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}

pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}

/// Sends a request and reads until the end of the stream.
pub fn until_closed(mut stream: TcpStream, request: &[u8]) -> String {
    // The server may have closed before it has read everything.
    let _ = stream.write_all(request);
    let mut reply = Vec::new();
    if let Err(error) = stream.read_to_end(&mut reply) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
    }
    String::from_utf8_lossy(&reply).into_owned()
}

/// Sends a request and reads a reply of known length.
pub fn exchange(stream: &mut TcpStream, request: &[u8], length: usize) -> Vec<u8> {
    stream.write_all(request).unwrap();
    let mut reply = vec![0; length];
    stream.read_exact(&mut reply).unwrap();
    reply
}

/// Runs `test` on both drivers, with one worker and with several.
pub fn on_all(test: impl Fn(&Server)) {
    for driver in ["uring", "epoll"] {
        for workers in ["1", "2"] {
            let server = Server::start(&["--driver", driver, "--workers", workers]);
            test(&server);
        }
    }
}
