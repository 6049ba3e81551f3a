//! Snapshots and transactions: one point in time, all or nothing.

use raddle_platform::Platform;

use crate::Scenario;

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    Vec::new()
}
