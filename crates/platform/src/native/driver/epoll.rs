//! The epoll driver, for kernels and sandboxes without io_uring.
//!
//! **Operations.** A Recv or Send is tried when it is submitted, and only what would block is
//! kept, in one queue per descriptor and direction. The queue is first in, first out: nothing is
//! tried while others wait. A Poll is always kept, because arming tells whether it is ready. When
//! the kernel reports a descriptor, its Polls complete and its Recvs or Sends are tried until one
//! would block. Completions are handed over by `tick` and `wait` only, never by `submit`.
//!
//! **Arming.** Registration is one-shot: a report disarms the descriptor, so one that is idle
//! costs nothing. Invariants, for each descriptor:
//!
//! ```text
//! armed ⊆ directions with a non-empty queue           a queue that empties takes its bit along
//! after each entry point: armed = those directions    nobody waits for what cannot be reported
//! ```
//! The first is why a number may be closed and used again behind the driver's back: then nothing
//! is in flight on it, so nothing counts as armed, and the next operation arms the new file
//! (EPOLL_CTL_MOD, or ADD where that says ENOENT). The descriptor's generation goes with each
//! arming and comes back with the report; a report of another generation is of another file.
//!
//! **Files** are always ready and block all the same: their operations go to
//! [other threads](super::offload), which ring the bell.
//!
//! **Memory.** The kernel keeps no pointer into a socket's buffer between calls, so dropping the
//! driver or closing a socket under an operation cannot hurt memory. (The operation then waits
//! until it is cancelled.) Operations on files that have begun are waited for.
//!
//! **Costs.** Operations live in a slab, queues are links in it, and a table finds the slot of a
//! token to cancel. All grow to their high-water mark and stay: nothing is allocated per
//! operation.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::counted::Counted;
use super::super::waits::Loop;
use super::notifier::{Bell, NativeNotifier, new_eventfd};
use super::offload::Offload;
use super::sockets::{check, recv_raw, send_raw, time_until};
use crate::driver::{Completion, Config, Interest, Op, Token};
use crate::native::clock::NativeClock;
use crate::time::{Clock, Instant};

/// What the bell's eventfd is reported as. No descriptor has this number.
const BELL: u64 = u64::MAX;
/// Reports that one look takes from the kernel.
const BATCH: usize = 256;
/// The end of a queue or of the free list.
const NONE: u32 = u32::MAX;
/// The timeout of a look that does not wait.
const AT_ONCE: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 0 };

/// See the [module](self).
pub(super) struct Epoll {
    epoll: OwnedFd,
    bell: Counted<Bell>,
    files: Vec<File>,
    slots: Vec<Slot>,
    free: u32,
    /// The slots of the operations that wait for the kernel.
    waiting: HashMap<u64, u32, BuildHasherDefault<TokenHasher>>,
    /// Completions that nobody has asked for yet.
    ready: Vec<Completion>,
    offload: Offload,
    reports: Box<[libc::epoll_event; BATCH]>,
}

/// A descriptor, by its number.
#[derive(Clone, Copy)]
struct File {
    /// By [`Interest`].
    queues: [Queue; 2],
    /// One bit for each queue.
    armed: u8,
    /// Whether the kernel knew the number when it was last armed: a hint.
    known: bool,
    generation: u32,
}

#[derive(Clone, Copy)]
struct Queue {
    first: u32,
    last: u32,
}

/// An operation in a queue, or a free slot, which uses only `next`.
#[derive(Clone, Copy)]
struct Slot {
    op: Op,
    token: Token,
    next: u32,
    previous: u32,
}

impl File {
    const NEW: Self = Self {
        queues: [Queue { first: NONE, last: NONE }; 2],
        armed: 0,
        known: false,
        generation: 0,
    };

    /// The directions that somebody waits for.
    fn wanted(&self) -> u8 {
        u8::from(self.queues[0].first != NONE) | u8::from(self.queues[1].first != NONE) << 1
    }
}

