//! A child process that is not waited for without end.

use std::io::{self, Read};
use std::process::{Child, Command, Output};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Runs `command` and returns what it wrote, and how long it took. Kills it after `patience`.
pub(crate) fn output(mut command: Command, patience: Duration) -> io::Result<(Output, Duration)> {
    let started = Instant::now();
    let mut child = command.spawn()?;
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    // Both pipes close when the child ends; a killed one closes them too.
    let out = receive(&stdout, &mut child, patience);
    let err = receive(&stderr, &mut child, patience);
    let status = child.wait()?;
    Ok((Output { status, stdout: out, stderr: err }, started.elapsed()))
}

/// Reads a pipe to its end in a thread of its own, so that the child never waits for us.
fn drain(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What came before an error is kept; nobody is there to tell if the receiver is gone.
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = sender.send(bytes);
    });
    receiver
}

fn receive(pipe: &mpsc::Receiver<Vec<u8>>, child: &mut Child, patience: Duration) -> Vec<u8> {
    if let Ok(bytes) = pipe.recv_timeout(patience) {
        return bytes;
    }
    // It may have ended this very moment.
    let _ = child.kill();
    pipe.recv().unwrap_or_default()
}
