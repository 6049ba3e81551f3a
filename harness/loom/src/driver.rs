//! A driver over the sockets of [`net`](crate::net) and the files of [`files`](crate::files).
//!
//! An operation completes at the first tick or wait of its owner that finds it possible. Whether
//! that is before or after what others do is loom's choice of the running thread, so all orders of
//! a completion and a wake, a cancel or a deadline are explored. What becomes possible while the
//! owner waits ends the wait. No thread plays the kernel: loom has five.
//!
//! The driver has a [token](crate::token) of its own, so a wait on it neither takes nor leaves the
//! thread's parking token.
//!
//! A signal comes as soon as somebody waits for it.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;

use raddle_platform::driver::{
    Completion, Config, Driver, Handle, Interest, Notify, Op, Signal, Token as OpToken,
};
use raddle_platform::{Instant, Platform};

use crate::history::Effect;
use crate::token::Token;
use crate::world::{Kind, Step};
use crate::{Loom, files, net};

/// See the [module](self).
pub struct LoomDriver {
    token: Arc<Token>,
    /// In flight, the oldest first.
    operations: Vec<(Op, OpToken)>,
    /// Completed, and not handed over yet.
    ended: Vec<Completion>,
}

/// Ends a driver's wait.
pub struct LoomNotifier(Arc<Token>);

impl Notify for LoomNotifier {
    fn notify(&self) {
        let step = Step::plain(Kind::Driver, "notify", None);
        self.0.wake();
        step.end(Effect::Done);
    }
}

impl LoomDriver {
    /// Ends the operations that are possible now; the others leave `waiter` with their sockets.
    fn advance(&mut self, waiter: Option<&Arc<Token>>) {
        for (op, token) in core::mem::take(&mut self.operations) {
            match net::attempt(&op, waiter) {
                None => self.operations.push((op, token)),
                Some(result) => self.complete(&op, token, result),
            }
        }
    }

    fn complete(&mut self, op: &Op, token: OpToken, result: i32) {
        net::count_in_flight(op, -1);
        self.ended.push(Completion { token, result });
    }

    /// Ends an operation that its submitter has given up: with its own result, if it came first.
    fn end_early(&mut self, op: &Op, token: OpToken) {
        // An operation on files is always possible, so it would never be called back.
        let attempt = if op.is_on_files() { None } else { net::attempt(op, None) };
        let result = attempt.unwrap_or(-libc::ECANCELED);
        self.complete(op, token, result);
    }

    fn hand_over(&mut self, completions: &mut Vec<Completion>) {
        let batch = self.ended.len().min(Loom::BOUNDS.completion_batch);
        completions.extend(self.ended.drain(..batch));
    }

    fn sleep(&self, deadline: Option<Instant>) -> bool {
        let Some(deadline) = deadline else {
            self.token.park();
            return true;
        };
        self.token.park_until(deadline)
    }
}

/// Runs an operation on a socket as a step of the calling thread.
#[track_caller]
fn step<R>(name: &'static str, operation: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
    let step = Step::plain(Kind::Driver, name, None);
    let result = operation();
    let error = result.as_ref().err().and_then(io::Error::raw_os_error);
    step.end(match error {
        None => Effect::Done,
        Some(libc::EAGAIN) => Effect::Text("would block"),
        Some(_) => Effect::Text("failed"),
    });
    result
}

impl Driver for LoomDriver {
    type Notifier = LoomNotifier;

    fn new(_: &Config) -> io::Result<Self> {
        let token = Arc::new(Token::new());
        Ok(Self { token, operations: Vec::new(), ended: Vec::new() })
    }

