//! Merging, grouping, cutting and joining.

use core::future::Future;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use futures_core::Stream;

/// The items of two streams; see [`StreamExt::merge`](super::StreamExt::merge).
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Merge<A, B> {
    first: Option<Pin<Box<A>>>,
    second: Option<Pin<Box<B>>>,
    /// Whose turn it is.
    second_next: bool,
}

impl<A, B> Merge<A, B> {
    pub(super) fn new(first: A, second: B) -> Self {
        Self { first: Some(Box::pin(first)), second: Some(Box::pin(second)), second_next: false }
    }
}

/// Ready with an item; a stream that has ended is dropped.
fn poll_part<S: Stream>(
    part: &mut Option<Pin<Box<S>>>,
    context: &mut Context<'_>,
) -> Poll<S::Item> {
    let Some(stream) = part else { return Poll::Pending };
    match stream.as_mut().poll_next(context) {
        Poll::Ready(Some(item)) => Poll::Ready(item),
        Poll::Ready(None) => {
            *part = None;
            Poll::Pending
        }
        Poll::Pending => Poll::Pending,
    }
}

impl<A: Stream, B: Stream<Item = A::Item>> Stream for Merge<A, B> {
    type Item = A::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<A::Item>> {
        let this = &mut *self;
        for _ in 0..2 {
            let second = this.second_next;
            this.second_next = !second;
            let item = if second {
                poll_part(&mut this.second, context)
            } else {
                poll_part(&mut this.first, context)
            };
            if let Poll::Ready(item) = item {
                return Poll::Ready(Some(item));
            }
        }
        if this.first.is_none() && this.second.is_none() {
            return Poll::Ready(None);
        }
        Poll::Pending
    }
}

/// Items in groups; see [`StreamExt::chunks`](super::StreamExt::chunks).
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Chunks<S: Stream> {
    items: Option<Pin<Box<S>>>,
    count: usize,
    group: Vec<S::Item>,
}

impl<S: Stream> Unpin for Chunks<S> {}

impl<S: Stream> Chunks<S> {
    pub(super) fn new(items: S, count: usize) -> Self {
        assert!(count > 0, "a group has an item");
        Self { items: Some(Box::pin(items)), count, group: Vec::new() }
    }

    /// Ready when the group is full, or the stream has ended.
    fn poll_group(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.group.len() < self.count
            && let Some(items) = &mut self.items
        {
            match items.as_mut().poll_next(context) {
                Poll::Ready(Some(item)) => self.group.push(item),
                Poll::Ready(None) => self.items = None,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }

    fn take_group(&mut self) -> Option<Vec<S::Item>> {
        (!self.group.is_empty()).then(|| mem::take(&mut self.group))
    }
}

impl<S: Stream> Stream for Chunks<S> {
    type Item = Vec<S::Item>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_group(context).map(|()| self.take_group())
    }
}

/// Items in groups of a number and a time; see [`StreamExt::window`](super::StreamExt::window).
#[must_use = "streams do nothing unless polled"]
pub struct Window<S: Stream, M, F> {
    chunks: Chunks<S>,
    duration: Duration,
    sleep: M,
    /// While a group has begun.
    timer: Option<Pin<Box<F>>>,
}

impl<S: Stream, M, F> Unpin for Window<S, M, F> {}

impl<S: Stream, M, F> Window<S, M, F> {
    pub(super) fn new(items: S, count: usize, duration: Duration, sleep: M) -> Self {
        Self { chunks: Chunks::new(items, count), duration, sleep, timer: None }
    }
}

impl<S, M, F> Stream for Window<S, M, F>
where
    S: Stream,
    M: FnMut(Duration) -> F,
    F: Future<Output = ()>,
{
    type Item = Vec<S::Item>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.chunks.poll_group(context).is_pending() {
            if this.chunks.group.is_empty() {
                return Poll::Pending;
            }
            let timer = this.timer.get_or_insert_with(|| Box::pin((this.sleep)(this.duration)));
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
        this.timer = None;
        Poll::Ready(this.chunks.take_group())
    }
}

impl<S: Stream, M, F> core::fmt::Debug for Window<S, M, F> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Window").field("duration", &self.duration).finish_non_exhaustive()
    }
}

/// The first items; see [`StreamExt::take`](super::StreamExt::take).
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Take<S> {
    items: Option<Pin<Box<S>>>,
    left: usize,
}

impl<S> Take<S> {
    pub(super) fn new(items: S, count: usize) -> Self {
        Self { items: (count > 0).then(|| Box::pin(items)), left: count }
    }
}

impl<S: Stream> Stream for Take<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = &mut *self;
        let Some(items) = &mut this.items else { return Poll::Ready(None) };
        let next = items.as_mut().poll_next(context);
        if let Poll::Ready(item) = &next {
            this.left -= 1;
            if item.is_none() || this.left == 0 {
                // Nobody will ask it again: what it holds is free at once.
                this.items = None;
            }
        }
        next
    }
}

/// All items in one; see [`StreamExt::reduce`](super::StreamExt::reduce).
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Reduce<S: Stream, W> {
    items: Pin<Box<S>>,
    step: W,
    so_far: Option<S::Item>,
}

impl<S: Stream, W> Unpin for Reduce<S, W> {}

impl<S: Stream, W> Reduce<S, W> {
    pub(super) fn new(items: S, step: W) -> Self {
        Self { items: Box::pin(items), step, so_far: None }
    }
}

impl<S: Stream, W: FnMut(S::Item, S::Item) -> S::Item> Future for Reduce<S, W> {
    type Output = Option<S::Item>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            match this.items.as_mut().poll_next(context) {
                Poll::Ready(Some(item)) => {
                    this.so_far = Some(match this.so_far.take() {
                        Some(so_far) => (this.step)(so_far, item),
                        None => item,
                    });
                }
                Poll::Ready(None) => return Poll::Ready(this.so_far.take()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// Items of a blocking iterator in groups; see [`IterExt::chunks`](super::IterExt::chunks).
#[derive(Clone, Debug)]
pub struct IterChunks<I> {
    items: I,
    count: usize,
}

impl<I> IterChunks<I> {
    pub(super) fn new(items: I, count: usize) -> Self {
        assert!(count > 0, "a group has an item");
        Self { items, count }
    }
}

impl<I: Iterator> Iterator for IterChunks<I> {
    type Item = Vec<I::Item>;

    fn next(&mut self) -> Option<Self::Item> {
        let group: Vec<_> = self.items.by_ref().take(self.count).collect();
        (!group.is_empty()).then_some(group)
    }
}

/// The items of two blocking iterators; see [`IterExt::merge`](super::IterExt::merge).
#[derive(Clone, Debug)]
pub struct IterMerge<A, B> {
    first: A,
    second: B,
    second_next: bool,
}

impl<A, B> IterMerge<A, B> {
    pub(super) fn new(first: A, second: B) -> Self {
        Self { first, second, second_next: false }
    }
}

impl<A: Iterator, B: Iterator<Item = A::Item>> Iterator for IterMerge<A, B> {
    type Item = A::Item;

    fn next(&mut self) -> Option<A::Item> {
        self.second_next = !self.second_next;
        if self.second_next {
            self.first.next().or_else(|| self.second.next())
        } else {
            self.second.next().or_else(|| self.first.next())
        }
    }
}