/// The number and the direction of what `op` waits for, on a socket.
fn target(op: &Op) -> (RawFd, usize) {
    match *op {
        Op::Poll { handle, interest: Interest::Readable } | Op::Recv { handle, .. } => {
            (handle.0, 0)
        }
        Op::Poll { handle, interest: Interest::Writable } | Op::Send { handle, .. } => {
            (handle.0, 1)
        }
        _ => unreachable!("operations on files do not wait here"),
    }
}

/// Tries `op`, on a socket; none if it would block.
///
/// # Safety
/// Its memory is valid.
pub(super) unsafe fn attempt(op: &Op) -> Option<i32> {
    let result = match *op {
        Op::Poll { .. } => return None,
        Op::Recv { handle, buffer, length } => {
            // SAFETY: the caller's promise.
            unsafe { recv_raw(handle.0, buffer, length as usize, 0) }
        }
        Op::Send { handle, buffer, length } => {
            // SAFETY: the caller's promise.
            unsafe { send_raw(handle.0, buffer, length as usize) }
        }
        _ => unreachable!("operations on files do not wait here"),
    };
    match &result {
        Ok(count) => Some(i32::try_from(*count).expect("the kernel moves at most 2 GiB at a time")),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        Err(_) => Some(-errno(&result)),
    }
}

/// The error number of a system call's result; 0 if it has none.
fn errno<T>(result: &io::Result<T>) -> i32 {
    result.as_ref().err().and_then(io::Error::raw_os_error).unwrap_or(0)
}

impl Epoll {
    pub(super) fn new(_config: &Config) -> io::Result<Self> {
        // SAFETY: takes no pointers.
        let epoll = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the kernel just made it, and nobody else has it.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
        let bell = Bell::new(new_eventfd()?, None);
        let offload = Offload::new(&bell);
        let events = (libc::EPOLLIN | libc::EPOLLET) as u32;
        control(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, bell.eventfd(), events, BELL)?;
        Ok(Self {
            epoll,
            bell,
            files: Vec::new(),
            slots: Vec::new(),
            free: NONE,
            waiting: HashMap::default(),
            ready: Vec::new(),
            offload,
            reports: Box::new([libc::epoll_event { events: 0, u64: 0 }; BATCH]),
        })
    }

    pub(super) fn notifier(&self) -> NativeNotifier {
        NativeNotifier(self.bell.clone())
    }

    pub(super) fn in_flight(&self) -> usize {
        self.waiting.len() + self.ready.len() + self.offload.in_flight()
    }

    /// # Safety
    /// As [`Driver::submit`](crate::Driver::submit).
    pub(super) unsafe fn submit(&mut self, op: Op, token: Token) {
        debug_assert!(token.0 < Token::RESERVED, "{token:?} belongs to the driver");
        if op.is_on_files() {
            // SAFETY: the caller's promise.
            return unsafe { self.offload.submit(op, token) };
        }
        let (fd, direction) = target(&op);
        let Ok(number) = usize::try_from(fd) else {
            return self.ready.push(Completion { token, result: -libc::EBADF });
        };
        if self.files.get(number).is_none_or(|file| file.queues[direction].first == NONE) {
            // SAFETY: the caller's promise.
            if let Some(result) = unsafe { attempt(&op) } {
                return self.ready.push(Completion { token, result });
            }
        }
        if number >= self.files.len() {
            self.files.resize(number + 1, File::NEW);
        }
        self.enqueue(op, token);
        self.arm(fd);
    }

    pub(super) fn cancel(&mut self, token: Token) {
        if let Some(slot) = self.waiting.get(&token.0).copied() {
            self.complete(slot, -libc::ECANCELED);
        } else {
            self.offload.cancel(token);
        }
    }

    pub(super) fn end(&mut self, completions: &mut Vec<Completion>) {
        let tokens: Vec<u64> = self.waiting.keys().copied().collect();
        for token in tokens {
            self.cancel(Token(token));
        }
        completions.append(&mut self.ready);
        self.offload.end(completions);
    }

