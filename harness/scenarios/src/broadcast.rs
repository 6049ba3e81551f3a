//! Publishing to many: order, lag, blocking and the end.

use raddle_platform::Platform;

use crate::Scenario;

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    Vec::new()
}
