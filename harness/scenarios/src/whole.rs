//! Whole programs: more steps than an exhaustive search goes through, so a simulator samples them.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::io::{Read, Write};
use std::task::Wake;

use raddle_ownership::Arc;
use raddle_parking_lot::{ParkingMutex, Semaphore};
use raddle_platform::{Atomic, AtomicInt, Clock, Instant, Ordering, Parker, Platform};
use raddle_runtime::internals::{RunQueues, block_on, crew};
use raddle_runtime::net::{TcpListener, TcpStream};
use raddle_runtime::runtime::Builder;
use raddle_runtime::{
    Runtime, is_cancelled, scope, sleep, sleep_async, sleep_until_async, spawn, yield_now,
};

use crate::run_loop::run;
use crate::{Needs, Scenario};

const SOON: Duration = Duration::from_millis(1);
const TICK: Duration = Duration::from_nanos(1);

type Shared<T, P> = Arc<ParkingMutex<T, P>, P>;

fn shared<T, P: Platform>(value: T) -> Shared<T, P> {
    Arc::new_in(ParkingMutex::new_in(value))
}

/// Runs `main` on a runtime of so many workers, which ends without a task left.
fn on_runtime<P: Platform, T: Send + 'static>(
    workers: usize,
    main: impl FnOnce() -> T + Send + 'static,
) -> T {
    let runtime: Runtime<P> = Builder::new_in().workers(workers).build().expect("a runtime");
    let result = runtime.run(main).expect("no panic");
    assert_eq!(runtime.shutdown(Duration::MAX), Ok(()), "no task is left");
    result
}

fn park_until<P: Platform>(deadline: Instant) {
    while P::Clock::now() < deadline {
        P::Parker::park_until(deadline);
    }
}

fn not_a_tick_early<P: Platform>() {
    let queues = RunQueues::<P>::new(1);
    let due = P::Clock::now() + SOON;
    let waker = P::Parker::waker();
    let mut context = Context::from_waker(&waker);
    block_on(&queues.handle(), async {
        let mut sleep = pin!(sleep_until_async::<P>(due));
        if sleep.as_mut().poll(&mut context).is_ready() {
            // Where the clock is the machine's, it may have come by now.
            assert!(P::Clock::now() >= due, "its time has not come");
            return;
        }
        park_until::<P>(Instant::from_nanos(due.as_nanos() - TICK.as_nanos() as u64));
        queues.fire(0);
        let ready = sleep.as_mut().poll(&mut context).is_ready();
        // Time may have moved on meanwhile.
        assert!(!ready || P::Clock::now() >= due, "a tick early");
        park_until::<P>(due);
        queues.fire(0);
        assert!(ready || sleep.as_mut().poll(&mut context).is_ready(), "its time has come");
    });
}

/// Writes down that it was woken.
struct Writes<P: Platform> {
    name: u32,
    book: Shared<Vec<u32>, P>,
}

impl<P: Platform> Wake for Writes<P> {
    fn wake(self: std::sync::Arc<Self>) {
        self.book.lock().push(self.name);
    }
}

fn sleepers_wake_in_order<P: Platform>() {
    let queues = RunQueues::<P>::new(1);
    let book = shared::<_, P>(Vec::new());
    let start = P::Clock::now();
    block_on(&queues.handle(), async {
        let mut sleeps: Vec<_> = [30, 10, 20, 10]
            .map(|after| Box::pin(sleep_until_async::<P>(start + after * SOON)))
            .into();
        for (name, sleep) in (0..).zip(&mut sleeps) {
            let waker = Waker::from(std::sync::Arc::new(Writes { name, book: book.clone() }));
            let pending = sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending();
            // Before its turn came, time may have come for it.
            if !pending {
                book.lock().push(name);
            }
        }
        let early = book.lock().len();
        park_until::<P>(start + 30 * SOON);
        queues.fire(0);
        let book = book.lock();
        assert_eq!(book.len(), 4, "all have woken");
        if early == 0 {
            assert_eq!(*book, [1, 3, 2, 0], "by deadline, and then as they were set");
        }
    });
}