    #[inline]
    pub(super) fn tick(&mut self, completions: &mut Vec<Completion>) {
        if !self.waiting.is_empty() {
            self.look(Some(AT_ONCE));
        }
        self.offload.collect(&mut self.ready);
        completions.append(&mut self.ready);
    }

    pub(super) fn wait(&mut self, deadline: Option<Instant>, completions: &mut Vec<Completion>) {
        self.offload.collect(&mut self.ready);
        if !self.ready.is_empty() || !self.bell.doze() {
            self.tick(completions);
        } else {
            // HAMMER-WAIT-LOOP: epoll-wait
            loop {
                Loop::Epoll.waits();
                self.look(deadline.map(time_until));
                // A bell's report may be late, and then no reason to return.
                if !self.ready.is_empty()
                    || self.bell.is_rung()
                    || deadline.is_some_and(|deadline| NativeClock::now() >= deadline)
                {
                    break;
                }
            }
            self.offload.collect(&mut self.ready);
            completions.append(&mut self.ready);
        }
        self.bell.rise();
    }

    /// Takes reports from the kernel, waiting up to `timeout` for the first of them.
    fn look(&mut self, timeout: Option<libc::timespec>) {
        let count = match epoll_wait(self.epoll.as_raw_fd(), &mut self.reports, timeout) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => panic!("epoll_wait failed, so operations in flight are lost: {error}"),
        };
        for index in 0..count {
            let libc::epoll_event { events, u64: data } = self.reports[index];
            if data != BELL {
                self.report(data, events);
            }
        }
    }

    fn report(&mut self, data: u64, events: u32) {
        let (number, generation) = ((data & 0xffff_ffff) as usize, (data >> 32) as u32);
        if self.files[number].generation != generation {
            return;
        }
        self.files[number].armed = 0;
        // Errors and hang-ups concern both directions: the operation tells which error it is.
        let both = (libc::EPOLLERR | libc::EPOLLHUP) as u32;
        for (direction, own) in [libc::EPOLLIN, libc::EPOLLOUT].into_iter().enumerate() {
            if events & (own as u32 | both) != 0 {
                self.serve(number, direction);
            }
        }
        self.arm(number as RawFd);
    }

    /// Completes what can be completed in one queue.
    fn serve(&mut self, number: usize, direction: usize) {
        let mut blocked = false;
        let mut slot = self.files[number].queues[direction].first;
        while slot != NONE {
            let Slot { op, next, .. } = self.slots[slot as usize];
            if matches!(op, Op::Poll { .. }) {
                self.complete(slot, 0);
            } else if !blocked {
                // SAFETY: the operation is in flight, so its memory is still valid.
                match unsafe { attempt(&op) } {
                    Some(result) => self.complete(slot, result),
                    None => blocked = true,
                }
            }
            slot = next;
        }
    }

    /// Makes the kernel report what the descriptor's queues wait for, if it does not already.
    fn arm(&mut self, fd: RawFd) {
        let file = &mut self.files[fd as usize];
        let wanted = file.wanted();
        if wanted & !file.armed == 0 {
            return;
        }
        file.generation = file.generation.wrapping_add(1);
        let mut events = libc::EPOLLONESHOT;
        if wanted & 1 != 0 {
            events |= libc::EPOLLIN;
        }
        if wanted & 2 != 0 {
            events |= libc::EPOLLOUT;
        }
        let data = u64::from(file.generation) << 32 | u64::from(fd as u32);
        let mut calls = [libc::EPOLL_CTL_MOD, libc::EPOLL_CTL_ADD];
        if !file.known {
            calls.reverse();
        }
        let epoll = self.epoll.as_raw_fd();
        let mut result = control(epoll, calls[0], fd, events as u32, data);
        // The hint was wrong: the number was closed, or is known from before.
        if errno(&result) == libc::ENOENT || errno(&result) == libc::EEXIST {
            result = control(epoll, calls[1], fd, events as u32, data);
        }
        file.known = result.is_ok();
        match result {
            Ok(()) => file.armed = wanted,
            // A bad number, a file that knows no readiness, no memory: nobody would ever be told.
            Err(_) => self.fail_all(fd as usize, -errno(&result)),
        }
    }

    #[cold]
    fn fail_all(&mut self, number: usize, result: i32) {
        for direction in 0..2 {
            loop {
                let slot = self.files[number].queues[direction].first;
                if slot == NONE {
                    break;
                }
                self.complete(slot, result);
            }
        }
    }

    /// Puts an operation at the end of its queue.
    fn enqueue(&mut self, op: Op, token: Token) {
        let (fd, direction) = target(&op);
        let queue = &mut self.files[fd as usize].queues[direction];
        let entry = Slot { op, token, next: NONE, previous: queue.last };
        let slot = if self.free == NONE {
            self.slots.push(entry);
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 operations in flight")
        } else {
            let slot = self.free;
            self.free = self.slots[slot as usize].next;
            self.slots[slot as usize] = entry;
            slot
        };
        match queue.last {
            NONE => queue.first = slot,
            last => self.slots[last as usize].next = slot,
        }
        queue.last = slot;
        let before = self.waiting.insert(token.0, slot);
        debug_assert!(before.is_none(), "{token:?} is in flight already");
    }

    /// Takes an operation out of its queue, with its result.
    fn complete(&mut self, slot: u32, result: i32) {
        let Slot { op, token, next, previous } = self.slots[slot as usize];
        let (fd, direction) = target(&op);
        let file = &mut self.files[fd as usize];
        let queue = &mut file.queues[direction];
        match previous {
            NONE => queue.first = next,
            previous => self.slots[previous as usize].next = next,
        }
        match next {
            NONE => queue.last = previous,
            next => self.slots[next as usize].previous = previous,
        }
        file.armed &= file.wanted();
        self.slots[slot as usize].next = self.free;
        self.free = slot;
        self.waiting.remove(&token.0);
        self.ready.push(Completion { token, result });
    }
}

