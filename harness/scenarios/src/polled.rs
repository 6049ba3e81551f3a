//! Futures that are polled by hand.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

/// Polls once, with a waker that does nothing: for a future that is then dropped or handed on.
pub(crate) fn once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// A waker that does nothing but run `dropped` whenever it, or a clone of it, is dropped. Foreign code may
/// be like that.
///
/// # Safety
/// `dropped` outlives it and its clones, and may be called on any thread.
pub(crate) unsafe fn dropping<D: Fn()>(dropped: &D) -> Waker {
    fn table<D: Fn()>() -> &'static RawWakerVTable {
        const {
            &RawWakerVTable::new(
                |data| RawWaker::new(data, table::<D>()),
                // SAFETY: what `dropping` was given, which outlives its wakers.
                |data| unsafe { (*data.cast::<D>())() },
                |_| {},
                // SAFETY: as above.
                |data| unsafe { (*data.cast::<D>())() },
            )
        }
    }
    // SAFETY: the functions keep the contract, and the caller promises the rest.
    unsafe { Waker::from_raw(RawWaker::new(core::ptr::from_ref(dropped).cast(), table::<D>())) }
}
