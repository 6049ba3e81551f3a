//! The io_uring driver: one ring per worker.
//!
//! **Entering the kernel.** The ring is made with DEFER_TASKRUN: the kernel finishes an operation
//! only when its owner enters it, and until then merely sets the TASKRUN flag. So a
//! [`tick`](Uring::tick) enters when submissions wait, or TASKRUN is set (else the completions of
//! a worker that never runs dry would stay invisible), or the completion queue overflowed into the
//! kernel's backlog. Otherwise a tick is a few loads. Older kernels refuse some of the flags:
//! [`STEPS`] goes down until they accept.
//!
//! **User data.** The kernel carries 64 bits from submission to completion, which are the
//! submitter's token; nothing is allocated or looked up per operation.
//!
//! ```text
//! 0 0 token                a Recv or Send
//! 0 1 token                a Poll: its result is a mask of events, handed over as 0
//! 1 1 token                an operation on files
//! 1 0 kind (30) | index    the driver's own, never handed over
//! ```
//!
//! **Order.** The kernel takes submissions in the order in which they were made. A cancel therefore
//! never meets a later operation under a token that was used again, and always finds one that was
//! submitted before it. It does not know what its token names, so it asks for each kind.
//!
//! **Files.** What the kernel's io_uring cannot do with them goes to
//! [other threads](super::offload), which ring the bell. Before Linux 6.9 that is SetLength.
//!
//! **The kernel writes to our callers' memory.** An operation leaves the kernel only with its
//! completion, so dropping the driver cancels everything and then *waits* until nothing is in
//! flight. Operations on sockets wait interruptibly, so that this ends promptly; those on files
//! take as long as the disk does.
//!
//! **Waking.** A multishot poll watches the [bell](super::notifier)'s eventfd: one submission for
//! the driver's whole life. A ring wakes another by message (MSG_RING) when submissions wait, with
//! which it goes to the kernel at once. Alone it would cost more than the eventfd does (Linux 6.18:
//! 5.0 against 4.5 µs for the caller, most of it the interrupt that wakes the other processor). When
//! a message fails, which its completion tells, the eventfd is written after all.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, Probe, cqueue, opcode, squeue};

use super::super::counted::Counted;
use super::super::waits::Loop;
use super::files;
use super::notifier::{Bell, NativeNotifier, new_eventfd};
use super::offload::Offload;
use super::refused::UringRefused;
use super::sockets::check;
use crate::driver::{Completion, Config, Interest, Op, Token};
use crate::native::clock::NativeClock;
use crate::time::{Clock, Instant};

const POLL: u64 = 1 << 62;
const OWN: u64 = 1 << 63;
const FILE: u64 = OWN | POLL;
/// The kind of an own operation.
const KIND: u64 = OWN | (0xffff_ffff << 32);
const BELL: u64 = OWN;
const CANCEL: u64 = OWN | (1 << 32);
/// A message sent; the index is its slot.
const SENT: u64 = OWN | (2 << 32);
/// A message received. The bell says what it means.
const RECEIVED: u64 = OWN | (3 << 32);
const _: () = assert!(Token::RESERVED == POLL);

/// The completion queue's entries for each of the submission queue's: what completes between two
/// visits beyond that goes through the kernel's backlog, which costs memory and time there.
const CQ_FACTOR: u32 = 16;
/// Flags, from the best to what every ring has. DEFER_TASKRUN needs SINGLE_ISSUER, TASKRUN_FLAG
/// needs one of the others.
const STEPS: [&[Flag]; 4] = [
    &[
        Builder::setup_defer_taskrun,
        Builder::setup_single_issuer,
        Builder::setup_coop_taskrun,
        Builder::setup_taskrun_flag,
    ],
    &[Builder::setup_single_issuer, Builder::setup_coop_taskrun, Builder::setup_taskrun_flag],
    &[Builder::setup_coop_taskrun, Builder::setup_taskrun_flag],
    &[],
];
/// How often a full submission queue is offered to a kernel that has no memory for it.
const FLUSHES: u32 = 100_000;
/// How long a dropped driver waits before it asks for the end of its operations once more.
const DROP_PATIENCE: Duration = Duration::from_millis(10);

type Builder = io_uring::Builder<squeue::Entry, cqueue::Entry>;
type Flag = for<'a> fn(&'a mut Builder) -> &'a mut Builder;

/// See the [module](self).
pub(super) struct Uring {
    ring: IoUring,
    bell: Counted<Bell>,
    /// Operations in the ring.
    in_flight: usize,
    /// How many of them are on files.
    files_in_flight: usize,
    /// What the kernel can do with files: one bit for each code of an operation.
    supported: u64,
    offload: Offload,
    /// What was taken off the completion queue before anybody asked.
    stash: Vec<Completion>,
    messages: Messages,
    /// Operations belong to the thread that made the ring.
    _not_send: PhantomData<*mut ()>,
}