fn several_timeouts_race<P: Platform>() {
    const PERMITS: usize = 2;
    let left = on_runtime::<P, _>(2, || {
        let permits = Arc::<_, P>::new_in(Semaphore::<P>::new_in(0));
        let waiting: Vec<_> = (1..=4)
            .map(|after| {
                let permits = permits.clone();
                spawn::<P, _, _>(move || {
                    let start = P::Clock::now();
                    match permits.try_acquire_for(after * SOON) {
                        Some(permit) => permit.forget(),
                        None => {
                            assert!(P::Clock::now() >= start + after * SOON, "never early");
                            return false;
                        }
                    }
                    true
                })
            })
            .collect();
        let _ = sleep::<P>(2 * SOON);
        permits.add_permits(PERMITS);
        let taken = waiting.into_iter().filter_map(|fiber| fiber.join().ok());
        let taken = taken.filter(|taken| *taken).count();
        (permits.available_permits(), taken)
    });
    assert_eq!(left.0 + left.1, PERMITS, "no permit is lost");
}

fn armed_while_idle<P: Platform>() {
    let runtime: Runtime<P> = Builder::new_in().workers(2).build().expect("a runtime");
    // All workers go to sleep without a deadline, for a while.
    park_until::<P>(P::Clock::now() + SOON);
    let start = P::Clock::now();
    let slept = runtime.block_on(async {
        sleep_async::<P>(SOON).await;
        P::Clock::now()
    });
    assert!(slept >= start + SOON, "never early");
    assert_eq!(runtime.shutdown(Duration::MAX), Ok(()));
}

/// One fiber sleeps, and another keeps the only worker busy until the first has woken.
fn under_constant_work<P: Platform>() {
    let (start, woken) = on_runtime::<P, _>(1, || {
        let done = Arc::<_, P>::new_in(P::AtomicBool::new(false));
        let theirs = done.clone();
        let start = P::Clock::now();
        let sleeper = spawn::<P, _, _>(move || {
            let _ = sleep::<P>(SOON);
            theirs.store(true, Ordering::Relaxed);
            P::Clock::now()
        });
        while !done.load(Ordering::Relaxed) {
            yield_now::<P>();
        }
        (start, sleeper.join().expect("no panic"))
    });
    assert!(woken >= start + SOON, "never early");
}

fn yield_with_work_waiting<P: Platform>() {
    on_runtime::<P, _>(1, || {
        let ran = Arc::<_, P>::new_in(P::AtomicBool::new(false));
        let theirs = ran.clone();
        let other = spawn::<P, _, _>(move || theirs.store(true, Ordering::Relaxed));
        yield_now::<P>();
        assert!(ran.load(Ordering::Relaxed), "who waited runs before who yields runs again");
        other.join().expect("no panic");
    });
}

fn completions_out_of_order<P: Platform>() {
    on_runtime::<P, _>(2, || {
        let listener = TcpListener::<P>::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let pairs: Vec<_> = (0..3_u8)
            .map(|name| {
                let near = TcpStream::<P>::connect(address).expect("it listens");
                (name, near, listener.accept().expect("it connected").0)
            })
            .collect();
        let mut far = Vec::new();
        let readers: Vec<_> = pairs
            .into_iter()
            .map(|(name, near, other)| {
                far.push((name, other));
                spawn::<P, _, _>(move || {
                    let mut byte = [0];
                    (&near).read_exact(&mut byte).map(|()| (name, byte[0]))
                })
            })
            .collect();
        // The last one that asked is answered first.
        for (name, stream) in far.iter().rev() {
            yield_now::<P>();
            assert_eq!((&*stream).write(&[*name]).ok(), Some(1));
        }
        for reader in readers {
            let (name, byte) = reader.join().expect("no panic").expect("a byte");
            assert_eq!(name, byte, "each operation gets its own completion");
        }
    });
}

