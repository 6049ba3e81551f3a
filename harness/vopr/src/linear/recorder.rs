//! Records a history inside of a simulation.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::history::{CallId, History, Moment};
use crate::world;

/// Notes what the threads of a simulation ask and are told, at the simulation's steps and in its
/// virtual time. It is no operation of the platform: with and without it the same seed gives the
/// same execution.
///
/// ```
/// use raddle_parking_lot::ParkingMutex;
/// use raddle_scenarios::scope;
/// use raddle_vopr::linear::{Bounds, Recorder, Register, RegisterOp, RegisterOutcome, check};
/// use raddle_vopr::{Sim, Simulation};
///
/// let report = Simulation::new().seed(1).run(|| {
///     let value = ParkingMutex::<u32, Sim>::new_in(0);
///     let recorder = Recorder::default();
///     scope::<Sim, _>(|threads| {
///         threads.spawn(|| {
///             recorder.call(1, RegisterOp::Write(7), || {
///                 *value.lock() = 7;
///                 RegisterOutcome::Done
///             })
///         });
///         recorder.call(0, RegisterOp::Read, || RegisterOutcome::Value(*value.lock()));
///     });
///     check(&Register::of(0), &recorder.history(), Bounds::default()).unwrap();
/// });
/// report.unwrap();
/// ```
#[derive(Debug)]
pub struct Recorder<O, R> {
    // The simulated threads share one thread of the operating system, and none switches while it
    // holds this.
    history: Mutex<History<O, R>>,
}

impl<O, R> Default for Recorder<O, R> {
    fn default() -> Self {
        Self { history: Mutex::default() }
    }
}

fn now() -> Moment {
    world::with(|world| Moment { step: world.steps, time: world.now })
}

impl<O, R> Recorder<O, R> {
    fn lock(&self) -> MutexGuard<'_, History<O, R>> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `process` asks for `operation`.
    ///
    /// # Panics
    /// Outside of a simulation.
    pub fn invoke(&self, process: u32, operation: O) -> CallId {
        let at = now();
        self.lock().invoke(process, operation, at)
    }

    /// The answer has come. Where it is not known whether the operation was carried out, as after a
    /// lost connection, this is not called.
    ///
    /// # Panics
    /// Outside of a simulation; when it has come already.
    pub fn complete(&self, id: CallId, outcome: R) {
        let at = now();
        self.lock().complete(id, outcome, at);
    }

    /// Records `operation` around `f`, which carries it out.
    pub fn call(&self, process: u32, operation: O, f: impl FnOnce() -> R) -> R
    where
        R: Clone,
    {
        let id = self.invoke(process, operation);
        let outcome = f();
        self.complete(id, outcome.clone());
        outcome
    }

    /// What was recorded so far. What has not returned yet has no answer in it.
    pub fn history(&self) -> History<O, R>
    where
        O: Clone,
        R: Clone,
    {
        self.lock().clone()
    }
}