/// Those to whom a message is on its way.
struct Messages {
    works: bool,
    /// One bit for each free slot.
    free: u64,
    slots: [Option<Counted<Bell>>; 64],
}

impl Uring {
    pub(super) fn new(config: &Config) -> Result<Self, UringRefused> {
        Self::with_steps(config, &STEPS)
    }

    fn with_steps(config: &Config, steps: &[&[Flag]]) -> Result<Self, UringRefused> {
        let mut ring = build(config.entries.max(1), steps)
            .map_err(|error| UringRefused::new("io_uring_setup", error))?;
        let (messages, supported) = try_out(&mut ring)?;
        let messages = Messages::new(messages);
        let eventfd = new_eventfd().map_err(|error| UringRefused::new("eventfd", error))?;
        let message_fd = if messages.works { Some(duplicate(&ring)?) } else { None };
        let bell = Bell::new(eventfd, message_fd);
        let mut driver = Self {
            ring,
            offload: Offload::new(&bell),
            bell,
            in_flight: 0,
            files_in_flight: 0,
            supported,
            stash: Vec::new(),
            messages,
            _not_send: PhantomData,
        };
        driver.watch_bell();
        driver.enter(0, None, EnterFlags::GETEVENTS);
        Ok(driver)
    }

    pub(super) fn notifier(&self) -> NativeNotifier {
        NativeNotifier(self.bell.clone())
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight + self.offload.in_flight()
    }

    /// # Safety
    /// As [`Driver::submit`](crate::Driver::submit).
    pub(super) unsafe fn submit(&mut self, op: Op, token: Token) {
        debug_assert!(token.0 < Token::RESERVED, "{token:?} belongs to the driver");
        let entry = match op {
            Op::Poll { handle, interest } => {
                let events = match interest {
                    Interest::Readable => libc::POLLIN,
                    Interest::Writable => libc::POLLOUT,
                };
                opcode::PollAdd::new(Fd(handle.0), events as u32).build().user_data(token.0 | POLL)
            }
            Op::Recv { handle, buffer, length } => {
                opcode::Recv::new(Fd(handle.0), buffer, length).build().user_data(token.0)
            }
            Op::Send { handle, buffer, length } => {
                let send = opcode::Send::new(Fd(handle.0), buffer, length);
                send.flags(libc::MSG_NOSIGNAL).build().user_data(token.0)
            }
            _ => match files::entry(&op, self.supported) {
                Some(entry) => {
                    self.files_in_flight += 1;
                    entry.user_data(token.0 | FILE)
                }
                // SAFETY: the caller's promise.
                None => return unsafe { self.offload.submit(op, token) },
            },
        };
        // SAFETY: the caller's promise about the memory holds until the completion.
        unsafe { self.push(&entry) };
        self.in_flight += 1;
    }

    pub(super) fn cancel(&mut self, token: Token) {
        self.offload.cancel(token);
        if self.in_flight == 0 {
            return;
        }
        let kinds = if self.files_in_flight == 0 { &[0, POLL][..] } else { &[0, POLL, FILE] };
        for user_data in kinds.iter().map(|kind| token.0 | kind) {
            let entry = opcode::AsyncCancel::new(user_data).build().user_data(CANCEL);
            // SAFETY: a cancel names no memory.
            unsafe { self.push(&entry) };
        }
    }

    pub(super) fn notify_other(&mut self, other: &NativeNotifier) {
        if !other.0.ring() {
            return;
        }
        let address = match self.ring.submission().is_empty() {
            true => None,
            false => self.messages.address(&other.0),
        };
        let Some((fd, slot)) = address else { return other.0.write() };
        let entry = opcode::MsgRingData::new(Fd(fd), 0, RECEIVED, None).build();
        // SAFETY: a message names no memory.
        unsafe { self.push(&entry.user_data(SENT | slot as u64)) };
        self.enter(0, None, EnterFlags::empty());
        if !self.ring.submission().is_empty() {
            // The kernel did not take it now. A second wake does no harm.
            other.0.write();
        }
    }

    #[inline]
    pub(super) fn tick(&mut self, completions: &mut Vec<Completion>) {
        if self.kernel_has_work() {
            self.enter(0, None, EnterFlags::GETEVENTS);
        }
        self.drain(completions);
    }

