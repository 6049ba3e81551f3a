//! Fibers that borrow from the one that spawns them.

use core::any::Any;
use core::fmt;
use core::future::Future;
use core::marker::PhantomData;
use core::panic::AssertUnwindSafe;
use core::pin::Pin;
use core::task::{Context, Poll};

use raddle_ownership::Arc;
use raddle_parking_lot::spin::Spinlock;
use raddle_parking_lot::{Cancelled, WaitGroup};
use raddle_platform::{Event, Native, Object, ObjectKind, Platform};

use crate::cancel::CancellationToken;
use crate::handle::with_current;
use crate::task::{Builder, JoinError, JoinHandle, catch};

/// Runs `f` with a [`Scope`] whose fibers and futures may borrow from the caller, and returns when
/// all of them have ended.
///
/// A panic of `f` or of a task that nobody joined cancels the others, and goes on from here when
/// all have ended. When the calling fiber is cancelled, so are the scope's tasks; the scope still
/// waits for them, since they borrow.
///
/// ```
/// use raddle_runtime::{Native, Runtime, scope};
///
/// let runtime: Runtime = Runtime::new()?;
/// let total = runtime.run(|| {
///     let words = vec!["warp", "weft", "shed"];
///     let mut lengths = [0; 3];
///     scope::<Native, _, _>(|scope| {
///         for (word, length) in words.iter().zip(&mut lengths) {
///             scope.spawn(move || *length = word.len());
///         }
///     });
///     lengths.iter().sum::<usize>()
/// });
/// assert_eq!(total.unwrap(), 12);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
/// With what `f` or a task panicked with; outside every runtime, when something is spawned.
pub fn scope<'env, P: Platform, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env, P>) -> T,
{
    let scope = Scope {
        tasks: WaitGroup::new_in(),
        panic: Spinlock::new(None),
        token: CancellationToken::new_in(),
        scope: PhantomData,
        env: PhantomData,
    };
    P::event(&Event::ScopeOpened { scope: scope.object() });
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| f(&scope)));
    if result.is_err() {
        scope.cancel();
    }
    if let Err(Cancelled) = scope.tasks.wait_cancellable() {
        scope.cancel();
        scope.tasks.wait();
    }
    P::event(&Event::ScopeClosed { scope: scope.object() });
    let panic = scope.panic.lock().take();
    match (result, panic) {
        (Err(payload), _) | (Ok(_), Some(payload)) => std::panic::resume_unwind(payload),
        (Ok(value), None) => value,
    }
}

/// Spawns tasks that end before the [`scope`] does.
pub struct Scope<'scope, 'env: 'scope, P: Platform = Native> {
    tasks: WaitGroup<P>,
    /// What the first task that nobody joined panicked with.
    panic: Spinlock<Option<Box<dyn Any + Send>>, P>,
    token: CancellationToken<P>,
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

impl<P: Platform> fmt::Debug for Scope<'_, '_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}

/// Counts a task of a scope while it is alive, also if it is never run.
struct Counted<'scope, P: Platform>(&'scope WaitGroup<P>);

impl<P: Platform> Drop for Counted<'_, P> {
    fn drop(&mut self) {
        self.0.done();
    }
}

/// Where a scoped task leaves its result. It is dropped before the task stops counting, so a
/// result that borrows never outlives the scope.
struct Packet<'scope, T, P: Platform> {
    result: Spinlock<Option<Result<T, JoinError>>, P>,
    panic: &'scope Spinlock<Option<Box<dyn Any + Send>>, P>,
    token: CancellationToken<P>,
}

impl<T, P: Platform> Drop for Packet<'_, T, P> {
    fn drop(&mut self) {
        // Nobody joined: the panic is the scope's.
        if let Some(Err(JoinError::Panicked(payload))) = self.result.get_mut().take() {
            let mut first = self.panic.lock();
            let later = match &*first {
                Some(_) => Some(payload),
                None => first.replace(payload),
            };
            drop(first);
            self.token.cancel();
            // Foreign code: not under the lock.
            drop(later);
        }
    }
}

