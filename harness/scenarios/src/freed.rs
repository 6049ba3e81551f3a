//! Memory that one thread frees while another may still be busy with it.

/// A value that several threads use and one of them frees. A harness whose atomics take their
/// destruction for an access that nobody else's may race reports a late one.
pub(crate) struct Freed<T>(*mut T);

// SAFETY: the threads only share the value, until the one that frees it.
unsafe impl<T: Sync + Send> Send for Freed<T> {}

impl<T> Clone for Freed<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Freed<T> {}

impl<T> Freed<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Box::into_raw(Box::new(value)))
    }

    /// # Safety
    /// Nobody has freed the value; whoever will does so only after the caller's last use, which
    /// is the very property under test.
    pub(crate) unsafe fn get<'a>(self) -> &'a T {
        // SAFETY: the caller's promise.
        unsafe { &*self.0 }
    }

    /// # Safety
    /// Called once, after the last use.
    pub(crate) unsafe fn free(self) {
        // SAFETY: it came from a box, and the caller's promise.
        drop(unsafe { Box::from_raw(self.0) });
    }
}
