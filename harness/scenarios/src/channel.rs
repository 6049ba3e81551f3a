//! Bounded channels: what is sent is received once, in order.

use raddle_platform::Platform;

use crate::Scenario;

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    Vec::new()
}
