//! The servers: started on a port of their own, ended when dropped.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::Error;

/// How long a server may take until it accepts connections.
const START: Duration = Duration::from_secs(30);

/// A server that runs.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    process: Process,
}

/// Ends with its owner.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether a program is on the path.
pub(crate) fn is_installed(program: &str) -> bool {
    let quiet =
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

impl Server {
    /// Starts raddle-kv, which chooses a port and prints it.
    pub(crate) fn raddle(binary: &Path, workers: u64) -> Result<Self, Error> {
        let mut child = Command::new(binary)
            .args(["--port", "0", "--workers", &workers.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Error::new(format!("cannot run {}: {error}", binary.display())))?;
        let output = child.stdout.take();
        let process = Process(child);
        let (sender, receiver) = mpsc::channel();
        // Reads to the end, so that the server never waits for a reader.
        thread::spawn(move || {
            for line in output.into_iter().flat_map(|output| BufReader::new(output).lines()) {
                let _ = line.map(|line| sender.send(line));
            }
        });
        let line = receiver
            .recv_timeout(START)
            .map_err(|_| Error::new(format!("{} printed no address", binary.display())))?;
        let address = listening_address(&line)
            .ok_or_else(|| Error::new(format!("no address in what raddle-kv printed: {line}")))?;
        println!("{line}");
        Ok(Self { name: "raddle-kv", address, process })
    }

    /// Starts redis-server on a free port, without persistence.
    pub(crate) fn redis() -> Result<Self, Error> {
        let failed = |error| Error::new(format!("cannot start redis-server: {error}"));
        // Redis cannot choose a port itself. The one that is free here may be taken until Redis
        // listens; then it says so and ends, and the command is repeated.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr());
        let address = free.map_err(failed)?;
        let child = Command::new("redis-server")
            .args(["--port", &address.port().to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--loglevel", "warning"])
            .stdout(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let mut server = Self { name: "redis-server", address, process: Process(child) };
        server.wait_until_it_accepts()?;
        println!("redis-server listening on {address}");
        Ok(server)
    }

    fn wait_until_it_accepts(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + START;
        while TcpStream::connect(self.address).is_err() {
            if let Ok(Some(status)) = self.process.0.try_wait() {
                return Err(Error::new(format!("{} ended with {status}", self.name)));
            }
            if Instant::now() >= deadline {
                return Err(Error::new(format!("{} does not accept connections", self.name)));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

/// The address in `raddle-kv listening on 127.0.0.1:6380, 2 workers, io_uring`.
fn listening_address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once(" listening on ")?;
    rest.split(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::listening_address;

    #[test]
    fn the_first_line_of_raddle_kv_names_the_address() {
        let line = "raddle-kv listening on 127.0.0.1:6380, 2 workers, io_uring";
        assert_eq!(listening_address(line), "127.0.0.1:6380".parse().ok());
        assert_eq!(
            listening_address("raddle-kv listening on [::1]:9, 1 workers, epoll"),
            "[::1]:9".parse().ok()
        );
        for line in ["", "listening", "raddle-kv listening on nothing, 1 workers"] {
            assert_eq!(listening_address(line), None, "{line}");
        }
    }
}
