//! Combinators: how many are in flight, and which error wins.

use raddle_platform::Platform;

use crate::Scenario;

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    Vec::new()
}
