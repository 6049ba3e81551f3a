//! The only randomness.

/// Random values. In production they come from the kernel's generator (through a per-thread
/// generator where speed counts); in a simulation from the seed.
pub trait Rng {
    /// A random number for decisions that no adversary profits from predicting.
    #[track_caller]
    fn u64() -> u64;
    /// Fills `bytes` from the entropy source: fit for keys.
    #[track_caller]
    fn fill(bytes: &mut [u8]);
}
