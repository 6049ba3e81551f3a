//! Stands in for `raddle_ownership::Arc` until that crate is there.
use core::marker::PhantomData;
use core::ops::Deref;

/// Stand-in.
pub struct Arc<T: ?Sized, P>(std::sync::Arc<T>, PhantomData<P>);

impl<T, P> Arc<T, P> {
    /// Stand-in.
    pub fn new_in(value: T) -> Self {
        Self(std::sync::Arc::new(value), PhantomData)
    }
}

impl<T: ?Sized, P> Clone for Arc<T, P> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<T: ?Sized, P> Deref for Arc<T, P> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}
