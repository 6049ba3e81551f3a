//! Combinators and `select!`, as a user sees them.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn, ready};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_core::Stream;
use raddle_platform::{Native, suspend};
use raddle_streams::combinators::StreamExt;
use raddle_streams::{channel, select};

fn block_on<F: Future>(future: F) -> F::Output {
    suspend::block_on::<Native, _>(future)
}

fn all<S: Stream>(stream: S) -> Vec<S::Item> {
    let mut stream = pin!(stream);
    let mut items = Vec::new();
    block_on(poll_fn(|context| {
        loop {
            match stream.as_mut().poll_next(context) {
                Poll::Ready(Some(item)) => items.push(item),
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }));
    items
}

/// The numbers below `count`, all there already.
fn numbers(count: u32) -> channel::RecvStream<'static, u32> {
    let (sender, receiver) = channel::bounded(count as usize);
    (0..count).for_each(|number| sender.send(number).unwrap());
    receiver.into_stream()
}

/// Ready at the `times`th poll.
fn after(times: u32) -> impl Future<Output = ()> {
    let mut left = times;
    poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
}

#[test]
fn never_more_in_flight_than_the_bound() {
    let (flying, most) = (Cell::new(0), Cell::new(0));
    let work = |number: u32| {
        flying.set(flying.get() + 1);
        most.set(most.get().max(flying.get()));
        let flying = &flying;
        async move {
            after(number % 5).await;
            flying.set(flying.get() - 1);
            Ok::<_, ()>(number)
        }
    };
    let mut results: Vec<_> = all(numbers(50).map_bounded(4, work));
    results.sort_unstable();
    assert_eq!(results, (0..50).map(Ok).collect::<Vec<_>>());
    assert_eq!((flying.get(), most.get()), (0, 4));
}

#[test]
fn ordered_results_come_in_the_order_of_the_items() {
    let work = |number: u32| async move {
        after(10 - number).await;
        Ok::<_, ()>(number)
    };
    assert_eq!(
        all(numbers(10).map_bounded(5, work).ordered()),
        (0..10).map(Ok).collect::<Vec<_>>()
    );
    let first = all(numbers(3).map_bounded(3, work).take(1));
    assert_eq!(first, [Ok(2)], "without order, the fastest");
}

#[test]
fn the_first_error_ends_all() {
    let claimed = RefCell::new(Vec::new());
    let dropped = Cell::new(0);
    struct Flight<'a>(&'a Cell<u32>);
    impl Drop for Flight<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let result = block_on(numbers(100).for_each_bounded(3, |number| {
        claimed.borrow_mut().push(number);
        let flight = Flight(&dropped);
        async move {
            let _flight = flight;
            after(if number == 2 { 1 } else { 1000 }).await;
            if number == 2 { Err("two") } else { Err("another") }
        }
    }));
    assert_eq!(result, Err("two"));
    assert_eq!(*claimed.borrow(), [0, 1, 2]);
    assert_eq!(dropped.get(), 3, "those in flight are cancelled");
}

#[test]
fn filters_keep_order_and_report_errors() {
    let even = |number: &u32| {
        let number = *number;
        async move {
            after(7 - number % 7).await;
            if number == 9 { Err("nine") } else { Ok(number.is_multiple_of(2)) }
        }
    };
    assert_eq!(all(numbers(8).filter_bounded(3, even)), [Ok(0), Ok(2), Ok(4), Ok(6)]);
    assert_eq!(all(numbers(20).filter_bounded(1, even)).last(), Some(&Err("nine")));
}

#[test]
fn shapes() {
    assert_eq!(all(numbers(5).chunks(2)), [vec![0, 1], vec![2, 3], vec![4]]);
    assert_eq!(all(numbers(5).take(2)), [0, 1]);
    assert_eq!(all(numbers(5).take(0)), [0; 0]);
    assert_eq!(block_on(numbers(5).reduce(|sum, number| sum + number)), Some(10));
    assert_eq!(block_on(numbers(0).reduce(|sum, number| sum + number)), None);
    assert_eq!(all(numbers(2).merge(numbers(3))), [0, 0, 1, 1, 2]);
}

#[test]
fn a_window_ends_by_its_number_or_its_time() {
    let (sender, receiver) = channel::bounded(8);
    (0..3).for_each(|number| sender.send(number).unwrap());
    let timers = Cell::new(0);
    let sleep = |_| {
        timers.set(timers.get() + 1);
        ready(())
    };
    let mut window = pin!(receiver.stream().window(2, Duration::from_secs(1), sleep));
    let mut next = || block_on(poll_fn(|context| window.as_mut().poll_next(context)));
    assert_eq!(next(), Some(vec![0, 1]));
    assert_eq!(timers.get(), 0);
    assert_eq!(next(), Some(vec![2]), "the time was over");
    assert_eq!(timers.get(), 1);
    drop(sender);
    assert_eq!(next(), None);
}

#[test]
fn select_takes_what_is_ready() {
    let (sender, receiver) = channel::bounded(4);
    let (_other, silent) = channel::bounded::<u32>(4);
    sender.send(1).unwrap();
    sender.send(2).unwrap();
    let taken = block_on(async {
        select! {
            number = receiver.recv_async() => number,
            number = silent.recv_async() => number,
            () = pending() => unreachable!("never"),
        }
    });
    assert_eq!(taken, Ok(1));
    let both = || async {
        select! { _ = ready(()) => 0, _ = ready(()) => 1 }
    };
    let firsts = (0..200).filter(|_| block_on(both()) == 0).count();
    assert!((1..200).contains(&firsts), "both get their turn");
    let biased = || async {
        select! { biased; _ = ready(()) => 0, _ = ready(()) => 1 }
    };
    assert!((0..50).all(|_| block_on(biased()) == 0));
    assert_eq!(receiver.len(), 1, "who lost has taken nothing");
}
