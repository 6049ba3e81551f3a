//! Submitting much, waiting, waking, and ending a driver.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::support::{Rig, fill, now, pair, patience, ready, receive, send_all};
use crate::world::{available, over_all_drivers};
use raddle_platform::Driver;
use raddle_platform::driver::{Interest, Kind, Notify};

over_all_drivers! {
    more_operations_than_entries_all_complete,
    a_burst_beyond_the_completion_queue_all_completes,
    completions_come_to_a_driver_that_only_ticks,
    a_notification_before_the_wait_ends_it,
    a_notification_ends_one_wait_only,
    a_notification_ends_a_wait_that_has_begun,
    notifications_from_many_threads_are_never_lost,
    a_notification_does_not_hide_completions,
    a_driver_wakes_another,
    a_driver_wakes_one_of_the_other_kind,
    a_notifier_may_outlive_its_driver,
    a_wait_ends_at_its_deadline,
    a_wait_with_a_past_deadline_submits,
    a_dropped_driver_leaves_memory_and_bytes_alone,
    a_dropped_driver_with_unsubmitted_operations_ends,
}
fn more_operations_than_entries_all_complete(kind: Kind) {
    let mut rig = Rig::with_entries(kind, 8);
    let pairs: Vec<_> = (0..100).map(|_| pair()).collect();
    let mut buffers = vec![[0_u8; 1]; 1_000];
    for (token, buffer) in buffers.iter_mut().enumerate() {
        rig.recv(&pairs[token % 100].0, buffer, token as u64);
    }
    assert_eq!(rig.driver.in_flight(), 1_000);
    assert_eq!(rig.tick(), []);
    for (index, (_, far)) in pairs.iter().enumerate() {
        send_all(far.0, &[index as u8; 10]);
    }
    let results = rig.finish();
    assert!(results.into_iter().eq((0..1_000).map(|token| (token, 1))));
    assert!(buffers.iter().enumerate().all(|(token, byte)| byte[0] as usize == token % 100));
}

fn a_burst_beyond_the_completion_queue_all_completes(kind: Kind) {
    let (near, far) = pair();
    // A ring of 2 entries gets a completion queue of 32.
    let mut rig = Rig::with_entries(kind, 2);
    for round in 0..3 {
        for token in 0..500 {
            rig.poll(&near, Interest::Readable, token);
        }
        assert_eq!(rig.tick(), []);
        send_all(far.0, &[round]);
        assert!(rig.finish().into_iter().eq((0..500).map(|token| (token, 0))));
        // What completes while it is submitted fills the queue as well.
        for token in 0..500 {
            rig.poll(&near, Interest::Readable, token);
        }
        assert!(rig.finish().into_iter().eq((0..500).map(|token| (token, 0))));
        assert_eq!(receive(near.0, 1), [round]);
        let waker = rig.driver.notifier();
        let waking = thread::spawn(move || waker.notify());
        assert_eq!(rig.wait(Some(patience())), []);
        waking.join().expect("notifying does not panic");
    }
}

fn completions_come_to_a_driver_that_only_ticks(kind: Kind) {
    let (near, far) = pair();
    let mut rig = Rig::new(kind);
    for round in 0..100 {
        let mut buffer = [0];
        rig.recv(&near, &mut buffer, 1);
        assert_eq!(rig.tick(), []);
        send_all(far.0, &[round]);
        let deadline = patience();
        while rig.tick().is_empty() {
            assert!(now() < deadline, "ticks alone never show the completion");
            thread::yield_now();
        }
        assert_eq!(buffer, [round]);
    }
}

fn a_notification_before_the_wait_ends_it(kind: Kind) {
    let mut rig = Rig::new(kind);
    let notifier = rig.driver.notifier();
    for _ in 0..100 {
        notifier.notify();
        notifier.notify();
        let deadline = patience();
        assert_eq!(rig.wait(Some(deadline)), []);
        assert!(now() < deadline);
    }
    notifier.notify();
    assert_eq!(rig.tick(), [], "a tick leaves the notification to the wait");
    assert_eq!(rig.wait(None), []);
}

fn a_notification_ends_one_wait_only(kind: Kind) {
    let mut rig = Rig::new(kind);
    let notifier = rig.driver.notifier();
    for round in 0..20 {
        if round % 2 == 0 {
            notifier.notify();
            rig.wait(None);
        } else {
            // This one goes through the kernel, whose report may be late.
            let notifier = notifier.clone();
            let waking = thread::spawn(move || notifier.notify());
            rig.wait(None);
            waking.join().expect("notifying does not panic");
        }
        let deadline = now() + Duration::from_millis(2);
        rig.wait(Some(deadline));
        assert!(now() >= deadline, "the notification ended a second wait");
    }
}

fn a_notification_ends_a_wait_that_has_begun(kind: Kind) {
    let mut rig = Rig::new(kind);
    let notifier = rig.driver.notifier();
    let (asked, ask) = mpsc::channel::<()>();
    let waking = thread::spawn(move || ask.into_iter().for_each(|()| notifier.notify()));
    for _ in 0..1_000 {
        asked.send(()).expect("the other lives");
        let deadline = patience();
        rig.wait(Some(deadline));
        assert!(now() < deadline, "the notification was lost");
    }
    drop(asked);
    waking.join().expect("notifying does not panic");
}

