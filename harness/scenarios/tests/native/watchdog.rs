//! Ends the process when a scenario hangs, and says which one.
//!
//! A scenario in which one thread panics while others wait for it never ends on real threads: the scope
//! waits for all of them, before it lets the panic through. There is no harness here to see that nobody
//! can go on. So there is a bound on how long one may take: a hundred times what the slowest needs on a
//! busy machine. It makes nothing pass or fail that would end.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::process;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Watches from its making until it is dropped.
pub(crate) struct Watchdog {
    watched: Arc<Watched>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Watched {
    /// What runs, and since when.
    now: Mutex<Now>,
    changed: Condvar,
}

#[derive(Default)]
struct Now {
    scenario: Option<(&'static str, Instant)>,
    is_over: bool,
}

impl Watchdog {
    /// Ends the process when something runs for longer than `limit`.
    pub(crate) fn new(limit: Duration) -> Self {
        let watched = Arc::new(Watched::default());
        let watching = watched.clone();
        let thread = std::thread::Builder::new()
            .name("watchdog".into())
            .spawn(move || watching.watch(limit))
            .expect("a thread");
        Self { watched, thread: Some(thread) }
    }

    /// Runs `scenario`, which has the name `name`.
    pub(crate) fn run(&self, name: &'static str, scenario: impl FnOnce()) {
        self.watched.change(|now| now.scenario = Some((name, Instant::now())));
        scenario();
        self.watched.change(|now| now.scenario = None);
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.watched.change(|now| now.is_over = true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Watched {
    fn change(&self, change: impl FnOnce(&mut Now)) {
        change(&mut self.now.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    fn watch(&self, limit: Duration) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        while !now.is_over {
            let left = match now.scenario {
                None => limit,
                Some((name, since)) if since.elapsed() >= limit => end(name, since.elapsed()),
                Some((_, since)) => limit - since.elapsed(),
            };
            let waited = self.changed.wait_timeout(now, left);
            now = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Says what hangs, past what captures a test's output, and ends the process.
fn end(name: &str, elapsed: Duration) -> ! {
    let mut report = format!(
        "\n{name} has run for {} s, and is taken to hang. A panic of one of its threads stands above, if \
         the test runs with --nocapture. Its threads:\n",
        elapsed.as_secs()
    );
    for thread in threads() {
        let _ = writeln!(report, "  {thread}");
    }
    let _ = io::stderr().write_all(report.as_bytes());
    process::exit(101);
}

/// What the system knows of the threads of this process: their names, whether they run, and where in the
/// system they wait.
fn threads() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let describe = |entry: fs::DirEntry| {
        let read = |file| fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        let stat = read("stat");
        // After the name, which is in parentheses and may contain anything.
        let state = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').next());
        let what = match state {
            Some("R") => "runs (or spins)".to_owned(),
            Some("S" | "D") => match read("wchan").as_str() {
                "" | "0" => "waits in the system".to_owned(),
                place if place.contains("futex") => {
                    format!("is parked, or waits for a lock ({place})")
                }
                place => format!("waits in {place}"),
            },
            _ => "ends".to_owned(),
        };
        format!("{} {}: {what}", entry.file_name().to_string_lossy(), read("comm").trim())
    };
    entries.flatten().map(describe).collect()
}
