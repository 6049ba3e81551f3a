//! The race checker that stands beside plain data: a handle of a [cell](crate::cells).

use core::panic::Location;

use raddle_platform::Race;

use crate::history::{Effect, Name, On, Operation};
use crate::objects::Handle;
use crate::world::{self, Class, Failed, World, operate, stop, with};

/// Reports two accesses of which one is a write and that no happens-before edge orders, and two
/// that are open at the same time.
#[derive(Debug)]
pub struct SimRace(Handle);

/// An open shared access.
#[derive(Debug)]
pub struct Reading(Handle);

/// An open exclusive access.
#[derive(Debug)]
pub struct Writing(Handle);

fn operation(world: &World, at: Handle, name: Name) -> Operation {
    Operation { name, on: On::Cell, object: world.cells.number(at), order: None }
}

impl Race for SimRace {
    type Read = Reading;
    type Write = Writing;

    fn new() -> Self {
        let site = Location::caller();
        Self(with(|world| {
            let by = world.access(site);
            world.cells.create(&world.views, by)
        }))
    }

    // Not decisions: of two accesses that are ordered nobody can tell which came first, and two
    // that are not are reported in either order.
    fn read(&self) -> Reading {
        let operation = with(|world| operation(world, self.0, Name::Read));
        operate(operation, Class::Private, |world, by| {
            if !world.quiet {
                world.cells.begin_read(&world.views, by, self.0)?;
            }
            Ok((Reading(self.0), Effect::Done))
        })
    }

    fn write(&self) -> Writing {
        let operation = with(|world| operation(world, self.0, Name::Write));
        operate(operation, Class::Private, |world, by| {
            if !world.quiet {
                world.cells.begin_write(&world.views, by, self.0)?;
            }
            Ok((Writing(self.0), Effect::Done))
        })
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        world::try_with(|world| world.cells.end_read(&world.views, world.current, self.0));
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        world::try_with(|world| world.cells.end_write(&world.views, world.current, self.0));
    }
}

impl Drop for SimRace {
    fn drop(&mut self) {
        let at = self.0;
        let site = Location::caller();
        let failed = world::try_with(|world| {
            if !world.cells.owns(at) {
                // Of another world, which is over.
                return Ok(());
            }
            let by = world.access(site);
            let what = operation(world, at, Name::Drop);
            let result = world.cells.destroy(&world.views, by, at);
            world.destroyed(what, by, result)
        });
        if matches!(failed, Some(Err(Failed))) {
            stop();
        }
    }
}
