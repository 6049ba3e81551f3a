//! What a harness needs to note the sites of a run, at each operation and quickly.

use core::hash::Hasher;

/// Whether the file is of a crate that must not know the machine. (The platform itself does: what it
/// does for others stands at their sites.)
#[must_use]
pub fn is_production(file: &str) -> bool {
    let own = ["crates/", "apps/"].iter().any(|directory| file.starts_with(directory));
    own && !file.starts_with("crates/platform/")
}

/// Mixes two addresses: a harness looks into its table at each operation.
#[derive(Debug, Default)]
pub struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_usize(usize::from(*byte)));
    }
    fn write_usize(&mut self, address: usize) {
        // Fibonacci hashing: an odd multiplier near 2^64 divided by the golden ratio.
        self.0 = (self.0.rotate_left(5) ^ address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
