//! Channels and watched values between threads, fibers and futures, with timeouts and drops.

use core::time::Duration;

use raddle_ownership::Arc;
use raddle_platform::{Atomic, AtomicInt, Ordering, Platform, RaceCell};
use raddle_runtime::runtime::Builder;
use raddle_runtime::{spawn, spawn_async, timeout};
use raddle_scenarios::scope;
use raddle_streams::channel::{Receiver, RecvTimeoutError, Sender, bounded_in};
use raddle_streams::observable::{Observable, Summary};

use super::{Budget, Stress};

pub(super) fn list<P: Platform>() -> Vec<Stress> {
    vec![
        Stress::new(
            "stress/channel_storm",
            "messages of threads, fibers and futures come out once each, whoever gives up",
            &["channel-slot", "lock-looks", "queue-bit", "suspend"],
            |budget| channel_storm::<P>(budget, 3),
        ),
        Stress::new(
            "stress/rendezvous_storm",
            "messages go from hand to hand once each, whoever gives up",
            &["spinlock", "lock-looks", "suspend"],
            |budget| channel_storm::<P>(budget, 0),
        ),
        Stress::new(
            "stress/observable_storm",
            "numbers that belong together are seen together, and none is lost",
            &["observable-lock"],
            observable_storm::<P>,
        ),
    ]
}

const SOON: Duration = Duration::from_micros(50);
const TURNS: u64 = 200;

/// A message that only its receiver may touch.
struct Message<P: Platform>(Box<RaceCell<u64, P>>);

impl<P: Platform> Message<P> {
    fn new(number: u64) -> Self {
        let cell = RaceCell::new_in(0);
        // SAFETY: nobody else has the cell.
        unsafe { cell.with_mut(|value| *value = number) };
        Self(Box::new(cell))
    }

    fn open(self) -> u64 {
        // SAFETY: the message has one owner.
        unsafe { self.0.with_mut(|value| core::mem::replace(value, 0)) }
    }
}

/// Sends the numbers up to TURNS; every third one without patience, until it has gone.
fn send_all<P: Platform>(sender: &Sender<Message<P>, P>) {
    for number in 1..=TURNS {
        let mut message = Message::new(number);
        if number % 3 != 0 {
            assert!(sender.send(message).is_ok(), "somebody receives");
            continue;
        }
        while let Err(error) = sender.send_timeout(message, SOON) {
            message = error.into_inner();
        }
    }
}

/// Receives until the end; every other time without patience.
fn receive_all<P: Platform>(receiver: &Receiver<Message<P>, P>) -> u64 {
    let mut sum = 0;
    loop {
        match receiver.recv_timeout(SOON) {
            Ok(message) => sum += message.open(),
            Err(RecvTimeoutError::Timeout) => {}
            Err(_) => return sum,
        }
        match receiver.recv() {
            Ok(message) => sum += message.open(),
            Err(_) => return sum,
        }
    }
}

fn channel_storm<P: Platform>(budget: &Budget, capacity: usize) -> u64 {
    let runtime = Builder::<P>::new_in().workers(2).build().expect("a runtime");
    let operations = budget.rounds(|| {
        let (sender, receiver) = bounded_in::<Message<P>, P>(capacity);
        let (theirs, ours) = (receiver.clone(), receiver.clone());
        let (to_fiber, to_future) = (sender.clone(), sender.clone());
        let sum = runtime.spawn(move || {
            let sending = spawn::<P, _, _>(move || send_all(&to_fiber));
            let futures = spawn_async::<P, _>(async move {
                for number in 1..=TURNS {
                    assert!(to_future.send_async(Message::new(number)).await.is_ok());
                }
            });
            let receiving = spawn_async::<P, _>(async move {
                let mut sum = 0;
                loop {
                    // A future that is dropped in the queue.
                    match timeout::<_, P>(SOON, theirs.recv_async()).await {
                        Ok(Ok(message)) => sum += message.open(),
                        Ok(Err(_)) => return sum,
                        Err(_) => {}
                    }
                }
            });
            let sum = receive_all(&ours);
            sending.join().expect("no panic");
            futures.join().expect("no panic");
            sum + receiving.join().expect("no panic")
        });
        let mine = scope::<P, _>(|threads| {
            let receiver = &receiver;
            let receiving = threads.spawn(move || receive_all(receiver));
            send_all(&sender);
            drop(sender);
            receiving.join()
        });
        let all = mine + sum.join().expect("no panic");
        assert_eq!(all, 3 * TURNS * (TURNS + 1) / 2, "each message is received once");
        3 * TURNS
    });
    assert_eq!(runtime.shutdown(Duration::from_secs(60)), Ok(()), "no task is left");
    operations
}

fn observable_storm<P: Platform>(budget: &Budget) -> u64 {
    let summary = Arc::<_, P>::new_in(Observable::<Summary, P>::new_in(Summary::EMPTY));
    let rounds = P::AtomicU64::new(0);
    budget.rounds(|| {
        rounds.fetch_add(1, Ordering::Relaxed);
        scope::<P, _>(|threads| {
            for _ in 0..2 {
                let summary = &*summary;
                threads.spawn(move || (0..TURNS).for_each(|_| summary.add(3)));
                threads.spawn(move || {
                    for _ in 0..TURNS {
                        let seen = summary.get();
                        assert_eq!(seen.sum, 3 * seen.count as i64, "torn");
                    }
                });
            }
        });
        2 * TURNS
    });
    let added = 2 * TURNS * rounds.load(Ordering::Relaxed);
    assert_eq!(summary.get().count, added, "each addition counts");
    added
}
