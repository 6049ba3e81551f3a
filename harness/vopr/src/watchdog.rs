//! Notices a thread that loops without coming back to the simulator.
//!
//! A limit of steps does not see such a loop, for there are no steps; nor can it be stopped, for
//! all simulated threads share one operating-system thread with it. So another thread looks from
//! time to time whether the count of operations still moves. If not, it prints the seed and the
//! last operations, and ends the process.

use core::time::Duration;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};
use std::time::Instant;

use crate::history::History;

/// What the watchdog knows of one operating-system thread that simulates.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    pub(crate) history: History,
    active: AtomicBool,
    seed: AtomicU64,
    /// How many executions have begun.
    executions: AtomicU64,
    silence_ms: AtomicU64,
}

static WATCHES: Mutex<Vec<Weak<Watch>>> = Mutex::new(Vec::new());

/// How often the watchdog looks.
const PERIOD: Duration = Duration::from_millis(200);

thread_local! {
    static WATCH: Arc<Watch> = {
        let watch = Arc::<Watch>::default();
        let mut watches = WATCHES.lock().unwrap_or_else(PoisonError::into_inner);
        watches.push(Arc::downgrade(&watch));
        start();
        watch
    };
}

/// The watch of the calling thread.
pub(crate) fn watch(silence: Duration) -> Arc<Watch> {
    let watch = WATCH.with(Arc::clone);
    let silence = u64::try_from(silence.as_millis()).unwrap_or(u64::MAX);
    watch.silence_ms.store(silence, Ordering::Relaxed);
    watch
}

/// A watch for one execution, which others of the thread may interrupt.
pub(crate) fn watch_alone(silence: Duration) -> Arc<Watch> {
    // The thread's own starts the watchdog.
    let _: Arc<Watch> = WATCH.with(Arc::clone);
    let watch = Arc::<Watch>::default();
    let silence = u64::try_from(silence.as_millis()).unwrap_or(u64::MAX);
    watch.silence_ms.store(silence, Ordering::Relaxed);
    WATCHES.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&watch));
    watch
}

impl Watch {
    /// An execution begins.
    pub(crate) fn begin(&self, seed: u64) {
        self.history.clear();
        self.seed.store(seed, Ordering::Relaxed);
        self.resume();
    }

    /// It runs, from the start or after it stood still.
    pub(crate) fn resume(&self) {
        self.executions.fetch_add(1, Ordering::Relaxed);
        self.active.store(true, Ordering::Relaxed);
    }

    /// It has ended, or stands still.
    pub(crate) fn end(&self) {
        self.active.store(false, Ordering::Relaxed);
    }

    /// What changes as long as the simulation lives.
    fn progress(&self) -> Option<(u64, u64)> {
        let active = self.active.load(Ordering::Relaxed);
        active.then(|| (self.executions.load(Ordering::Relaxed), self.history.count()))
    }
}

/// What was seen of one thread, and when it was new.
struct Seen {
    watch: Weak<Watch>,
    progress: Option<(u64, u64)>,
    since: Instant,
}

fn start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let started = std::thread::Builder::new().name("vopr watchdog".to_owned()).spawn(look);
        if let Err(error) = started {
            eprintln!("vopr: no watchdog: {error}");
        }
    });
}

fn look() {
    let mut seen: Vec<Seen> = Vec::new();
    loop {
        std::thread::park_timeout(PERIOD);
        for watch in WATCHES.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            seen.push(Seen { watch, progress: None, since: Instant::now() });
        }
        seen.retain_mut(|seen| {
            let Some(watch) = seen.watch.upgrade() else { return false };
            let progress = watch.progress();
            let silence = Duration::from_millis(watch.silence_ms.load(Ordering::Relaxed));
            if progress != seen.progress || progress.is_none() {
                seen.progress = progress;
                seen.since = Instant::now();
            } else if seen.since.elapsed() >= silence {
                bark(&watch, silence);
            }
            true
        });
    }
}

fn bark(watch: &Watch, silence: Duration) -> ! {
    let seed = watch.seed.load(Ordering::Relaxed);
    let message = format!(
        "vopr: livelock: a simulated thread has run for {silence:?} without any operation of the \
         platform; the process ends here\nseed: {seed:#x}\nthe last operations:\n{}",
        watch.history.render()
    );
    // Not `eprintln`: a test's captured output would be lost with the process.
    let _ = std::io::stderr().write_all(message.as_bytes());
    std::process::exit(1);
}
