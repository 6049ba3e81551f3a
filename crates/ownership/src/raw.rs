//! Arcs as raw pointers: for wakers, intrusive lists, foreign code; and unsizing.

use core::alloc::Layout;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;

use raddle_platform::Platform;

use crate::arc::Arc;
use crate::inner::{Header, Inner};

/// How many bytes before `value` its allocation begins.
///
/// # Safety
/// The value is alive.
unsafe fn value_offset<T: ?Sized, P: Platform>(value: *const T) -> usize {
    // SAFETY: the caller promises that the value is alive.
    let align = unsafe { align_of_val(&*value) };
    let header = Layout::new::<Header<P>>();
    // `Inner` is `repr(C)`: the value comes after the header, at its own alignment.
    header.size().next_multiple_of(align)
}

impl<T: ?Sized, P: Platform> Arc<T, P> {
    /// The address of the value: the same for all Arcs that share it, valid while one is there.
    #[inline]
    pub fn as_ptr(this: &Self) -> *const T {
        this.inner().value.get()
    }

    /// Gives the pointer away as a raw one, to be taken back by [`from_raw`](Arc::from_raw).
    #[inline]
    pub fn into_raw(this: Self) -> *const T {
        Self::as_ptr(&ManuallyDrop::new(this))
    }

    /// Takes back what [`into_raw`](Arc::into_raw) gave away.
    ///
    /// # Safety
    /// `pointer` came from `Arc::<T, P>::into_raw`, and is taken back once for each time.
    #[inline]
    pub unsafe fn from_raw(pointer: *const T) -> Self {
        // SAFETY: the caller's strong reference keeps the value.
        let offset = unsafe { value_offset::<T, P>(pointer) };
        // SAFETY: the allocation begins there.
        let inner = unsafe { pointer.cast_mut().byte_sub(offset) } as *mut Inner<T, P>;
        // SAFETY: not null; the strong reference is the one that `into_raw` gave away.
        unsafe { Self::from_inner(NonNull::new_unchecked(inner)) }
    }

    /// Counts another strong reference to what [`into_raw`](Arc::into_raw) gave away.
    ///
    /// # Safety
    /// `pointer` came from `Arc::<T, P>::into_raw`, and was not taken back yet.
    #[inline]
    pub unsafe fn increment_strong_count(pointer: *const T) {
        // SAFETY: as the caller promises; and the reference is not given up here.
        let arc = ManuallyDrop::new(unsafe { Self::from_raw(pointer) });
        core::mem::forget(Arc::clone(&arc));
    }

    /// Gives up one strong reference to what [`into_raw`](Arc::into_raw) gave away.
    ///
    /// # Safety
    /// `pointer` came from `Arc::<T, P>::into_raw`, and the caller owns one reference to it.
    #[inline]
    pub unsafe fn decrement_strong_count(pointer: *const T) {
        // SAFETY: as the caller promises.
        drop(unsafe { Self::from_raw(pointer) });
    }
}

impl<T, P: Platform> Arc<T, P> {
    /// Turns `Arc<T>` into `Arc<dyn Trait>` or `Arc<[E]>`. [`unsize!`](crate::unsize) is the safe
    /// form.
    ///
    /// # Safety
    /// `coerce` returns its argument, unsized by the compiler's own coercion: `|pointer| pointer`.
    /// (Safe code could return the right address with another type's vtable, or another length.)
    #[inline]
    pub unsafe fn unsize<U: ?Sized>(
        this: Self,
        coerce: impl FnOnce(*mut T) -> *mut U,
    ) -> Arc<U, P> {
        let value = this.inner().value.get();
        let unsized_value = coerce(value);
        assert!(core::ptr::addr_eq(value, unsized_value), "`coerce` returned another pointer");
        let inner = Self::into_inner_pointer(this);
        let offset = value.addr() - inner.addr().get();
        // SAFETY: the allocation begins there, and the pointer came from a pointer to all of it.
        let inner = unsafe { unsized_value.byte_sub(offset) } as *mut Inner<U, P>;
        // SAFETY: not null; the strong reference is the one of `this`. The caller promises that the
        // type is a view of the same value.
        unsafe { Arc::from_inner(NonNull::new_unchecked(inner)) }
    }
}

/// Turns an `Arc<T, P>` into an `Arc<dyn Trait, P>` or an `Arc<[E], P>`.
///
/// std's Arc does that by itself; on stable Rust nobody else's can.
///
/// ```
/// use raddle_ownership::{Arc, unsize};
/// let shared: Arc<dyn Fn() -> i32 + Send + Sync> =
///     unsize!(Arc::new(|| 42) => dyn Fn() -> i32 + Send + Sync);
/// assert_eq!(shared(), 42);
/// let slice: Arc<[u8]> = unsize!(Arc::new([1, 2, 3]) => [u8]);
/// assert_eq!(slice.len(), 3);
/// ```
///
/// Only what the compiler coerces is accepted:
///
/// ```compile_fail,E0277
/// use raddle_ownership::{Arc, unsize};
/// unsize!(Arc::new(42) => dyn Fn());
/// ```
#[macro_export]
macro_rules! unsize {
    ($arc:expr => $target:ty) => {{
        let arc = $arc;
        // SAFETY: the closure is the compiler's own coercion.
        unsafe { $crate::Arc::unsize(arc, |pointer| -> *mut $target { pointer }) }
    }};
}