    pub(super) fn wait(&mut self, deadline: Option<Instant>, completions: &mut Vec<Completion>) {
        let before = completions.len();
        self.drain(completions);
        if completions.len() > before || !self.bell.doze() {
            self.tick(completions);
        } else {
            // HAMMER-WAIT-LOOP: uring-wait
            loop {
                Loop::Uring.waits();
                let left = deadline.map(|deadline| deadline - NativeClock::now());
                self.enter(1, left, EnterFlags::GETEVENTS);
                self.drain(completions);
                // What the driver did for itself completes too, and is no reason to return.
                if completions.len() > before
                    || self.bell.is_rung()
                    || deadline.is_some_and(|deadline| NativeClock::now() >= deadline)
                {
                    break;
                }
            }
        }
        self.bell.rise();
    }

    /// Whether a visit to the kernel would move anything.
    #[inline]
    fn kernel_has_work(&mut self) -> bool {
        let queue = self.ring.submission();
        !queue.is_empty() || queue.taskrun() || queue.cq_overflow()
    }

    /// Enters the kernel: gives it what waits, and blocks until `want` completions are there or
    /// `timeout` is over. May do less; callers look at the queues.
    fn enter(&mut self, want: u32, timeout: Option<Duration>, flags: EnterFlags) {
        let submissions = self.ring.submission().len() as u32;
        let time = timeout
            .map(|timeout| Timespec::new().sec(timeout.as_secs()).nsec(timeout.subsec_nanos()));
        let mut args = SubmitArgs::new();
        if let Some(time) = &time {
            args = args.timespec(time);
        }
        let flags = (flags | EnterFlags::EXT_ARG).bits();
        // SAFETY: `args` is what EXT_ARG announces; the entries were valid when they were pushed.
        let entered = unsafe { self.ring.submitter().enter(submissions, want, flags, Some(&args)) };
        let Err(error) = entered else { return };
        match error.raw_os_error() {
            // The time is over; a signal came; the completion queue must be drained first; there
            // is no memory for requests now.
            Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => {}
            _ => panic!("io_uring_enter failed, so operations in flight are lost: {error}"),
        }
    }

    /// Puts `entry` in the submission queue, after emptying that into the kernel if it is full.
    ///
    /// # Safety
    /// The memory that `entry` names is valid until its completion.
    unsafe fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: the caller's promise.
        if unsafe { self.ring.submission().push(entry) }.is_ok() {
            return;
        }
        for _ in 0..FLUSHES {
            self.enter(0, None, EnterFlags::GETEVENTS);
            // SAFETY: as above.
            if unsafe { self.ring.submission().push(entry) }.is_ok() {
                return;
            }
            // The kernel takes nothing while completions wait that nobody takes.
            let mut stash = std::mem::take(&mut self.stash);
            self.collect(&mut stash);
            self.stash = stash;
            std::thread::yield_now();
        }
        panic!("the kernel has no memory for I/O requests");
    }

    /// Hands over what completed.
    #[inline]
    fn drain(&mut self, completions: &mut Vec<Completion>) {
        if !self.stash.is_empty() {
            completions.append(&mut self.stash);
        }
        self.offload.collect(completions);
        self.collect(completions);
    }

    #[inline]
    fn collect(&mut self, completions: &mut Vec<Completion>) {
        let mut bell_is_watched = true;
        for entry in self.ring.completion() {
            let (data, result) = (entry.user_data(), entry.result());
            if data & FILE != OWN {
                self.in_flight -= 1;
                self.files_in_flight -= usize::from(data & FILE == FILE);
                let result = if data & FILE == POLL { result.min(0) } else { result };
                completions.push(Completion { token: Token(data & !FILE), result });
                continue;
            }
            match data & KIND {
                BELL => bell_is_watched = cqueue::more(entry.flags()),
                SENT => self.messages.sent((data & !KIND) as usize, result),
                _ => {}
            }
        }
        if !bell_is_watched {
            self.watch_bell();
        }
    }

    #[cold]
    fn watch_bell(&mut self) {
        let poll = opcode::PollAdd::new(Fd(self.bell.eventfd()), libc::POLLIN as u32);
        // SAFETY: a poll names no memory.
        unsafe { self.push(&poll.multi(true).build().user_data(BELL)) };
    }

    /// Returns when the kernel has given back all memory. A cancel misses an operation that is just
    /// being completed; then its completion comes by itself.
    pub(super) fn end(&mut self, completions: &mut Vec<Completion>) {
        self.cancel_everything();
        self.tick(completions);
        self.offload.end(completions);
        while self.in_flight > 0 {
            let again = NativeClock::now() + DROP_PATIENCE;
            while self.in_flight > 0 && NativeClock::now() < again {
                self.enter(1, Some(again - NativeClock::now()), EnterFlags::GETEVENTS);
                self.drain(completions);
            }
            self.cancel_everything();
        }
    }

    fn cancel_everything(&mut self) {
        let entry = opcode::AsyncCancel2::new(CancelBuilder::any()).build().user_data(CANCEL);
        // SAFETY: a cancel names no memory.
        unsafe { self.push(&entry) };
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        self.end(&mut Vec::new());
    }
}

