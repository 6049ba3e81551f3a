//! Random numbers that depend on nothing but the thread and how many it has taken.
//!
//! One sequence per thread: with a common one, the values would depend on the order in which
//! threads ask, which loom does not know to be a dependence.

use raddle_platform::Rng;

use crate::history::Effect;
use crate::world::{Kind, Step, with};

/// See the module.
#[derive(Debug)]
pub struct LoomRng;

impl Rng for LoomRng {
    fn u64() -> u64 {
        let step = Step::plain(Kind::Rng, "u64", None);
        let value = draw();
        step.end(Effect::Value(value));
        value
    }

    fn fill(bytes: &mut [u8]) {
        let step = Step::plain(Kind::Rng, "fill", None);
        for chunk in bytes.chunks_mut(8) {
            let value = draw().to_le_bytes();
            chunk.copy_from_slice(&value[..chunk.len()]);
        }
        step.end(Effect::Done);
    }
}

/// The calling thread's next value.
fn draw() -> u64 {
    with(|world| {
        let thread = world.thread();
        let count = thread.random.get();
        thread.random.set(count + 1);
        mix((world.current() as u64) << 32 | count)
    })
}

/// SplitMix64's finaliser (Steele, Lea, Flood, OOPSLA 2014).
fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
