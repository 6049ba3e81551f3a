//! Waiting for readiness in futures, and the socket that outlives them.
//!
//! ```text
//!   TcpStream ─────▶ Socket ◀───── Operation ◀── the driver, until the completion
//!                      │               ▲
//!                      └─ in flight    └──────── the future (may be dropped or forgotten)
//! ```
//! The operation keeps the socket until it completes, so the descriptor is closed only when nothing
//! on it is in flight. The stream, when dropped, cancels what is still in flight. The future only
//! borrows the socket, and what it leaks when it is forgotten is an operation without one: it
//! cannot hold the connection open.

use core::future::Future;
use core::pin::Pin;
use core::ptr::NonNull;
use core::task::{Context, Poll, Waker};
use std::io;

use raddle_ownership::Arc;
use raddle_parking_lot::spin::Spinlock;
use raddle_platform::driver::{Completion, Handle, Interest, Op, Token};
use raddle_platform::{Driver, Event, Platform};

use super::Record;
use crate::handle;
use crate::scheduler::{Command, Shared, Worker};

/// An open socket. Closed when the last owner goes.
pub(crate) struct Socket<P: Platform> {
    pub(crate) handle: Handle,
    in_flight: Spinlock<Vec<InFlight<P>>, P>,
}

struct InFlight<P: Platform> {
    shared: Arc<Shared<P>, P>,
    worker: usize,
    token: Token,
}

impl<P: Platform> Socket<P> {
    pub(crate) fn new(handle: Handle) -> Arc<Self, P> {
        Arc::new_in(Self { handle, in_flight: Spinlock::new(Vec::new()) })
    }

    /// Cancels what is in flight. Called when the stream or listener is dropped.
    pub(crate) fn cancel_all(&self) {
        let waiting = core::mem::take(&mut *self.in_flight.lock());
        for operation in waiting {
            cancel(&operation.shared, operation.worker, operation.token);
        }
    }
}

impl<P: Platform> Drop for Socket<P> {
    fn drop(&mut self) {
        P::Driver::close(self.handle);
    }
}

/// Asks the worker whose driver has the operation for its end. If it has completed meanwhile, its
/// token may name a younger one: that completes early, its future tries again, nothing is lost.
pub(crate) fn cancel<P: Platform>(shared: &Shared<P>, worker: usize, token: Token) {
    match Worker::<P>::current_of(shared) {
        Some(current) if current.index == worker => {
            // Its submission may still wait among the commands.
            current.obey();
            current.cancel(token);
        }
        _ => shared.command(worker, Command::Cancel(token)),
    }
}

/// A readiness operation. One count is the driver's, from submission to completion.
#[repr(C)]
struct Operation<P: Platform> {
    record: Record,
    shared: Arc<Shared<P>, P>,
    worker: usize,
    state: Spinlock<State<P>, P>,
}

struct State<P: Platform> {
    /// There until the completion.
    socket: Option<Arc<Socket<P>, P>>,
    result: Option<i32>,
    waker: Option<Waker>,
}

/// # Safety
/// `record` heads an [`Operation`] in flight, and this is its completion.
unsafe fn complete<P: Platform>(record: NonNull<Record>, result: i32) {
    // SAFETY: the record heads an `Operation` in an `Arc`, of which submission left one count.
    let operation: Arc<Operation<P>, P> =
        unsafe { Arc::from_raw(record.cast::<Operation<P>>().as_ptr().cast_const()) };
    let token = Record::token(record);
    let mut state = operation.state.lock();
    state.result = Some(result);
    let (waker, socket) = (state.waker.take(), state.socket.take());
    drop(state);
    if let Some(socket) = socket {
        let handle = socket.handle.0;
        match result {
            0.. => P::event(&Event::IoReady { handle }),
            errno => P::event(&Event::IoError { handle: Some(handle), errno: -errno }),
        }
        socket.in_flight.lock().retain(|waiting| waiting.token != token);
    }
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// A future that is ready when the socket is.
pub(crate) struct Readiness<'a, P: Platform> {
    socket: &'a Arc<Socket<P>, P>,
    interest: Interest,
    operation: Option<Arc<Operation<P>, P>>,
}

impl<'a, P: Platform> Readiness<'a, P> {
    pub(crate) fn new(socket: &'a Arc<Socket<P>, P>, interest: Interest) -> Self {
        Self { socket, interest, operation: None }
    }

    fn begin(&self, waker: Waker) -> io::Result<Arc<Operation<P>, P>> {
        let (shared, worker) = handle::nearest_worker::<P>().ok_or_else(|| {
            io::Error::other(
                "asynchronous I/O outside a runtime: spawn it, or drive it with Runtime::block_on",
            )
        })?;
        let operation = Arc::new_in(Operation {
            record: Record { complete: complete::<P> },
            shared: shared.clone(),
            worker,
            state: Spinlock::new(State {
                socket: Some(self.socket.clone()),
                result: None,
                waker: Some(waker),
            }),
        });
        // The record heads the operation, so the pointer to the whole is the record's token.
        let raw = Arc::into_raw(operation.clone()).cast_mut().cast::<Record>();
        // SAFETY: an `Arc` points to its value, so never to null.
        let raw = unsafe { NonNull::new_unchecked(raw) };
        let token = Record::token(raw);
        let in_flight = InFlight { shared: shared.clone(), worker, token };
        self.socket.in_flight.lock().push(in_flight);
        let op = Op::Poll { handle: self.socket.handle, interest: self.interest };
        match Worker::<P>::current_of(&shared) {
            // SAFETY: the operation names no memory, and its record lives until `complete`.
            Some(current) if current.index == worker => unsafe { current.submit(op, token) },
            _ => shared.command(worker, Command::Submit(op, token)),
        }
        Ok(operation)
    }
}

impl<P: Platform> Future for Readiness<'_, P> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(operation) = &self.operation else {
            let operation = self.begin(context.waker().clone())?;
            self.operation = Some(operation);
            return Poll::Pending;
        };
        // Cloned before the lock: a waker is foreign code.
        let waker = context.waker().clone();
        let mut state = operation.state.lock();
        let Some(result) = state.result else {
            let before = state.waker.replace(waker);
            drop(state);
            drop(before);
            return Poll::Pending;
        };
        let completion = Completion { token: Token(0), result };
        drop(state);
        if completion.is_cancelled() {
            // Its token was mistaken for an older one's: wait again.
            self.operation = Some(self.begin(waker)?);
            return Poll::Pending;
        }
        self.operation = None;
        Poll::Ready(completion.into_result().map(drop))
    }
}

impl<P: Platform> Drop for Readiness<'_, P> {
    fn drop(&mut self) {
        let Some(operation) = self.operation.take() else { return };
        let mut state = operation.state.lock();
        if state.result.is_some() {
            return;
        }
        let waker = state.waker.take();
        drop(state);
        drop(waker);
        cancel(
            &operation.shared,
            operation.worker,
            Record::token(NonNull::from(&operation.record)),
        );
    }
}
