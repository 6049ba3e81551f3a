//! The hash behind every decision: not for tables, and the same on every machine.

use std::hash::Hasher;

/// Multiplies and folds 64 bits at a time, in the way of wyhash (Wang Yi, 2019).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mixer(u64);

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ (product >> 64) as u64
}

impl Mixer {
    pub(crate) fn new(seed: u64) -> Self {
        Self(fold(seed ^ 0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db))
    }

    /// Adds a number.
    pub(crate) fn add(mut self, value: u64) -> Self {
        self.write_u64(value);
        self
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
        self.write_u64(bytes.len() as u64);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = fold(self.0 ^ value, 0x8ebc_6af0_9c88_c6e3 ^ self.0.rotate_left(23));
        // A product with zero would forget what was there.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::{Hasher, Mixer};

    /// Seeds are kept in reports: they must mean the same tomorrow.
    #[test]
    fn golden_vectors() {
        assert_eq!(Mixer::new(0).finish(), GOLDEN[0]);
        assert_eq!(Mixer::new(1).add(2).finish(), GOLDEN[1]);
        let mut text = Mixer::new(42);
        text.write(b"crates/parking-lot/src/mutex/raw.rs");
        assert_eq!(text.finish(), GOLDEN[2]);
    }

    const GOLDEN: [u64; 3] = [0x4e6ae996bbe44404, 0xe040a24946ebfbb, 0x7e968f48da09cede];

    #[test]
    fn each_bit_of_the_input_changes_half_of_the_output() {
        let mut changed = 0;
        for value in 0..64 {
            for bit in 0..64 {
                let (one, other) =
                    (Mixer::new(7).add(value), Mixer::new(7).add(value ^ (1 << bit)));
                changed += (one.finish() ^ other.finish()).count_ones();
            }
        }
        let mean = f64::from(changed) / f64::from(64 * 64);
        assert!((31.5..32.5).contains(&mean), "{mean} bits of 64");
    }
}
