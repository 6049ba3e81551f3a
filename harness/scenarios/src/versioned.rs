//! Versioned values: reads against updates.

use raddle_platform::Platform;

use crate::Scenario;

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    Vec::new()
}