fn notifications_from_many_threads_are_never_lost(kind: Kind) {
    use std::sync::atomic::{AtomicU32, Ordering};
    let mut rig = Rig::new(kind);
    let count = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            let notifier = rig.driver.notifier();
            scope.spawn({
                let count = &count;
                move || {
                    for _ in 0..2_000 {
                        // What precedes a notification is visible after the wait that it ends:
                        // relaxed accesses suffice.
                        count.fetch_add(1, Ordering::Relaxed);
                        notifier.notify();
                    }
                }
            });
        }
        let deadline = patience();
        while count.load(Ordering::Relaxed) < 8_000 {
            rig.wait(Some(deadline));
            assert!(now() < deadline, "stuck at {}", count.load(Ordering::Relaxed));
        }
    });
}

fn a_notification_does_not_hide_completions(kind: Kind) {
    let (near, far) = pair();
    let mut rig = Rig::new(kind);
    let mut buffer = [0];
    rig.recv(&near, &mut buffer, 1);
    assert_eq!(rig.tick(), []);
    send_all(far.0, b"x");
    ready(near.0, Interest::Readable);
    rig.driver.notifier().notify();
    assert_eq!(rig.wait(None), [(1, 1)]);
}

/// Two drivers on two threads that take turns.
fn ping_pong(first: Kind, second: Kind) {
    let mut rig = Rig::new(first);
    let notifier = rig.driver.notifier();
    let (sender, receiver) = mpsc::channel();
    let other = thread::spawn(move || {
        let mut rig = Rig::new(second);
        sender.send(rig.driver.notifier()).expect("the first lives");
        for _ in 0..1_000 {
            let deadline = patience();
            rig.wait(Some(deadline));
            assert!(now() < deadline, "the second was not woken");
            rig.driver.notify_other(&notifier);
        }
    });
    let notifier = receiver.recv().expect("the second lives");
    for _ in 0..1_000 {
        rig.driver.notify_other(&notifier);
        let deadline = patience();
        rig.wait(Some(deadline));
        assert!(now() < deadline, "the first was not woken");
    }
    other.join().expect("the second was woken each time");
    // It is gone, and may be woken all the same.
    rig.driver.notify_other(&notifier);
    notifier.notify();
    assert_eq!(rig.tick(), []);
}

fn a_driver_wakes_another(kind: Kind) {
    ping_pong(kind, kind);
}

fn a_driver_wakes_one_of_the_other_kind(kind: Kind) {
    let other = if kind == Kind::Uring { Kind::Epoll } else { Kind::Uring };
    if available(other) {
        ping_pong(kind, other);
    }
}

fn a_notifier_may_outlive_its_driver(kind: Kind) {
    let rig = Rig::new(kind);
    let notifier = rig.driver.notifier();
    drop(rig);
    // A new driver may get the descriptor numbers of the old one, and must not be woken.
    let mut rig = Rig::new(kind);
    for _ in 0..3 {
        notifier.notify();
    }
    let mut sender = Rig::new(kind);
    sender.driver.notify_other(&notifier);
    let deadline = now() + Duration::from_millis(2);
    assert_eq!(rig.wait(Some(deadline)), []);
    assert!(now() >= deadline);
}

fn a_wait_ends_at_its_deadline(kind: Kind) {
    let (near, _far) = pair();
    let mut rig = Rig::new(kind);
    let mut buffer = [0];
    rig.recv(&near, &mut buffer, 1);
    for delay_us in [0, 1, 50, 999, 1_001, 5_000] {
        let deadline = now() + Duration::from_micros(delay_us);
        assert_eq!(rig.wait(Some(deadline)), []);
        assert!(now() >= deadline, "it returned before {delay_us} us were over");
    }
    rig.cancel(1);
    assert_eq!(rig.result(), -libc::ECANCELED);
}

fn a_wait_with_a_past_deadline_submits(kind: Kind) {
    let (near, far) = pair();
    let mut rig = Rig::new(kind);
    rig.send(&near, b"weft", 1);
    let done = rig.wait(Some(raddle_platform::Instant::ZERO));
    assert_eq!(receive(far.0, 4), b"weft");
    if done.is_empty() {
        assert_eq!(rig.result(), 4);
    }
}

fn a_dropped_driver_leaves_memory_and_bytes_alone(kind: Kind) {
    let pairs: Vec<_> = (0..20).map(|_| pair()).collect();
    let mut buffers = [[7; 4]; 20];
    let mut rig = Rig::new(kind);
    for (token, buffer) in buffers.iter_mut().enumerate() {
        rig.recv(&pairs[token].0, buffer, token as u64);
        rig.poll(&pairs[token].0, Interest::Readable, 100 + token as u64);
    }
    let full = pair();
    fill(full.0.0);
    let block = vec![1; 1 << 20];
    rig.send(&full.0, &block, 1_000);
    assert_eq!(rig.tick(), []);
    drop(rig);
    for (near, far) in &pairs {
        send_all(far.0, b"late");
        assert_eq!(receive(near.0, 4), b"late");
    }
    assert_eq!(buffers, [[7; 4]; 20]);
}

fn a_dropped_driver_with_unsubmitted_operations_ends(kind: Kind) {
    let (near, _far) = pair();
    let mut buffers = [[0; 4]; 50];
    let mut rig = Rig::with_entries(kind, 8);
    for (token, buffer) in buffers.iter_mut().enumerate() {
        rig.recv(&near, buffer, token as u64);
    }
    drop(rig);
    assert_eq!(buffers, [[0; 4]; 50]);
}
