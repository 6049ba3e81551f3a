//! Threads that may block, for operations on files that a driver cannot do itself.
//!
//! One pool serves all drivers of the process. It has at most [`THREADS_MAX`] threads, started when
//! something waits and nobody is idle, and ended when they were idle for [`IDLE`]. Its queue holds
//! what drivers have submitted: it is as long as the operations in flight, which their submitters
//! bound.
//!
//! ```text
//! queued --a thread takes it--> running --> finished --collect--> handed over
//!   └────── cancel or end ─────────────────────▲        (-ECANCELED)
//! ```
//! An operation that runs cannot be called back: it ends with its own result, and a driver that is
//! dropped waits for that, because the operation uses its submitter's memory. A thread that has
//! finished one puts the completion in the driver's list, and then rings its [bell](super::notifier):
//! a driver that looked into the list before is about to find the bell rung.

use std::collections::VecDeque;
use std::sync::Condvar;
use std::time::Duration;

use super::super::counted::Counted;
use super::super::lock::Lock;
use super::super::waits::Loop;
use super::files;
use super::notifier::Bell;
use crate::driver::{Completion, Op, Token};

/// More would not make a disk faster.
const THREADS_MAX: usize = 8;
/// How long a thread waits for something to do before it ends.
const IDLE: Duration = Duration::from_secs(10);

/// A driver's part in it.
pub(super) struct Offload {
    shared: Counted<Shared>,
    in_flight: usize,
}

/// What a driver shares with the threads.
struct Shared {
    bell: Counted<Bell>,
    finished: Lock<Vec<Completion>>,
    /// Told of each completion that comes to an empty list.
    first: Condvar,
}

struct Job {
    op: Op,
    token: Token,
    of: Counted<Shared>,
}

// SAFETY: the memory that an operation names belongs to its driver until the completion, which
// does not care on which thread it is used.
unsafe impl Send for Job {}

struct Pool {
    queue: VecDeque<Job>,
    threads: usize,
    /// Threads that wait, also those that were told of a job and did not come to it yet.
    idle: usize,
}

static POOL: Lock<Pool> = Lock::new(Pool { queue: VecDeque::new(), threads: 0, idle: 0 });
/// Told when a job comes.
static WORK: Condvar = Condvar::new();

impl Offload {
    pub(super) fn new(bell: &Counted<Bell>) -> Self {
        let finished = Lock::new(Vec::new());
        let shared = Shared { bell: bell.clone(), finished, first: Condvar::new() };
        Self { shared: Counted::new(shared), in_flight: 0 }
    }

    /// Operations that were submitted and not collected.
    #[inline]
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// # Safety
    /// As [`Driver::submit`](crate::Driver::submit).
    pub(super) unsafe fn submit(&mut self, op: Op, token: Token) {
        self.in_flight += 1;
        let job = Job { op, token, of: self.shared.clone() };
        let mut pool = POOL.lock();
        pool.queue.push_back(job);
        if pool.queue.len() <= pool.idle {
            drop(pool);
            WORK.notify_one();
        } else if pool.threads < THREADS_MAX {
            pool.threads += 1;
            drop(pool);
            start_thread();
        }
    }

    /// Ends an operation that has not begun.
    pub(super) fn cancel(&mut self, token: Token) {
        if self.in_flight > 0 {
            self.cancel_if(|queued| queued == token);
        }
    }

    fn cancel_if(&self, cancelled: impl Fn(Token) -> bool) {
        let mut pool = POOL.lock();
        pool.queue.retain(|job| {
            let ends = job.of.is(&self.shared) && cancelled(job.token);
            if ends {
                let completion = Completion { token: job.token, result: -libc::ECANCELED };
                self.shared.finished.lock().push(completion);
            }
            !ends
        });
    }

    /// Hands over what has finished.
    #[inline]
    pub(super) fn collect(&mut self, completions: &mut Vec<Completion>) {
        if self.in_flight > 0 {
            let mut finished = self.shared.finished.lock();
            self.in_flight -= finished.len();
            completions.append(&mut finished);
        }
    }

    /// Ends what has not begun, and waits for the rest.
    pub(super) fn end(&mut self, completions: &mut Vec<Completion>) {
        if self.in_flight == 0 {
            return;
        }
        self.cancel_if(|_| true);
        while self.in_flight > 0 {
            let mut finished = self.shared.finished.lock();
            // HAMMER-WAIT-LOOP: offload-end
            while finished.is_empty() {
                Loop::OffloadEnd.waits();
                finished = finished.wait(&self.shared.first, None).0;
            }
            drop(finished);
            self.collect(completions);
        }
    }
}

impl Drop for Offload {
    fn drop(&mut self) {
        self.end(&mut Vec::new());
    }
}

/// Starts a thread that is counted already. Without one the caller does what waits itself, unless
/// others are there: slowly is better than never.
#[cold]
fn start_thread() {
    let builder = std::thread::Builder::new().name("raddle-files".into());
    if builder.spawn(|| serve(Some(IDLE))).is_err() {
        let mut pool = POOL.lock();
        if pool.threads == 1 {
            drop(pool);
            serve(None);
        } else {
            pool.threads -= 1;
        }
    }
}

/// Does what waits; and what comes later, while less than `idle` passes between two.
fn serve(idle: Option<Duration>) {
    let mut pool = POOL.lock();
    // HAMMER-WAIT-LOOP: offload-serve
    loop {
        if let Some(job) = pool.queue.pop_front() {
            drop(pool);
            run(&job);
            drop(job);
            pool = POOL.lock();
            continue;
        }
        let Some(idle) = idle else { break };
        pool.idle += 1;
        Loop::Offload.waits();
        let (woken, over) = pool.wait(&WORK, Some(idle));
        pool = woken;
        pool.idle -= 1;
        if over && pool.queue.is_empty() {
            break;
        }
    }
    pool.threads -= 1;
}

fn run(job: &Job) {
    // SAFETY: the operation is in flight, so its memory is valid, and the driver's to use.
    let result = unsafe { files::block_on(&job.op) };
    let Job { token, of, .. } = job;
    let mut finished = of.finished.lock();
    finished.push(Completion { token: *token, result });
    let first = finished.len() == 1;
    drop(finished);
    if first {
        of.first.notify_one();
    }
    if of.bell.ring() {
        of.bell.write();
    }
}