impl std::fmt::Debug for Epoll {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Epoll")
            .field("fd", &self.epoll.as_raw_fd())
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

fn control(epoll: RawFd, call: libc::c_int, fd: RawFd, events: u32, data: u64) -> io::Result<()> {
    let mut event = libc::epoll_event { events, u64: data };
    // SAFETY: `event` is valid for the length of the call.
    check(unsafe { libc::epoll_ctl(epoll, call, fd, &raw mut event) }).map(drop)
}

/// epoll_pwait2(2), which waits to the nanosecond, or where it is missing (before Linux 5.11)
/// epoll_wait(2), which is given whole milliseconds, rounded up so that a deadline never needs a
/// second, spinning wait.
fn epoll_wait(
    epoll: RawFd,
    reports: &mut [libc::epoll_event; BATCH],
    timeout: Option<libc::timespec>,
) -> io::Result<usize> {
    static MISSING: AtomicBool = AtomicBool::new(false);
    if !MISSING.load(Ordering::Relaxed) {
        let timeout = timeout.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
        // SAFETY: the buffer has room for BATCH reports; a timespec or null; no signal mask.
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                epoll,
                reports.as_mut_ptr(),
                BATCH as libc::c_int,
                timeout,
                core::ptr::null::<libc::sigset_t>(),
                0_usize,
            )
        };
        match check(count as libc::c_int) {
            // EPERM comes from filters that are older than the call.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                MISSING.store(true, Ordering::Relaxed);
            }
            result => return result.map(|count| count as usize),
        }
    }
    let timeout_ms = timeout.map_or(-1, |time| {
        let rest = (time.tv_nsec + 999_999) / 1_000_000;
        let ms = time.tv_sec.saturating_mul(1_000).saturating_add(rest);
        libc::c_int::try_from(ms).unwrap_or(libc::c_int::MAX)
    });
    let (buffer, room) = (reports.as_mut_ptr(), BATCH as libc::c_int);
    // SAFETY: the buffer has room for BATCH reports.
    check(unsafe { libc::epoll_wait(epoll, buffer, room, timeout_ms) }).map(|count| count as usize)
}