impl<'scope, P: Platform> Scope<'scope, '_, P> {
    fn packet<T>(&'scope self) -> (Arc<Packet<'scope, T, P>, P>, Counted<'scope, P>) {
        self.tasks.add(1);
        let packet = Arc::new_in(Packet {
            result: Spinlock::new(None),
            panic: &self.panic,
            token: self.token.clone(),
        });
        (packet, Counted(&self.tasks))
    }

    /// Spawns a fiber that may borrow what outlives the scope.
    ///
    /// # Panics
    /// Outside every runtime.
    pub fn spawn<F, T>(&'scope self, body: F) -> ScopedJoinHandle<'scope, T, P>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let (packet, counted) = self.packet();
        let fiber = ScopedFiber { body, packet: packet.clone(), counted };
        let builder = Builder::new_in().token(&self.token);
        // SAFETY: the body borrows for `'scope`. It is run or dropped before `counted` is, and the
        // scope does not return before that; the output is `()`.
        let handle =
            with_current(|shared| unsafe { builder.spawn_fiber(shared, move || fiber.run()) });
        ScopedJoinHandle { handle, packet }
    }

    /// Spawns a future that may borrow what outlives the scope.
    ///
    /// # Panics
    /// Outside every runtime.
    pub fn spawn_async<F>(&'scope self, future: F) -> ScopedJoinHandle<'scope, F::Output, P>
    where
        F: Future + Send + 'scope,
        F::Output: Send + 'scope,
    {
        let (packet, counted) = self.packet();
        let future =
            ScopedFuture { future: Some(future), packet: Some(packet.clone()), _counted: counted };
        let builder = Builder::new_in().token(&self.token);
        // SAFETY: as in `spawn`: the future's fields are dropped in order, `_counted` last.
        let handle = with_current(|shared| unsafe { builder.spawn_future(shared, future) });
        ScopedJoinHandle { handle, packet }
    }

    /// Cancels all tasks of the scope, those to come included.
    pub fn cancel(&self) {
        P::event(&Event::ScopeCancelled { scope: self.object() });
        self.token.cancel();
    }

    /// What events call this scope.
    fn object(&self) -> Object {
        Object { kind: ObjectKind::Scope, number: self.panic.number() }
    }
}

/// What a scoped fiber owns. One that never runs is dropped in the order of the fields, which that
/// of a closure's captures would not promise: it stops counting last.
struct ScopedFiber<'scope, F, T, P: Platform> {
    body: F,
    packet: Arc<Packet<'scope, T, P>, P>,
    counted: Counted<'scope, P>,
}

impl<F: FnOnce() -> T, T, P: Platform> ScopedFiber<'_, F, T, P> {
    fn run(self) {
        let Self { body, packet, counted } = self;
        let result = catch::<P, T>(body);
        *packet.result.lock() = Some(result);
        drop(packet);
        drop(counted);
    }
}

/// Leaves its result in the packet, then stops counting: the order of the fields.
struct ScopedFuture<'scope, F: Future, P: Platform> {
    future: Option<F>,
    packet: Option<Arc<Packet<'scope, F::Output, P>, P>>,
    _counted: Counted<'scope, P>,
}

impl<F: Future, P: Platform> Future for ScopedFuture<'_, F, P> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // SAFETY: the future is pinned with the whole; the other fields are not.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: as above; it is dropped in place.
        let mut pinned = unsafe { Pin::new_unchecked(&mut this.future) };
        let Some(future) = pinned.as_mut().as_pin_mut() else { return Poll::Ready(()) };
        let result = match catch::<P, _>(|| future.poll(context)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(value)) => Ok(value),
            Err(error) => Err(error),
        };
        pinned.set(None);
        if let Some(packet) = this.packet.take() {
            *packet.result.lock() = Some(result);
        }
        Poll::Ready(())
    }
}

/// Waits for a scoped task and takes its result.
pub struct ScopedJoinHandle<'scope, T, P: Platform = Native> {
    handle: JoinHandle<(), P>,
    packet: Arc<Packet<'scope, T, P>, P>,
}

impl<T, P: Platform> fmt::Debug for ScopedJoinHandle<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ScopedJoinHandle").field(&self.handle).finish()
    }
}

impl<T, P: Platform> ScopedJoinHandle<'_, T, P> {
    /// Waits for the task, suspending the calling fiber or thread. A cancellation point.
    ///
    /// # Errors
    /// See [`JoinError`]. A panic that is returned here is not the scope's any more.
    pub fn join(self) -> Result<T, JoinError> {
        self.handle.join()?;
        let result = self.packet.result.lock().take();
        result.unwrap_or(Err(JoinError::Cancelled))
    }

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// Asks the task to end; see [`JoinHandle::cancel`].
    pub fn cancel(&self) {
        self.handle.cancel();
    }
}
