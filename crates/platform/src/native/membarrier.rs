//! An asymmetric pair of fences: `membarrier`, where the kernel has it.
//!
//! The light side is a fence for the compiler only. The heavy side asks the kernel to interrupt
//! each processor that runs a thread of this process, which is a full fence there: wherever such a
//! thread stands, its light fences are full fences in effect.
//!
//! `MODE` says whether the heavy side does that. It changes once, away from UNKNOWN, and the light
//! side is a full fence for whoever has not seen EXPEDITED yet. Whoever has seen it may rely on
//! every heavy fence being expedited: EXPEDITED is never taken back.

use std::sync::atomic::{AtomicU32, Ordering, compiler_fence, fence};

const UNKNOWN: u32 = 0;
const EXPEDITED: u32 = 1;
const ABSENT: u32 = 2;

static MODE: AtomicU32 = AtomicU32::new(UNKNOWN);

// From linux/membarrier.h; in Linux since 4.14.
const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

fn membarrier(command: libc::c_int) -> bool {
    // SAFETY: the call takes numbers and touches no memory of ours.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

#[inline(always)]
pub(super) fn light() {
    if MODE.load(Ordering::Relaxed) != EXPEDITED {
        full();
    }
    // ORDERING: pairs with the kernel's full fence on this processor, which `heavy` asks for.
    compiler_fence(Ordering::SeqCst);
}

/// Out of the way of light fences that are light.
#[cold]
#[inline(never)]
fn full() {
    // ORDERING: pairs with `heavy`, which may not be expedited.
    fence(Ordering::SeqCst);
}

#[inline(never)]
pub(super) fn heavy() {
    if mode() == EXPEDITED {
        if !membarrier(PRIVATE_EXPEDITED) {
            refused();
        }
    } else {
        // ORDERING: pairs with the fence of `light`, which is one as long as nothing is expedited.
        fence(Ordering::SeqCst);
    }
}

/// How the heavy side is done in this process.
fn mode() -> u32 {
    let mode = MODE.load(Ordering::Relaxed);
    if mode != UNKNOWN {
        return mode;
    }
    // Registering twice does no harm.
    let mode = if membarrier(REGISTER_PRIVATE_EXPEDITED) { EXPEDITED } else { ABSENT };
    // Whoever decided first has decided for all: a thread may have passed a light fence by it.
    match MODE.compare_exchange(UNKNOWN, mode, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => mode,
        Err(decided) => decided,
    }
}

/// Threads rely on a fence that the kernel does not give any more. To go on would be to read freed
/// memory some day.
#[cold]
fn refused() -> ! {
    eprintln!(
        "raddle: membarrier(PRIVATE_EXPEDITED) was registered and is refused now: {}. A seccomp \
         filter that was installed after the start must allow it.",
        std::io::Error::last_os_error()
    );
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::AtomicUsize;

    /// Store, fence, load the other's, on both sides: with an asymmetric pair at least one of the
    /// two sees the other.
    #[test]
    fn of_a_light_and_a_heavy_fence_one_is_seen() {
        const ROUNDS: usize = 20_000;
        heavy();
        let (left, right) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let barrier = Barrier::new(2);
        let mut missed = 0;
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                let mut seen = Vec::with_capacity(ROUNDS);
                for round in 1..=ROUNDS {
                    barrier.wait();
                    left.store(round, Ordering::Relaxed);
                    light();
                    seen.push(right.load(Ordering::Relaxed) == round);
                }
                seen
            });
            let mut seen = Vec::with_capacity(ROUNDS);
            for round in 1..=ROUNDS {
                barrier.wait();
                right.store(round, Ordering::Relaxed);
                heavy();
                seen.push(left.load(Ordering::Relaxed) == round);
            }
            let other = other.join().expect("no panic");
            missed = seen.iter().zip(&other).filter(|(a, b)| !**a && !**b).count();
        });
        assert_eq!(missed, 0, "both sides missed each other");
    }

    #[test]
    fn the_mode_is_decided_once() {
        let first = mode();
        assert_ne!(first, UNKNOWN);
        assert_eq!(mode(), first);
    }
}
