//! How far it is: a bar in a terminal, lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Between two lines where there is no terminal.
const PACE: Duration = Duration::from_secs(10);

pub(crate) struct Progress {
    bar: ProgressBar,
    total: usize,
    done: usize,
    operations: u64,
    start: Instant,
    told: Instant,
    terminal: bool,
}

impl Progress {
    pub(crate) fn new(total: usize) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if terminal { ProgressBar::new(total as u64) } else { ProgressBar::hidden() };
        if let Ok(style) =
            ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed}/{duration} {msg}")
        {
            bar.set_style(style);
        }
        let now = Instant::now();
        Self { bar, total, done: 0, operations: 0, start: now, told: now, terminal }
    }

    /// This one begins.
    pub(crate) fn begins(&mut self, name: &str) {
        let elapsed = self.start.elapsed();
        let rate = self.operations as f64 / elapsed.as_secs_f64().max(0.001);
        self.bar.set_message(format!("{rate:.0} operations/s  {name}"));
        if !self.terminal && self.told.elapsed() >= PACE {
            self.told = Instant::now();
            let left = elapsed.mul_f64((self.total - self.done) as f64 / self.done.max(1) as f64);
            eprintln!(
                "{} of {} in {:.0} s, {rate:.0} operations/s, about {:.0} s left",
                self.done,
                self.total,
                elapsed.as_secs_f64(),
                left.as_secs_f64()
            );
        }
    }

    /// One has ended.
    pub(crate) fn ended(&mut self, operations: u64) {
        self.done += 1;
        self.operations += operations;
        self.bar.inc(1);
    }

    /// Prints a line above the bar.
    pub(crate) fn line(&self, text: &str) {
        self.bar.suspend(|| println!("{text}"));
    }

    pub(crate) fn end(self) {
        self.bar.finish_and_clear();
    }
}
