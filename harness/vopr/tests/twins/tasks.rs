//! Bugs of fibers on the production runtime.

use core::time::Duration;

use raddle_parking_lot::{ParkingMutex, Semaphore};
use raddle_platform::{Platform, Rng};
use raddle_runtime::{Runtime, runtime, scope, sleep, spawn};
use raddle_vopr::{FailureKind, Faults, Granularity, Liveness, Sim, Simulation, calm};

use super::Twin;

/// Runs `main` as a fiber of a runtime of two workers.
pub(super) fn on_runtime<T: Send + 'static>(main: impl FnOnce() -> T + Send + 'static) -> T {
    let runtime: Runtime<Sim> = runtime::Builder::new_in().workers(2).build().expect("a runtime");
    let result = runtime.run(main).expect("it does not panic");
    runtime.shutdown(Duration::from_secs(60)).expect("it ends");
    result
}

/// A fiber that has a permit is cancelled at one of its waits.
fn cancelled_with_a_permit(broken: bool) {
    let left = on_runtime(move || {
        let permits = std::sync::Arc::new(Semaphore::<Sim>::new_in(1));
        let theirs = std::sync::Arc::clone(&permits);
        let holder = spawn::<Sim, _, _>(move || {
            // The one that ships gives its permit back in its destructor.
            let guard = theirs.acquire();
            if broken {
                guard.forget();
                if sleep::<Sim>(Duration::from_millis(1)).is_err() {
                    return;
                }
                theirs.add_permits(1);
            } else {
                let _ = sleep::<Sim>(Duration::from_millis(1));
            }
        });
        let _ = sleep::<Sim>(Duration::from_millis(1));
        holder.cancel();
        holder.join().expect("no panic");
        permits.available_permits()
    });
    assert_eq!(left, 1, "who was cancelled has not given its permit back");
}

pub(super) const LEAK_AT_CANCEL: Twin = Twin {
    name: "leak at cancel",
    simulation: || Simulation::new().granularity(Granularity::Blocking),
    program: cancelled_with_a_permit,
    kind: FailureKind::Panic,
    says: &["who was cancelled has not given its permit back"],
};

/// Two fibers that each need both locks. Who cannot have the second gives the first back, and
/// tries again after a while; the twin after the same while as the other.
fn both_locks(broken: bool) {
    const WHILE: Duration = Duration::from_millis(1);
    on_runtime(move || {
        calm();
        let lock = || ParkingMutex::<(), Sim>::new_in(());
        let locks = [lock(), lock()];
        scope::<Sim, _, _>(|fibers| {
            for first in [0, 1] {
                let locks = &locks;
                fibers.spawn(move || {
                    loop {
                        let mine = locks[first].lock();
                        let _ = sleep::<Sim>(WHILE);
                        if locks[1 - first].try_lock().is_some() {
                            return;
                        }
                        let _ = sleep::<Sim>(WHILE);
                        drop(mine);
                        let extra = if broken { 0 } else { <Sim as Platform>::Rng::u64() % 8 };
                        let _ = sleep::<Sim>(WHILE * (1 + extra as u32));
                    }
                });
            }
        });
    });
}

pub(super) const SYMMETRIC_RETRY: Twin = Twin {
    name: "retry in symmetry",
    simulation: || {
        let liveness = Liveness { steps: 30_000, virtual_time: Duration::from_secs(600) };
        let simulation = Simulation::new().granularity(Granularity::Blocking);
        simulation.faults(Faults::none().liveness(liveness))
    },
    program: both_locks,
    kind: FailureKind::Livelock,
    says: &["livelock", "though the faults ended at step"],
};
