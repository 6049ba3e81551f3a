//! What was decided, written down: to compare two runs.

use core::panic::Location;
use std::sync::{Mutex, PoisonError};

use crate::delay::Delay;
use crate::settings::{LOG, set};

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Where.
    pub site: &'static Location<'static>,
    /// Whose: the path of spawns.
    pub path: u64,
    /// At the how manieth visit, from 0.
    pub nth: u64,
    /// What was counted: the site, the call of the primitive that it is in, and the context.
    pub place: u64,
    /// What.
    pub delay: Delay,
}

// std's lock orders all that is logged, and so hides races: a run is logged to see its decisions,
// not to find anything.
static DECISIONS: Mutex<Vec<Decision>> = Mutex::new(Vec::new());

/// Calls `f`, and returns all decisions that were made meanwhile, of each task in their order.
pub fn decisions_of(f: impl FnOnce()) -> Vec<Decision> {
    drop(take());
    set(LOG, true);
    f();
    set(LOG, false);
    let mut decisions = take();
    decisions.sort_by_key(|decision| decision.path);
    decisions
}

fn take() -> Vec<Decision> {
    core::mem::take(&mut DECISIONS.lock().unwrap_or_else(PoisonError::into_inner))
}

pub(crate) fn write(decision: Decision) {
    DECISIONS.lock().unwrap_or_else(PoisonError::into_inner).push(decision);
}
