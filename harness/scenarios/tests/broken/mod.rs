//! Broken twins: copies of code with one planted bug each, which a harness must report.
//!
//! A harness that stays silent on a twin has failed, for its silence elsewhere then means nothing.
//! So the twins stand in the list of scenarios like everything else, with what is
//! [expected](crate::Expect) of them, under names that begin with `broken/`. Beside each stands the
//! same code without its bug, under `twin/`, which must hold: what is reported of a twin is the
//! planted bug, and not a flaw of the copy.
//!
//! Each bug was found in something that people used. Nothing is freed really: memory that a twin
//! uses too late is a mark in a checked cell, so a harness that finds nothing has done no harm.

mod arc;
mod cells;
mod event_count;
mod gate;
mod group;
mod owner;
mod ring;
mod sleep;
mod stream;
mod two_locks;

use raddle_platform::Platform;

use crate::Scenario;

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    [
        arc::list::<P>(),
        cells::list::<P>(),
        event_count::list::<P>(),
        gate::list::<P>(),
        group::list::<P>(),
        owner::list::<P>(),
        ring::list::<P>(),
        sleep::list::<P>(),
        stream::list::<P>(),
        two_locks::list::<P>(),
    ]
    .concat()
}
