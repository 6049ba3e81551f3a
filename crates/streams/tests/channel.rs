//! Channels on real threads, as a user sees them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use raddle_platform::{Native, suspend};
use raddle_streams::channel::{
    RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError, bounded,
};

#[test]
fn every_capacity_keeps_the_order_over_many_laps() {
    for capacity in [0, 1, 2, 3, 5, 8, 100] {
        let (sender, receiver) = bounded(capacity);
        assert_eq!((sender.capacity(), receiver.capacity()), (capacity, capacity));
        thread::scope(|scope| {
            scope.spawn(move || (0..1000).for_each(|number| sender.send(number).unwrap()));
            assert!(receiver.iter().eq(0..1000));
        });
    }
}

#[test]
fn each_message_is_received_once() {
    for capacity in [0, 1, 3, 64] {
        let (sender, receiver) = bounded(capacity);
        let sum = AtomicUsize::new(0);
        thread::scope(|scope| {
            for part in 0..4 {
                let (sender, receiver, sum) = (sender.clone(), receiver.clone(), &sum);
                scope.spawn(move || {
                    (0..1000).for_each(|number| sender.send(part * 1000 + number).unwrap());
                });
                scope.spawn(move || {
                    if part % 2 == 0 {
                        receiver
                            .iter()
                            .for_each(|number| _ = sum.fetch_add(number, Ordering::Relaxed));
                    } else {
                        suspend::block_on::<Native, _>(async {
                            while let Ok(number) = receiver.recv_async().await {
                                sum.fetch_add(number, Ordering::Relaxed);
                            }
                        });
                    }
                });
            }
            drop((sender, receiver));
        });
        assert_eq!(sum.into_inner(), (0..4000).sum());
    }
}

#[test]
fn full_and_empty_channels_say_so() {
    let (sender, receiver) = bounded(3);
    assert!(sender.is_empty() && !sender.is_full());
    for lap in 0..4 {
        for number in 0..3 {
            assert_eq!(sender.len(), number);
            sender.try_send(lap * 3 + number).unwrap();
        }
        assert!(receiver.is_full());
        assert_eq!(sender.try_send(99), Err(TrySendError::Full(99)));
        let wait = sender.send_timeout(99, Duration::from_millis(1));
        assert_eq!(wait, Err(SendTimeoutError::Timeout(99)));
        assert!(receiver.try_iter().eq(lap * 3..lap * 3 + 3));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        let wait = receiver.recv_timeout(Duration::from_millis(1));
        assert_eq!(wait, Err(RecvTimeoutError::Timeout));
    }
}

#[test]
fn a_rendezvous_needs_somebody_who_takes() {
    let (sender, receiver) = bounded(0);
    assert!(sender.is_empty() && sender.is_full());
    assert_eq!(sender.try_send(1), Err(TrySendError::Full(1)));
    assert_eq!(sender.send_timeout(1, Duration::from_millis(1)), Err(SendTimeoutError::Timeout(1)));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    thread::scope(|scope| {
        scope.spawn(|| sender.send(2).unwrap());
        assert_eq!(receiver.recv(), Ok(2));
    });
}

#[test]
fn what_was_sent_before_the_end_is_received() {
    for capacity in [1, 4] {
        let (sender, receiver) = bounded(capacity);
        sender.send('a').unwrap();
        assert!(sender.close() && !receiver.close());
        assert!(sender.is_closed());
        assert_eq!(sender.send('b'), Err(SendError::Disconnected('b')));
        assert_eq!(receiver.recv(), Ok('a'));
        assert_eq!(receiver.recv(), Err(RecvError::Disconnected));
        assert_eq!(receiver.into_iter().next(), None);
    }
}

#[test]
fn what_nobody_receives_is_dropped_with_the_last_receiver() {
    let shared = Arc::new(());
    let (sender, receiver) = bounded(3);
    let other = receiver.clone();
    assert!(sender.same_channel(&sender.clone()) && receiver.same_channel(&other));
    for _ in 0..3 {
        sender.send(Arc::clone(&shared)).unwrap();
    }
    drop(receiver);
    assert_eq!(Arc::strong_count(&shared), 4);
    drop(other);
    assert_eq!(Arc::strong_count(&shared), 1);
    assert!(matches!(sender.send(shared), Err(SendError::Disconnected(_))));
}

#[test]
fn what_is_left_is_dropped_with_the_channel() {
    let shared = Arc::new(());
    for taken in 0..3 {
        let (sender, receiver) = bounded(2);
        for _ in 0..taken {
            sender.send(Arc::clone(&shared)).unwrap();
            receiver.recv().unwrap();
        }
        sender.send(Arc::clone(&shared)).unwrap();
        sender.send(Arc::clone(&shared)).unwrap();
        drop((receiver, sender));
        assert_eq!(Arc::strong_count(&shared), 1);
    }
}