/// Tokens are addresses or small numbers: one multiplication spreads them (Fibonacci hashing,
/// Knuth, TAOCP 3, §6.4), and the rotation brings the good bits down to where the table looks.
#[derive(Default)]
struct TokenHasher(u64);

impl Hasher for TokenHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::Handle;
    use crate::native::driver::sockets;

    fn pair() -> [Handle; 3] {
        let listener = sockets::listen(([127, 0, 0, 1], 0).into(), 1).expect("a listener");
        let addr = sockets::local_addr(listener).expect("an address");
        let near = sockets::connect(addr).expect("it begins to connect");
        sockets::block_until_ready(listener, Interest::Readable, None).expect("an open socket");
        let (far, _) = sockets::accept(listener).expect("somebody has come");
        [listener, near, far]
    }

    fn submit(driver: &mut Epoll, op: Op, token: u64) {
        // SAFETY: the tests' buffers outlive the driver.
        unsafe { driver.submit(op, Token(token)) };
    }

    fn results(driver: &mut Epoll) -> Vec<(u64, i32)> {
        let mut completions = Vec::new();
        driver.tick(&mut completions);
        completions.into_iter().map(|done| (done.token.0, done.result)).collect()
    }

    #[test]
    fn an_idle_descriptor_is_not_reported() {
        let mut driver = Epoll::new(&Config::default()).expect("an epoll instance");
        let [listener, near, far] = pair();
        submit(&mut driver, Op::Poll { handle: near, interest: Interest::Readable }, 1);
        assert_eq!(sockets::send(far, b"x").expect("there is room"), 1);
        sockets::block_until_ready(near, Interest::Readable, None).expect("an open socket");
        assert_eq!(results(&mut driver), [(1, 0)]);
        // The byte is still there, and nobody waits for it.
        let epoll = driver.epoll.as_raw_fd();
        let reports = epoll_wait(epoll, &mut driver.reports, Some(AT_ONCE));
        assert_eq!(reports.expect("an epoll instance"), 0);
        [listener, near, far].into_iter().for_each(sockets::close);
    }

    #[test]
    fn a_queue_is_served_in_order() {
        let mut driver = Epoll::new(&Config::default()).expect("an epoll instance");
        let [listener, near, far] = pair();
        let mut buffers = [[0]; 3];
        let [first, second, third] = buffers.each_mut().map(|buffer| Op::Recv {
            handle: near,
            buffer: buffer.as_mut_ptr(),
            length: 1,
        });
        submit(&mut driver, first, 1);
        submit(&mut driver, second, 2);
        assert_eq!(results(&mut driver), []);
        assert_eq!(sockets::send(far, b"ab").expect("there is room"), 2);
        sockets::block_until_ready(near, Interest::Readable, None).expect("an open socket");
        submit(&mut driver, third, 3);
        assert_eq!(results(&mut driver), [(1, 1), (2, 1)], "the third came when two waited");
        assert_eq!(buffers, [[b'a'], [b'b'], [0]]);
        [listener, near, far].into_iter().for_each(sockets::close);
    }

    #[test]
    fn nothing_is_allocated_for_an_operation_that_is_not_the_first() {
        let mut driver = Epoll::new(&Config::default()).expect("an epoll instance");
        let [listener, near, far] = pair();
        let mut sizes = Vec::new();
        for _ in 0..3 {
            for token in 0..100 {
                let poll = Op::Poll { handle: near, interest: Interest::Readable };
                submit(&mut driver, poll, token);
            }
            (0..100).for_each(|token| driver.cancel(Token(token)));
            assert_eq!(driver.in_flight(), 100);
            let mut completions = Vec::with_capacity(100);
            driver.tick(&mut completions);
            assert_eq!((completions.len(), driver.in_flight()), (100, 0));
            let sizes_now =
                (driver.slots.len(), driver.waiting.capacity(), driver.ready.capacity());
            sizes.push(sizes_now);
        }
        assert!(sizes.iter().all(|size| *size == sizes[0]), "{sizes:?}");
        assert_eq!(sizes[0].0, 100);
        [listener, near, far].into_iter().for_each(sockets::close);
    }
}
