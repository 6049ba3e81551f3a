//! What is being measured, how far that is, and how long it still takes.
//!
//! On a terminal it is one line that is written over. Elsewhere it is a line for each measurement
//! that ended, so that whoever reads a log sees that something goes on, too.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// What a measurement takes, before one of this run says it: warm-up, samples, analysis.
const FIRST_GUESS: Duration = Duration::from_secs(3);

/// The progress of one run.
pub(super) struct Progress {
    start: Instant,
    all: usize,
    done: usize,
    terminal: bool,
}

impl Progress {
    /// Of a run with `all` measurements.
    pub(super) fn new(all: usize) -> Self {
        Self { start: Instant::now(), all, done: 0, terminal: io::stderr().is_terminal() }
    }

    /// A measurement begins.
    pub(super) fn begun(&self, what: &str) {
        if self.terminal {
            let _ = write!(io::stderr(), "\r\x1b[K{}", self.line(what));
            let _ = io::stderr().flush();
        }
    }

    /// A measurement is over.
    pub(super) fn ended(&mut self, what: &str) {
        self.done = (self.done + 1).min(self.all);
        if !self.terminal {
            let _ = writeln!(io::stderr(), "{}", self.line(what));
        }
    }

    /// Makes room for other output.
    pub(super) fn clear(&self) {
        if self.terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
            let _ = io::stderr().flush();
        }
    }

    fn line(&self, what: &str) -> String {
        let gone = self.start.elapsed();
        let left = left(gone, self.done, self.all);
        let digits = self.all.to_string().len();
        let (done, all) = (self.done, self.all);
        format!(
            "[{done:>digits$}/{all}] {} gone, about {} left: {what}",
            minutes(gone),
            minutes(left)
        )
    }
}

/// How long the rest takes if it goes on like this; the guess weighs as much as one measurement.
fn left(gone: Duration, done: usize, all: usize) -> Duration {
    let each = (gone + FIRST_GUESS).div_f64(done as f64 + 1.0);
    each.mul_f64(all.saturating_sub(done) as f64)
}

fn minutes(duration: Duration) -> String {
    let seconds = duration.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::{Duration, left, minutes};

    #[test]
    fn what_is_left_follows_from_what_was_done() {
        let seconds = Duration::from_secs;
        assert_eq!(left(Duration::ZERO, 0, 20), seconds(60));
        assert_eq!(left(seconds(197), 99, 199), seconds(200));
        assert_eq!(left(seconds(9), 10, 10), Duration::ZERO);
        assert_eq!(minutes(seconds(3_605)), "60:05");
    }
}
