//! A child process that is not waited for without end.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stderr: String,
    pub(crate) elapsed: Duration,
}

/// How long a child that was asked to end may take to say what it was doing.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Runs `command` and hands over the lines that it prints. After `patience` it is asked to end,
/// and killed if it does not.
pub(crate) fn run(
    mut command: Command,
    patience: Duration,
    mut line: impl FnMut(&str),
) -> io::Result<Ended> {
    let started = Instant::now();
    let mut child = command.spawn()?;
    let lines = lines(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let mut deadline = started + patience;
    let mut asked = false;
    // The pipe closes when the child ends; a killed one closes it too.
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(text) => line(&text),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if asked => {
                // It may have ended this very moment.
                let _ = child.kill();
                break;
            }
            Err(RecvTimeoutError::Timeout) => {
                ask_to_end(&child);
                asked = true;
                deadline = Instant::now() + LAST_WORDS;
            }
        }
    }
    let status = child.wait()?;
    let stderr = stderr.recv().unwrap_or_default();
    Ok(Ended { status, stderr, elapsed: started.elapsed() })
}

fn ask_to_end(child: &Child) {
    if let Ok(id) = i32::try_from(child.id()) {
        // SAFETY: a call without pointers. The child has not been waited for, so the id is its own.
        // It may have ended this very moment, which is as well.
        unsafe { libc::kill(id, libc::SIGTERM) };
    }
}

/// Reads a pipe line by line in a thread of its own, so that the child never waits for us.
fn lines(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let lines = pipe.into_iter().flat_map(|pipe| BufReader::new(pipe).lines());
        // What came before an error is kept; nobody is there to tell if the receiver is gone.
        for line in lines.map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    receiver
}

/// Reads a pipe to its end in a thread of its own.
fn drain(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}