/// Many tasks, which spawn more: thieves have much to do.
fn steal_storm<P: Platform>() {
    const ROOTS: usize = 12;
    const EACH: usize = 3;
    let (handle, seats) = crew::<P>(4);
    let ran: Arc<Vec<P::AtomicU32>, P> =
        Arc::new_in((0..ROOTS * (EACH + 1)).map(|_| P::AtomicU32::new(0)).collect());
    for root in 0..ROOTS {
        let (ran, inner) = (ran.clone(), handle.clone());
        drop(handle.spawn_async(async move {
            ran[root].fetch_add(1, Ordering::Relaxed);
            for child in 0..EACH {
                let ran = ran.clone();
                drop(inner.spawn_async(async move {
                    ran[ROOTS + root * EACH + child].fetch_add(1, Ordering::Relaxed);
                }));
            }
        }));
    }
    run(seats);
    for (task, ran) in ran.iter().enumerate() {
        assert_eq!(ran.load(Ordering::Relaxed), 1, "task {task} runs once");
    }
}

/// Fibers that spawn others for as long as they are let, while the runtime shuts down.
fn shutdown_under_load<P: Platform>() {
    struct Load<P: Platform> {
        begun: P::AtomicU32,
        ended: P::AtomicU32,
    }
    fn grow<P: Platform>(load: Arc<Load<P>, P>, left: u32) {
        load.begun.fetch_add(1, Ordering::Relaxed);
        for _ in 0..left {
            if is_cancelled::<P>() {
                break;
            }
            let theirs = load.clone();
            drop(spawn::<P, _, _>(move || grow::<P>(theirs, left - 1)));
            let _ = sleep::<P>(SOON);
        }
        load.ended.fetch_add(1, Ordering::Relaxed);
    }
    let load = Arc::<_, P>::new_in(Load::<P> { begun: Atomic::new(0), ended: Atomic::new(0) });
    let runtime: Runtime<P> = Builder::new_in().workers(2).build().expect("a runtime");
    for _ in 0..2 {
        let load = load.clone();
        drop(runtime.spawn(move || grow::<P>(load, 3)));
    }
    park_until::<P>(P::Clock::now() + 2 * SOON);
    assert_eq!(runtime.shutdown(Duration::MAX), Ok(()), "no task is left");
    let ended = load.ended.load(Ordering::Relaxed);
    assert_eq!(load.begun.load(Ordering::Relaxed), ended, "who has begun has ended");
}

/// A sender and a receiver of numbered messages.
fn messages_keep_their_order<P: Platform>() {
    const MESSAGES: u32 = 8;
    on_runtime::<P, _>(2, || {
        let queue = shared::<_, P>(std::collections::VecDeque::new());
        let items = Arc::<_, P>::new_in(Semaphore::<P>::new_in(0));
        scope::<P, _, _>(|fibers| {
            fibers.spawn(|| {
                for message in 0..MESSAGES {
                    queue.lock().push_back(message);
                    items.add_permits(1);
                }
            });
            fibers.spawn(|| {
                for expected in 0..MESSAGES {
                    items.acquire().forget();
                    assert_eq!(queue.lock().pop_front(), Some(expected), "in their order");
                }
            });
        });
    });
}

/// Tasks that are cancelled in the middle of what they do with a permit.
fn cancelled_tasks_clean_up<P: Platform>() {
    let (left, permits) = on_runtime::<P, _>(2, || {
        let permits = Arc::<_, P>::new_in(Semaphore::<P>::new_in(2));
        let theirs = permits.clone();
        let fiber = spawn::<P, _, _>(move || {
            let _permit = theirs.acquire_cancellable()?;
            sleep::<P>(1000 * SOON)
        });
        let theirs = permits.clone();
        let future = raddle_runtime::spawn_async::<P, _>(async move {
            let _permit = theirs.acquire_async().await;
            sleep_async::<P>(1000 * SOON).await;
        });
        let _ = sleep::<P>(SOON);
        fiber.cancel();
        future.cancel();
        let _ = (fiber.join(), future.join());
        (permits.available_permits(), 2)
    });
    assert_eq!(left, permits, "who was cancelled has given its permit back");
}