    fn name(&self) -> &'static str {
        "loom"
    }

    fn notifier(&self) -> LoomNotifier {
        LoomNotifier(Arc::clone(&self.token))
    }

    unsafe fn submit(&mut self, op: Op, token: OpToken) {
        Step::plain(Kind::Driver, "submit", None).end(Effect::Done);
        net::count_in_flight(&op, 1);
        self.operations.push((op, token));
    }

    fn cancel(&mut self, token: OpToken) {
        let step = Step::plain(Kind::Driver, "cancel", None);
        if let Some(place) = self.operations.iter().position(|(_, known)| *known == token) {
            let (op, token) = self.operations.remove(place);
            self.end_early(&op, token);
        }
        step.end(Effect::Done);
    }

    fn tick(&mut self, completions: &mut Vec<Completion>) {
        let step = Step::plain(Kind::Driver, "tick", None);
        self.advance(None);
        self.hand_over(completions);
        step.end(Effect::Value(completions.len() as u64));
    }

    fn wait(&mut self, deadline: Option<Instant>, completions: &mut Vec<Completion>) {
        if let Some(deadline) = deadline {
            // Counted twice: it is a use of the driver and of the clock.
            Step::plain(Kind::Clock, "wait until", None).end(Effect::Value(deadline.as_nanos()));
        }
        let step = Step::plain(Kind::Driver, "wait", None);
        let token = Arc::clone(&self.token);
        self.advance(Some(&token));
        step.resumed();
        if self.ended.is_empty() {
            let woken = self.sleep(deadline);
            step.resumed();
            if !self.operations.is_empty() {
                net::forget(&token);
                self.advance(None);
            }
            self.hand_over(completions);
            step.end(Effect::Value(u64::from(woken)));
        } else {
            net::forget(&token);
            self.hand_over(completions);
            step.end(Effect::Text("completions"));
        }
    }

    fn end(&mut self, completions: &mut Vec<Completion>) {
        let step = Step::plain(Kind::Driver, "end", None);
        for (op, token) in core::mem::take(&mut self.operations) {
            self.end_early(&op, token);
        }
        completions.append(&mut self.ended);
        step.end(Effect::Done);
    }

    fn in_flight(&self) -> usize {
        self.operations.len() + self.ended.len()
    }

    fn listen(addr: SocketAddr, _: u32) -> io::Result<Handle> {
        net::listen(addr)
    }
    fn accept(listener: Handle) -> io::Result<(Handle, SocketAddr)> {
        step("accept", || net::accept(listener))
    }
    fn connect(addr: SocketAddr) -> io::Result<Handle> {
        step("connect", || net::connect(addr))
    }
    fn take_error(handle: Handle) -> io::Result<()> {
        step("take_error", || net::take_error(handle))
    }
    fn recv(handle: Handle, buffer: &mut [u8]) -> io::Result<usize> {
        step("recv", || net::receive(handle, buffer, true))
    }
    fn peek(handle: Handle, buffer: &mut [u8]) -> io::Result<usize> {
        step("peek", || net::receive(handle, buffer, false))
    }
    fn send(handle: Handle, buffer: &[u8]) -> io::Result<usize> {
        step("send", || net::transmit(handle, buffer))
    }
    fn shutdown(handle: Handle, how: Shutdown) -> io::Result<()> {
        step("shutdown", || net::shutdown(handle, how))
    }
    fn local_addr(handle: Handle) -> io::Result<SocketAddr> {
        net::addresses(handle).map(|(local, _)| local)
    }
    fn peer_addr(handle: Handle) -> io::Result<SocketAddr> {
        let not_connected = || io::Error::from_raw_os_error(libc::ENOTCONN);
        net::addresses(handle)?.1.ok_or_else(not_connected)
    }
    fn set_nodelay(handle: Handle, on: bool) -> io::Result<()> {
        net::nodelay(handle, Some(on)).map(drop)
    }
    fn nodelay(handle: Handle) -> io::Result<bool> {
        net::nodelay(handle, None)
    }
    fn close(handle: Handle) {
        let step = Step::plain(Kind::Driver, "close", None);
        if files::is_file(handle) {
            files::close(handle);
        } else {
            net::close(handle);
        }
        step.end(Effect::Done);
    }

    fn block_until_ready(
        handle: Handle,
        interest: Interest,
        deadline: Option<Instant>,
    ) -> io::Result<bool> {
        step("block_until_ready", || {
            let token = net::token()?;
            while !net::ready(handle, interest, Some(&token))? {
                let Some(deadline) = deadline else {
                    token.park();
                    continue;
                };
                if !token.park_until(deadline) {
                    net::forget(&token);
                    return net::ready(handle, interest, None);
                }
            }
            Ok(true)
        })
    }

    unsafe fn block_on(op: Op) -> i32 {
        let step = Step::plain(Kind::Driver, "block_on", None);
        // SAFETY: the caller's promise.
        let result = unsafe { block_on(&op) };
        step.end(Effect::Value(result.unsigned_abs().into()));
        result
    }

    fn file_length(handle: Handle) -> io::Result<u64> {
        files::length(handle).map_err(io::Error::from_raw_os_error)
    }

    fn signal(_: Signal) -> io::Result<Handle> {
        Ok(net::signal())
    }
    fn take_signal(handle: Handle) -> io::Result<bool> {
        net::take_signal(handle)
    }
}

/// # Safety
/// The memory that `op` names is valid, and nobody else uses it.
unsafe fn block_on(op: &Op) -> i32 {
    if op.is_on_files() {
        // SAFETY: the caller's promise.
        return unsafe { files::perform(op) };
    }
    let Ok(token) = net::token() else { return -libc::EBADF };
    loop {
        match net::attempt(op, Some(&token)) {
            Some(result) => return result,
            None => token.park(),
        }
    }
}
