//! At most so many in flight.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use futures_core::Stream;

/// An item in flight, or done and waiting for its turn.
enum Flight<F, T> {
    Flying(Pin<Box<F>>),
    Landed(T),
}

/// The results of work on items; see [`StreamExt::map_bounded`](super::StreamExt::map_bounded).
#[must_use = "streams do nothing unless polled"]
pub struct MapBounded<S: Stream, W, F: Future> {
    /// None when it has ended.
    items: Option<Pin<Box<S>>>,
    work: W,
    limit: usize,
    ordered: bool,
    /// In the order of the items.
    flights: Vec<Flight<F, F::Output>>,
}

impl<S: Stream, W, F: Future> Unpin for MapBounded<S, W, F> {}

impl<S: Stream, W, F: Future> MapBounded<S, W, F> {
    pub(super) fn new(items: S, limit: usize, work: W) -> Self {
        assert!(limit > 0, "nothing would ever be in flight");
        Self {
            items: Some(Box::pin(items)),
            work,
            limit,
            ordered: false,
            flights: Vec::with_capacity(limit.min(64)),
        }
    }

    /// The results in the order of the items. Results that are ready count as in flight until their turn.
    pub fn ordered(mut self) -> Self {
        self.ordered = true;
        self
    }

    /// How many items are in flight.
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// Nothing more: cancels what is in flight.
    fn end(&mut self) {
        self.items = None;
        self.flights.clear();
    }
}

impl<S, W, F, T, E> MapBounded<S, W, F>
where
    S: Stream,
    W: FnMut(S::Item) -> F,
    F: Future<Output = Result<T, E>>,
{
    /// Claims items while there are some and not too many are in flight.
    fn claim(&mut self, context: &mut Context<'_>) {
        while self.flights.len() < self.limit
            && let Some(items) = &mut self.items
        {
            match items.as_mut().poll_next(context) {
                Poll::Ready(Some(item)) => {
                    self.flights.push(Flight::Flying(Box::pin((self.work)(item))));
                }
                Poll::Ready(None) => self.items = None,
                Poll::Pending => break,
            }
        }
    }

    /// Polls those in flight, until one gives an error or, without order, a result. Its index.
    fn fly(&mut self, context: &mut Context<'_>) -> Option<usize> {
        for (index, flight) in self.flights.iter_mut().enumerate() {
            if let Flight::Flying(future) = flight
                && let Poll::Ready(result) = future.as_mut().poll(context)
            {
                let at_once = !self.ordered || result.is_err();
                *flight = Flight::Landed(result);
                if at_once {
                    return Some(index);
                }
            }
        }
        matches!(self.flights.first(), Some(Flight::Landed(_))).then_some(0)
    }
}

impl<S, W, F, T, E> Stream for MapBounded<S, W, F>
where
    S: Stream,
    W: FnMut(S::Item) -> F,
    F: Future<Output = Result<T, E>>,
{
    type Item = Result<T, E>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        this.claim(context);
        if let Some(index) = this.fly(context)
            && let Flight::Landed(result) = this.flights.remove(index)
        {
            if result.is_err() {
                this.end();
            }
            return Poll::Ready(Some(result));
        }
        // If there is room and there are items, the stream of items has the waker, too.
        if this.flights.is_empty() && this.items.is_none() {
            return Poll::Ready(None);
        }
        Poll::Pending
    }
}

impl<S: Stream, W, F: Future> fmt::Debug for MapBounded<S, W, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapBounded")
            .field("limit", &self.limit)
            .field("in_flight", &self.flights.len())
            .finish_non_exhaustive()
    }
}

/// Work on each item; see [`StreamExt::for_each_bounded`](super::StreamExt::for_each_bounded).
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ForEachBounded<S: Stream, W, F: Future> {
    map: MapBounded<S, W, F>,
}

impl<S: Stream, W, F: Future> ForEachBounded<S, W, F> {
    pub(super) fn new(map: MapBounded<S, W, F>) -> Self {
        Self { map }
    }
}

impl<S, W, F, E> Future for ForEachBounded<S, W, F>
where
    S: Stream,
    W: FnMut(S::Item) -> F,
    F: Future<Output = Result<(), E>>,
{
    type Output = Result<(), E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match Pin::new(&mut self.map).poll_next(context) {
                Poll::Ready(Some(Ok(()))) => {}
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// An item and the question whether to keep it.
struct Question<F: Future, I> {
    future: Pin<Box<F>>,
    item: Option<I>,
    keep: Option<F::Output>,
}

/// The items that are kept; see [`StreamExt::filter_bounded`](super::StreamExt::filter_bounded).
#[must_use = "streams do nothing unless polled"]
pub struct FilterBounded<S: Stream, W, F: Future> {
    items: Option<Pin<Box<S>>>,
    keep: W,
    limit: usize,
    questions: Vec<Question<F, S::Item>>,
}

impl<S: Stream, W, F: Future> Unpin for FilterBounded<S, W, F> {}

impl<S: Stream, W, F: Future> FilterBounded<S, W, F> {
    pub(super) fn new(items: S, limit: usize, keep: W) -> Self {
        assert!(limit > 0, "nothing would ever be in flight");
        Self {
            items: Some(Box::pin(items)),
            keep,
            limit,
            questions: Vec::with_capacity(limit.min(64)),
        }
    }
}

impl<S, W, F, E> FilterBounded<S, W, F>
where
    S: Stream,
    W: FnMut(&S::Item) -> F,
    F: Future<Output = Result<bool, E>>,
{
    /// Claims items, asks, and returns an error if one comes; whether anything has moved.
    fn ask(&mut self, context: &mut Context<'_>) -> Result<bool, E> {
        let mut moved = false;
        while self.questions.len() < self.limit
            && let Some(items) = &mut self.items
        {
            match items.as_mut().poll_next(context) {
                Poll::Ready(Some(item)) => {
                    let future = Box::pin((self.keep)(&item));
                    self.questions.push(Question { future, item: Some(item), keep: None });
                    moved = true;
                }
                Poll::Ready(None) => self.items = None,
                Poll::Pending => break,
            }
        }
        for question in &mut self.questions {
            if question.keep.is_none()
                && let Poll::Ready(keep) = question.future.as_mut().poll(context)
            {
                question.keep = Some(Ok(keep?));
                moved = true;
            }
        }
        Ok(moved)
    }
}

impl<S, W, F, E> Stream for FilterBounded<S, W, F>
where
    S: Stream,
    W: FnMut(&S::Item) -> F,
    F: Future<Output = Result<bool, E>>,
{
    type Item = Result<S::Item, E>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            let moved = match this.ask(context) {
                Ok(moved) => moved,
                Err(error) => {
                    this.items = None;
                    this.questions.clear();
                    return Poll::Ready(Some(Err(error)));
                }
            };
            while this.questions.first().is_some_and(|first| first.keep.is_some()) {
                let mut first = this.questions.remove(0);
                if let (Some(Ok(true)), Some(item)) = (first.keep.take(), first.item.take()) {
                    return Poll::Ready(Some(Ok(item)));
                }
            }
            if this.questions.is_empty() && this.items.is_none() {
                return Poll::Ready(None);
            }
            if !moved {
                return Poll::Pending;
            }
        }
    }
}

impl<S: Stream, W, F: Future> fmt::Debug for FilterBounded<S, W, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilterBounded").field("limit", &self.limit).finish_non_exhaustive()
    }
}