/// Three sleeps of one task, awaited together.
fn timers_fire_in_order<P: Platform>() {
    const AFTER: [u32; 3] = [300, 100, 200];
    let order = on_runtime::<P, _>(1, || {
        let task = raddle_runtime::spawn_async::<P, _>(async {
            let start = P::Clock::now();
            let mut sleeps =
                AFTER.map(|after| Some(Box::pin(sleep_until_async::<P>(start + after * SOON))));
            let (mut order, mut polls) = (Vec::new(), 0);
            poll_fn(|context| {
                polls += 1;
                for (name, sleep) in sleeps.iter_mut().enumerate() {
                    let Some(waiting) = sleep else { continue };
                    if waiting.as_mut().poll(context).is_ready() {
                        assert!(P::Clock::now() >= start + AFTER[name] * SOON, "never early");
                        order.push((AFTER[name], polls));
                        *sleep = None;
                    }
                }
                if order.len() == AFTER.len() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            order
        });
        task.join().expect("no panic")
    });
    // Where time has come for two of them at once, one poll finds both, in its own order.
    for pair in order.windows(2) {
        assert!(
            pair[0] < pair[1] || pair[0].1 == pair[1].1,
            "one has overtaken another: {order:?}"
        );
    }
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let plain = Needs::ATOMICS.long().parker().clock();
    let on = |workers: usize| plain.threads(workers).driver();
    let new = Scenario::new;
    vec![
        new(
            "timer/not_a_tick_early",
            "a nanosecond before its deadline a timer does not fire, and at its deadline it does",
            not_a_tick_early::<P>,
        )
        .needs(plain),
        new(
            "timer/sleepers_wake_in_order",
            "those who sleep are woken by deadline, and of one deadline as they were set",
            sleepers_wake_in_order::<P>,
        )
        .needs(plain),
        new(
            "timer/several_timeouts_race",
            "of waits with timeouts each has a permit or is timed out, and no permit is lost",
            several_timeouts_race::<P>,
        )
        .needs(on(2)),
        new(
            "timer/armed_while_idle",
            "a timer that is set while all workers sleep fires",
            armed_while_idle::<P>,
        )
        .needs(on(2)),
        new(
            "timer/under_constant_work",
            "a timer fires although its worker always has something to do",
            under_constant_work::<P>,
        )
        .needs(on(1)),
        new(
            "timer/fires_in_the_order_of_deadlines",
            "of three sleeps that a task awaits together none overtakes another",
            timers_fire_in_order::<P>,
        )
        .needs(on(1)),
        new(
            "run_loop/yield_with_work_waiting",
            "a fiber that yields lets the one that waits run first",
            yield_with_work_waiting::<P>,
        )
        .needs(on(1).task_order()),
        new(
            "run_loop/steal_storm",
            "many tasks that spawn more, on four workers without work of their own, run once each",
            steal_storm::<P>,
        )
        .needs(Needs::ATOMICS.long().threads(3).driver()),
        new(
            "runtime/shutdown_under_load",
            "a shutdown ends fibers that spawn fibers, and each that has begun comes to its end",
            shutdown_under_load::<P>,
        )
        .needs(on(2)),
        new(
            "runtime/messages_keep_their_order",
            "what one fiber sends another receives in the same order",
            messages_keep_their_order::<P>,
        )
        .needs(Needs::ATOMICS.long().parker().threads(2).driver()),
        new(
            "runtime/cancelled_tasks_clean_up",
            "a fiber and a future that are cancelled give back what they have",
            cancelled_tasks_clean_up::<P>,
        )
        .needs(on(2)),
        new(
            "io/completions_out_of_order",
            "operations that complete in another order than they were begun get their own results",
            completions_out_of_order::<P>,
        )
        .needs(Needs::ATOMICS.long().parker().threads(2).driver().io()),
    ]
}
