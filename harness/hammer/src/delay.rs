//! The delay of a visit: nothing, a spin, a yield or a sleep, by a hash and nothing else.
//!
//! ```text
//! H(seed, site, caller of the primitive, path of the task, nth visit)
//!     below the zero bias   nothing
//!     else, by its hash     1/4 spin, 1/4 yield, 1/2 sleep below the maximum
//! ```
//! No visit depends on another thread: what is decided does not depend on the schedule, and so is
//! the same again with the same seed. The schedule that comes out of it is not, only similar: the
//! kernel has its say.
//!
//! The idea is GoReplay's (Akihiro Suda, 2017), which hashes seed and context, draws the zero bias
//! from a shared generator and so does not replay it.

use core::panic::Location;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::hash::Hasher;

use crate::log::{self, Decision};
use crate::mix::Mixer;
use crate::settings::{COUNTS, DELAYS, LOG, UNREAD, duties, rates, read_environment};
use crate::{sites, strand};

/// What a visit does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    /// Goes on.
    None,
    /// So many pauses of the processor.
    Spin(u32),
    /// Gives way to other threads.
    Yield,
    /// Sleeps.
    Sleep(Duration),
}

/// So many pauses at most: some microseconds.
const SPINS: u64 = 1024;

/// How many delays there were: spins, yields, sleeps.
static DELAYED: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

/// How many delays the process has had.
pub fn delays() -> u64 {
    DELAYED.iter().map(|count| count.load(Ordering::Relaxed)).sum()
}

/// A site is visited.
#[inline(always)]
#[track_caller]
pub(crate) fn visit() {
    if duties() != 0 {
        visited(Location::caller(), &[]);
    }
}

/// Delays here, now and then, if `RADDLE_HAMMER_SEED` says so: for programs that are not written
/// over the platform. `context` tells apart what the place in the source does not, such as the
/// number of a thread that another library started.
///
/// ```
/// let workers: Vec<_> = (0..3_u8)
///     .map(|number| std::thread::spawn(move || raddle_hammer::inject(&[number])))
///     .collect();
/// workers.into_iter().for_each(|worker| worker.join().unwrap());
/// ```
#[inline]
#[track_caller]
pub fn inject(context: &[u8]) {
    if duties() != 0 {
        visited(Location::caller(), context);
    }
}

/// A primitive is called, by code whose place joins the hash of the sites inside.
#[inline(always)]
#[track_caller]
pub(crate) fn called() -> Called {
    if duties() & (DELAYS | COUNTS) == 0 {
        return Called(None);
    }
    enter(Location::caller())
}

#[cold]
fn enter(site: &'static Location<'static>) -> Called {
    if duties() & COUNTS != 0 {
        sites::count(site);
    }
    // Within one primitive another may be called: then both places join.
    Called(Some(strand::with(|strand| {
        let outer = strand.caller();
        strand.calls(Mixer::new(outer).add(hash(site)).finish());
        outer
    })))
}

/// The call of a primitive, until this is dropped. Has what the one around it was called by.
#[derive(Debug)]
pub struct Called(Option<u64>);

impl Drop for Called {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(outer) = self.0 {
            strand::with(|strand| strand.calls(outer));
        }
    }
}

/// A place in the source, as it is called in every build of it.
pub(crate) fn hash(site: &Location<'_>) -> u64 {
    let mut mixer = Mixer::new(u64::from(site.line()) << 32 | u64::from(site.column()));
    mixer.write(site.file().as_bytes());
    mixer.finish()
}

#[cold]
#[inline(never)]
fn visited(site: &'static Location<'static>, context: &[u8]) {
    let mut duties = duties();
    if duties & UNREAD != 0 {
        duties = read_environment();
    }
    if duties & COUNTS != 0 {
        sites::count(site);
    }
    if duties & DELAYS == 0 {
        return;
    }
    let delay = strand::with(|strand| {
        let place = hash(site);
        let mut mixer = Mixer::new(place).add(strand.caller());
        mixer.write(context);
        let place = mixer.finish();
        let nth = strand.visit(place);
        let delay = decide(place, strand.path(), nth);
        if duties & LOG != 0 {
            log::write(Decision { site, path: strand.path(), nth, place, delay });
        }
        delay
    });
    act(delay);
}

/// The whole decision.
fn decide(place: u64, path: u64, nth: u64) -> Delay {
    let rates = rates();
    let hash = Mixer::new(rates.seed).add(place).add(path).add(nth);
    if hash.finish() < rates.quiet {
        return Delay::None;
    }
    let amount = hash.add(1).finish();
    match amount % 4 {
        0 => Delay::Spin((amount / 4 % SPINS) as u32),
        1 => Delay::Yield,
        _ if rates.max_ns == 0 => Delay::Yield,
        _ => Delay::Sleep(Duration::from_nanos(amount / 4 % rates.max_ns)),
    }
}

/// Sleeps until the time is over or a signal comes. (std sleeps again after a signal, for what the
/// kernel says is left, which is rounded up: under a storm of signals it sleeps for ever.)
#[doc(hidden)]
pub fn nap(time: Duration) {
    let time = libc::timespec {
        tv_sec: time.as_secs() as libc::time_t,
        tv_nsec: libc::c_long::from(time.subsec_nanos() as i32),
    };
    // SAFETY: reads a timespec, and writes nothing.
    unsafe { libc::nanosleep(&raw const time, core::ptr::null_mut()) };
}

fn act(delay: Delay) {
    let kind = match delay {
        Delay::None => return,
        Delay::Spin(count) => {
            for _ in 0..count {
                core::hint::spin_loop();
            }
            0
        }
        Delay::Yield => {
            std::thread::yield_now();
            1
        }
        Delay::Sleep(time) => {
            nap(time);
            2
        }
    };
    DELAYED[kind].fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::{Delay, decide};
    use crate::Settings;

    #[test]
    fn the_zero_bias_is_the_share_of_visits_without_delay() {
        let share = |zero_bias: f64| {
            Settings { zero_bias, ..Settings::seeded(3) }.install();
            let quiet = (0..20_000).filter(|nth| decide(1, 2, *nth) == Delay::None).count();
            quiet as f64 / 20_000.0
        };
        assert!(share(0.0) < 0.001);
        assert!((0.48..0.52).contains(&share(0.5)));
        assert!((0.985..0.995).contains(&share(0.99)));
        Settings::default().install();
    }
}
