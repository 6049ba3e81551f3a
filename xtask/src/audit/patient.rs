//! A process that is not waited for without end.

use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// What a process printed, and how it ended.
pub(crate) struct Output {
    /// Its standard output; if it refused its command line, its standard error.
    pub(crate) text: String,
    /// None if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) seconds: f64,
}

/// Runs `command`, and kills it after `patience`.
pub(crate) fn output(mut command: Command, patience: Duration) -> io::Result<Output> {
    let started = Instant::now();
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    // The pipe closes when the child ends; a killed one closes it too.
    let mut text = stdout.recv_timeout(patience).or_else(|_| {
        // It may have ended this very moment.
        let _ = child.kill();
        stdout.recv()
    });
    let status = child.wait()?;
    if status.code() == Some(2) {
        text = stderr.recv();
    }
    let seconds = started.elapsed().as_secs_f64();
    Ok(Output { text: text.unwrap_or_default(), code: status.code(), seconds })
}

/// Reads a pipe to its end in a thread of its own, so that the child never waits for us.
fn drain(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What came before an error is kept; nobody is there to tell if the receiver is gone.
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}
