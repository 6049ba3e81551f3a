//! Random numbers: the kernel's for keys, a per-thread SplitMix64 for decisions.

use std::cell::Cell;

use crate::rng::Rng;

/// `getrandom(2)`, and a generator per thread that is seeded from it.
#[derive(Debug)]
pub struct NativeRng;

thread_local! {
    /// The SplitMix64 state (Steele, Lea, Flood, OOPSLA 2014); 0 until seeded.
    static STATE: Cell<u64> = const { Cell::new(0) };
}

impl Rng for NativeRng {
    // Not inlined: a thread-local's address must not be kept over a stack switch.
    #[inline(never)]
    fn u64() -> u64 {
        STATE.with(|state| {
            let mut seed = state.get();
            if seed == 0 {
                let mut bytes = [0; 8];
                Self::fill(&mut bytes);
                seed = u64::from_le_bytes(bytes) | 1;
            }
            let next = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            state.set(next);
            let z = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        })
    }

    fn fill(bytes: &mut [u8]) {
        let mut filled = 0;
        while filled < bytes.len() {
            let rest = &mut bytes[filled..];
            // SAFETY: `rest` is a valid buffer of its length.
            let count = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
            match usize::try_from(count) {
                Ok(count) => filled += count,
                // EINTR is the only error of a valid call on a kernel that has it (since 3.17).
                Err(_) => assert_eq!(
                    std::io::Error::last_os_error().kind(),
                    std::io::ErrorKind::Interrupted,
                    "getrandom(2) is not available: Raddle needs Linux 3.17 or later"
                ),
            }
        }
    }
}
