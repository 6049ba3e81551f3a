//! The traits that make an Arc stand for its value.

use core::borrow::Borrow;
use core::cmp::Ordering;
use core::error::Error;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::panic::{RefUnwindSafe, UnwindSafe};

use raddle_platform::Platform;

use crate::arc::Arc;
use crate::weak::Weak;

impl<T: ?Sized, P: Platform> AsRef<T> for Arc<T, P> {
    fn as_ref(&self) -> &T {
        self
    }
}

impl<T: ?Sized, P: Platform> Borrow<T> for Arc<T, P> {
    fn borrow(&self) -> &T {
        self
    }
}

impl<T: Default, P: Platform> Default for Arc<T, P> {
    fn default() -> Self {
        Self::new_in(T::default())
    }
}

impl<T, P: Platform> From<T> for Arc<T, P> {
    fn from(value: T) -> Self {
        Self::new_in(value)
    }
}

impl<T: ?Sized + fmt::Debug, P: Platform> fmt::Debug for Arc<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display, P: Platform> fmt::Display for Arc<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized, P: Platform> fmt::Pointer for Arc<T, P> {
    /// The address of the value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Pointer::fmt(&Arc::as_ptr(self), f)
    }
}

impl<T: ?Sized + Error, P: Platform> Error for Arc<T, P> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        (**self).source()
    }
}

impl<T: ?Sized + PartialEq, P: Platform> PartialEq for Arc<T, P> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: ?Sized + Eq, P: Platform> Eq for Arc<T, P> {}

impl<T: ?Sized + PartialOrd, P: Platform> PartialOrd for Arc<T, P> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (**self).partial_cmp(&**other)
    }
}

impl<T: ?Sized + Ord, P: Platform> Ord for Arc<T, P> {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl<T: ?Sized + Hash, P: Platform> Hash for Arc<T, P> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<T: ?Sized, P: Platform> Unpin for Arc<T, P> {}
impl<T: ?Sized + RefUnwindSafe, P: Platform> UnwindSafe for Arc<T, P> {}
impl<T: ?Sized + RefUnwindSafe, P: Platform> RefUnwindSafe for Arc<T, P> {}
impl<T: ?Sized + RefUnwindSafe, P: Platform> UnwindSafe for Weak<T, P> {}
impl<T: ?Sized + RefUnwindSafe, P: Platform> RefUnwindSafe for Weak<T, P> {}
