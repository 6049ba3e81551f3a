//! Messages as iterators.

use raddle_platform::{Native, Platform};

use super::Receiver;

/// Messages until the channel has ended; see [`Receiver::iter`].
#[derive(Debug)]
pub struct Iter<'a, T, P: Platform = Native> {
    receiver: &'a Receiver<T, P>,
}

/// Messages that are there; see [`Receiver::try_iter`].
#[derive(Debug)]
pub struct TryIter<'a, T, P: Platform = Native> {
    receiver: &'a Receiver<T, P>,
}

/// Messages until the channel has ended, by the receiver's `into_iter`.
#[derive(Debug)]
pub struct IntoIter<T, P: Platform = Native> {
    receiver: Receiver<T, P>,
}

impl<'a, T, P: Platform> Iter<'a, T, P> {
    pub(super) fn new(receiver: &'a Receiver<T, P>) -> Self {
        Self { receiver }
    }
}

impl<'a, T, P: Platform> TryIter<'a, T, P> {
    pub(super) fn new(receiver: &'a Receiver<T, P>) -> Self {
        Self { receiver }
    }
}

impl<T, P: Platform> IntoIter<T, P> {
    pub(super) fn new(receiver: Receiver<T, P>) -> Self {
        Self { receiver }
    }
}

impl<T, P: Platform> Iterator for Iter<'_, T, P> {
    type Item = T;
    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

impl<T, P: Platform> Iterator for TryIter<'_, T, P> {
    type Item = T;
    fn next(&mut self) -> Option<T> {
        self.receiver.try_recv().ok()
    }
}

impl<T, P: Platform> Iterator for IntoIter<T, P> {
    type Item = T;
    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}
