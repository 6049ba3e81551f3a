//! Streams and iterators made of others.
//!
//! [`StreamExt`] gives every [`Stream`] what pipelines are made of: [`map_bounded`](StreamExt::map_bounded),
//! [`filter_bounded`](StreamExt::filter_bounded) and [`for_each_bounded`](StreamExt::for_each_bounded) do
//! something for each item with at most `n` in flight; [`merge`](StreamExt::merge),
//! [`chunks`](StreamExt::chunks), [`window`](StreamExt::window), [`take`](StreamExt::take) and
//! [`reduce`](StreamExt::reduce) change the shape. [`IterExt`] has `chunks` and `merge` for blocking
//! iterators; `take` and `reduce` the standard library has.
//!
//! ```
//! use raddle_platform::{Native, suspend};
//! use raddle_streams::channel;
//! use raddle_streams::combinators::StreamExt;
//!
//! let (sender, receiver) = channel::bounded(16);
//! (1..=6).for_each(|number| sender.send(number).unwrap());
//! drop(sender);
//! let squares = receiver.stream().map_bounded(3, |number| async move { Ok::<_, ()>(number * number) });
//! let sum = suspend::block_on::<Native, _>(squares.reduce(|sum, square| {
//!     Ok(sum? + square?)
//! }));
//! assert_eq!(sum, Some(Ok(91)));
//! ```
//!
//! # In flight
//!
//! The futures of items in flight belong to the task that polls the stream: nothing is spawned, so they
//! may borrow, and dropping the stream cancels them. A wake polls all that are in flight, which is at most
//! `n`: keep `n` at what the resource behind it can serve, not at the number of items. What has to run on
//! several workers spawns inside of the closure, and awaits the task there.
//!
//! # Errors
//!
//! The closure's future gives a `Result`. The first error that comes is reported, the futures in flight are
//! dropped, no further item is claimed, and the stream has ended. Items are claimed in order, each once.
//!
//! Fibers and threads use the asynchronous forms through
//! [`suspend::block_on`](raddle_platform::suspend::block_on), or a scope of the runtime with a semaphore:
//! this crate is below the runtime, and spawns nothing.

mod bounded;
mod shape;

pub use bounded::{FilterBounded, ForEachBounded, MapBounded};
pub use shape::{Chunks, IterChunks, IterMerge, Merge, Reduce, Take, Window};

use core::future::Future;
use core::time::Duration;

use futures_core::Stream;

/// Combinators of streams; see the [module](self).
pub trait StreamExt: Stream + Sized {
    /// Does `work` for each item, at most `limit` at a time. The results come as they are ready; after
    /// [`ordered`](MapBounded::ordered), in the order of the items.
    ///
    /// # Panics
    /// If `limit` is 0.
    fn map_bounded<W, F, T, E>(self, limit: usize, work: W) -> MapBounded<Self, W, F>
    where
        W: FnMut(Self::Item) -> F,
        F: Future<Output = Result<T, E>>,
    {
        MapBounded::new(self, limit, work)
    }

    /// Does `work` for each item, at most `limit` at a time. The future is ready after the last one, or
    /// with the first error.
    ///
    /// # Panics
    /// If `limit` is 0.
    fn for_each_bounded<W, F, E>(self, limit: usize, work: W) -> ForEachBounded<Self, W, F>
    where
        W: FnMut(Self::Item) -> F,
        F: Future<Output = Result<(), E>>,
    {
        ForEachBounded::new(self.map_bounded(limit, work))
    }

    /// Keeps the items for which `keep` says so, which is asked for at most `limit` at a time. In order.
    ///
    /// # Panics
    /// If `limit` is 0.
    fn filter_bounded<W, F, E>(self, limit: usize, keep: W) -> FilterBounded<Self, W, F>
    where
        W: FnMut(&Self::Item) -> F,
        F: Future<Output = Result<bool, E>>,
    {
        FilterBounded::new(self, limit, keep)
    }

    /// The items of both, as they come. Both get their turns.
    fn merge<S: Stream<Item = Self::Item>>(self, other: S) -> Merge<Self, S> {
        Merge::new(self, other)
    }

    /// Items in groups of `count`; the last one may be smaller.
    ///
    /// # Panics
    /// If `count` is 0.
    fn chunks(self, count: usize) -> Chunks<Self> {
        Chunks::new(self, count)
    }

    /// Items in groups: of `count`, or of what has come in the time `duration` since the first one of the
    /// group. `sleep` makes the timer, as `raddle::time::sleep_async` does.
    ///
    /// # Panics
    /// If `count` is 0.
    fn window<S, F>(self, count: usize, duration: Duration, sleep: S) -> Window<Self, S, F>
    where
        S: FnMut(Duration) -> F,
        F: Future<Output = ()>,
    {
        Window::new(self, count, duration, sleep)
    }

    /// The first `count` items.
    fn take(self, count: usize) -> Take<Self> {
        Take::new(self, count)
    }

    /// All items in one: `step` joins what there is so far with the next one. Nothing, of nothing.
    fn reduce<W>(self, step: W) -> Reduce<Self, W>
    where
        W: FnMut(Self::Item, Self::Item) -> Self::Item,
    {
        Reduce::new(self, step)
    }
}

impl<S: Stream> StreamExt for S {}

/// Combinators of blocking iterators; see the [module](self).
pub trait IterExt: Iterator + Sized {
    /// Items in groups of `count`; the last one may be smaller.
    ///
    /// ```
    /// use raddle_streams::combinators::IterExt;
    /// assert!((1..6).chunks(2).eq([vec![1, 2], vec![3, 4], vec![5]]));
    /// ```
    ///
    /// # Panics
    /// If `count` is 0.
    fn chunks(self, count: usize) -> IterChunks<Self> {
        IterChunks::new(self, count)
    }

    /// The items of both, in turns until one has ended. (An iterator that blocks keeps the other one
    /// waiting: to take what comes first, merge streams.)
    ///
    /// ```
    /// use raddle_streams::combinators::IterExt;
    /// assert!([1, 3, 4].into_iter().merge([2]).eq([1, 2, 3, 4]));
    /// ```
    fn merge<I: IntoIterator<Item = Self::Item>>(self, other: I) -> IterMerge<Self, I::IntoIter> {
        IterMerge::new(self, other.into_iter())
    }
}

impl<I: Iterator> IterExt for I {}