impl Messages {
    fn new(works: bool) -> Self {
        Self { works, free: u64::MAX, slots: [const { None }; 64] }
    }

    /// The ring of `bell`, and a slot that remembers it until the message has completed.
    fn address(&mut self, bell: &Counted<Bell>) -> Option<(i32, usize)> {
        let fd = bell.ring_fd().filter(|_| self.works && self.free != 0)?;
        let slot = self.free.trailing_zeros() as usize;
        self.free &= !(1 << slot);
        self.slots[slot] = Some(bell.clone());
        Some((fd, slot))
    }

    fn sent(&mut self, slot: usize, result: i32) {
        let bell = self.slots[slot].take();
        self.free |= 1 << slot;
        if let (Some(bell), true) = (bell, result < 0) {
            bell.write();
        }
    }
}

impl std::fmt::Debug for Uring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Uring")
            .field("fd", &self.ring.as_raw_fd())
            .field("in_flight", &self.in_flight)
            .field("messages", &self.messages.works)
            .finish_non_exhaustive()
    }
}

/// A ring with the first of `steps` that the kernel takes.
fn build(entries: u32, steps: &[&[Flag]]) -> io::Result<IoUring> {
    let mut result = Err(io::Error::from_raw_os_error(libc::EINVAL));
    for step in steps {
        let mut builder = IoUring::builder();
        builder.setup_clamp().setup_submit_all().setup_cqsize(entries.saturating_mul(CQ_FACTOR));
        for flag in *step {
            flag(&mut builder);
        }
        result = builder.build(entries);
        // EINVAL is a flag that the kernel does not know. Fewer flags help against nothing else.
        match &result {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
            _ => break,
        }
    }
    result
}

/// Finds out whether `ring` can do what the driver needs; the answer is whether it takes messages,
/// and which operations on files it knows.
fn try_out(ring: &mut IoUring) -> Result<(bool, u64), UringRefused> {
    if !ring.params().is_feature_ext_arg() || !ring.params().is_feature_nodrop() {
        return Err(UringRefused::too_old("features EXT_ARG and NODROP"));
    }
    let mut probe = Probe::new();
    ring.submitter()
        .register_probe(&mut probe)
        .map_err(|error| UringRefused::new("io_uring_register", error))?;
    let needed =
        [opcode::PollAdd::CODE, opcode::Recv::CODE, opcode::Send::CODE, opcode::AsyncCancel::CODE];
    if !needed.iter().all(|code| probe.is_supported(*code)) {
        return Err(UringRefused::too_old("operations on sockets"));
    }
    // Both once for real, alone in the ring: a filter may let the setup pass and nothing else.
    let cancel = opcode::AsyncCancel2::new(CancelBuilder::any()).build().user_data(CANCEL);
    let message = opcode::MsgRingData::new(Fd(ring.as_raw_fd()), 0, RECEIVED, None).build();
    let message = message.user_data(SENT);
    let count = if probe.is_supported(opcode::MsgRingData::CODE) { 2 } else { 1 };
    for entry in [&cancel, &message].into_iter().take(count) {
        // SAFETY: neither names memory. The queue has room: the kernel rounds 1 entry up, or the
        // push fails and the result below is missing.
        if unsafe { ring.submission().push(entry) }.is_err() {
            break;
        }
        ring.submit_and_wait(1).map_err(|error| UringRefused::new("io_uring_enter", error))?;
    }
    let (mut cancels, mut sends) = (false, false);
    for entry in ring.completion() {
        match entry.user_data() {
            CANCEL => cancels = entry.result() >= 0 || entry.result() == -libc::ENOENT,
            SENT => sends = entry.result() >= 0,
            _ => {}
        }
    }
    let supported = files::supported(&probe);
    if cancels {
        Ok((sends, supported))
    } else {
        Err(UringRefused::too_old("cancelling everything"))
    }
}

/// Another descriptor of `ring`.
fn duplicate(ring: &IoUring) -> Result<OwnedFd, UringRefused> {
    // SAFETY: takes no pointers.
    let fd = check(unsafe { libc::fcntl(ring.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 0) })
        .map_err(|error| UringRefused::new("fcntl", error))?;
    // SAFETY: the kernel just made `fd`, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests;
