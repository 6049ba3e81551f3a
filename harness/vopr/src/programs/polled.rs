//! Futures that are polled although nobody woke them.

use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use raddle_parking_lot::{Condvar, ParkingMutex, ParkingRwLock, Semaphore};
use raddle_runtime::net::TcpStream;
use raddle_runtime::{JoinHandle, sleep, sleep_async, spawn, spawn_async, timeout, yield_async};
use raddle_scenarios::Scenario;

use super::{ON_RUNTIME, Program, listen, on_runtime};
use crate::faults::{FaultKind, Faults, calm};
use crate::platform::Sim;

const THERE: &str = "what was waited for is there";

pub(super) fn list() -> Vec<Program> {
    let faults = || Faults::none().rate(FaultKind::SpuriousPoll, 16_384);
    let sound = Scenario::new(
        "faults/polled",
        "no future minds that it is polled without a wake: not those of locks, timers, joins and sockets",
        everything,
    );
    let by_hand = Scenario::new(
        "faults/polled_by_hand",
        "a future that looks again whenever it is polled has what it waits for in the end",
        || slot(true),
    );
    let twin = Scenario::new(
        "faults/twin_polled_is_not_woken",
        "twin: the future takes its second poll for the news that it waits for",
        || slot(false),
    );
    vec![
        Program::new(sound.needs(ON_RUNTIME.io()), faults().swarm()),
        Program::new(by_hand.needs(ON_RUNTIME), faults()),
        Program::new(twin.needs(ON_RUNTIME).fails(THERE), faults()),
    ]
}

/// A place for a value, and for who waits for it.
#[derive(Default)]
struct Slot {
    value: Option<u32>,
    waker: Option<Waker>,
    asked: bool,
}

impl Slot {
    /// Polls by hand. Who does not look takes every poll but the first for a wake.
    fn poll(&mut self, context: &mut Context<'_>, looks: bool) -> Poll<Option<u32>> {
        let woken = core::mem::replace(&mut self.asked, true);
        if self.value.is_some() || woken && !looks {
            return Poll::Ready(self.value.take());
        }
        self.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

fn slot(looks: bool) {
    let value = on_runtime::<Sim, _>(move || {
        let slot = Arc::new(ParkingMutex::<Slot, Sim>::new_in(Slot::default()));
        let theirs = Arc::clone(&slot);
        let waiting =
            spawn_async::<Sim, _>(poll_fn(move |context| theirs.lock().poll(context, looks)));
        sleep::<Sim>(Duration::from_millis(1)).expect("nobody cancels");
        let waker = {
            let mut slot = slot.lock();
            slot.value = Some(7);
            slot.waker.take()
        };
        waker.inspect(Waker::wake_by_ref);
        waiting.join().expect("no panic")
    });
    assert_eq!(value, Some(7), "{THERE}");
}

/// What tasks of both kinds wait for.
struct Things {
    count: ParkingMutex<u32, Sim>,
    changed: Condvar<Sim>,
    table: ParkingRwLock<u32, Sim>,
    permits: Semaphore<Sim>,
}

const ROUNDS: u32 = 2;
const TASKS: u32 = 3;

/// A task that waits for one thing after the other.
async fn wait_for_all(things: Arc<Things>) -> u32 {
    for round in 0..ROUNDS {
        *things.count.lock_async().await += 1;
        things.changed.notify_all();
        *things.table.write_async().await += 1;
        let permit = things.permits.acquire_async().await;
        assert!(*things.table.read_async().await > round, "the lock that it has had");
        drop(permit);
        sleep_async::<Sim>(Duration::from_millis(3)).await;
        let late = timeout::<_, Sim>(Duration::from_millis(2), core::future::pending::<()>()).await;
        assert!(late.is_err(), "it never ends");
        let soon = timeout::<_, Sim>(Duration::from_secs(3600), yield_async()).await;
        assert!(soon.is_ok(), "it ends at once");
    }
    let mut count = things.count.lock_async().await;
    while *count < ROUNDS * TASKS {
        count = things.changed.wait_async(count).await;
    }
    *count
}

async fn converse(address: SocketAddr) -> io::Result<()> {
    let stream = TcpStream::<Sim>::connect_async(address).await?;
    for byte in 0..4 {
        stream.write_all_async(&[byte]).await?;
        let mut answer = [9];
        if stream.read_async(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        assert_eq!(answer, [byte], "every byte in its order");
    }
    Ok(())
}

fn everything() {
    on_runtime::<Sim, _>(|| {
        let things = Arc::new(Things {
            count: ParkingMutex::new_in(0),
            changed: Condvar::new_in(),
            table: ParkingRwLock::new_in(0),
            permits: Semaphore::new_in(1),
        });
        let tasks: Vec<JoinHandle<_, Sim>> =
            (0..TASKS).map(|_| spawn_async(wait_for_all(Arc::clone(&things)))).collect();
        let (address, server) = listen::<Sim>(0, super::echo::echo);
        let talk = spawn_async::<Sim, _>(async move {
            // The server's patience may end, on a machine that is slow enough.
            let _ = converse(address).await;
        });
        // Joined by a future, and by a fiber.
        let joined = spawn_async::<Sim, _>(async move {
            for task in tasks {
                assert_eq!(task.await.expect("no panic"), ROUNDS * TASKS);
            }
        });
        joined.join().expect("no panic");
        spawn::<Sim, _, _>(move || talk.join().expect("no panic")).join().expect("no panic");
        calm();
        server.cancel();
    });
}
