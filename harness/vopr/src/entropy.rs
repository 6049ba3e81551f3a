//! Random values from the seed: one stream per thread, so that one thread's draws do not shift
//! another's.

use raddle_platform::Rng;

use crate::history::{Effect, Name, Operation};
use crate::seeds::{Purpose, Stream};
use crate::world::{Class, World, operate};

/// See the module.
#[derive(Debug)]
pub struct SimRng;

fn draw(world: &mut World) -> u64 {
    let seed = world.seed;
    let thread = world.thread();
    let scope = thread.scope;
    let stream = thread.entropy.get_or_insert_with(|| Stream::of(seed, Purpose::Entropy, scope));
    stream.next_u64()
}

impl Rng for SimRng {
    fn u64() -> u64 {
        operate(Operation::plain(Name::Random), Class::Private, |world, _| {
            world.counts.rng += 1;
            let value = draw(world);
            Ok((value, Effect::Value(value)))
        })
    }

    fn fill(bytes: &mut [u8]) {
        operate(Operation::plain(Name::Fill), Class::Private, |world, _| {
            world.counts.rng += 1;
            for chunk in bytes.chunks_mut(8) {
                let value = draw(world).to_le_bytes();
                chunk.copy_from_slice(&value[..chunk.len()]);
            }
            Ok(((), Effect::Done))
        });
    }
}
