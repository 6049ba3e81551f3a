//! Who goes first, where the runtime may choose: namazu's policies for threads, for tasks and
//! workers.
//!
//! An alternative is a queue that a worker may look into first, a worker to steal from, a place for
//! a new task. Each has a share, by a hash of the seed, of who chooses, of what is chosen and of the
//! alternative; so some queues run slowly for a whole run, as threads with a bad priority would, and
//! it needs no rights of the superuser.

use raddle_platform::{Choice, Native, Platform};
use std::hash::Hasher;

use crate::mix::Mixer;
use crate::settings::{Priority, priority, rates};
use crate::strand::{self, Strand};

/// Under [`Priority::Extreme`], one choice of so many takes no account of priorities: the kernel
/// leaves as much to threads that are not real-time ones.
const THROTTLE: u64 = 20;

/// The answer to [`Platform::choose`].
pub(crate) fn choose(kind: Choice, n: usize) -> usize {
    let policy = priority();
    if policy == Priority::Off || n < 2 {
        return Native::choose(kind, n);
    }
    strand::with(|strand| {
        let who = Mixer::new(rates().seed).add(strand.path()).add(kind as u64);
        let hash = who.add(strand.choice());
        pick(policy, who, hash, strand, n)
    })
}

fn pick(policy: Priority, who: Mixer, hash: Mixer, strand: &Strand, n: usize) -> usize {
    let share = |index: usize| who.add(index as u64).finish();
    match policy {
        Priority::Mild => by_share(hash, n, |index| {
            let nice = (share(index) % 40) as i32 - 20;
            1.25_f64.powi(-nice)
        }),
        Priority::Extreme if !hash.finish().is_multiple_of(THROTTLE) => {
            // The one with the highest priority among those that have one, if any has.
            let first =
                (0..n).filter(|index| share(*index).is_multiple_of(4)).max_by_key(|i| share(*i));
            first.unwrap_or_else(|| by_share(hash, n, |_| 1.0))
        }
        Priority::Dirichlet => {
            let draw = strand.draw(hash.add(1).finish().is_multiple_of(10));
            // Shares of equal parameters 1 are exponential variates over their sum.
            by_share(hash, n, |index| -unit(who.add(draw).add(index as u64)).ln())
        }
        _ => by_share(hash, n, |_| 1.0),
    }
}

/// Uniform in (0, 1].
fn unit(hash: Mixer) -> f64 {
    ((hash.finish() >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

fn by_share(hash: Mixer, n: usize, share: impl Fn(usize) -> f64) -> usize {
    let mut left = unit(hash.add(2)) * (0..n).map(&share).sum::<f64>();
    for index in 0..n - 1 {
        left -= share(index);
        if left <= 0.0 {
            return index;
        }
    }
    n - 1
}

#[cfg(test)]
mod tests {
    use super::{Mixer, Priority, pick};
    use raddle_platform::Strand as _;

    fn counts(policy: Priority, seed: u64) -> [usize; 4] {
        let strand = crate::strand::Strand::child();
        let who = Mixer::new(seed);
        let mut counts = [0; 4];
        for count in 0..4_000 {
            counts[pick(policy, who, who.add(count), &strand, 4)] += 1;
        }
        counts
    }

    #[test]
    fn no_alternative_is_never_taken() {
        for policy in [Priority::Extreme, Priority::Dirichlet] {
            for seed in 0..50 {
                let counts = counts(policy, seed);
                assert!(counts.iter().all(|count| *count > 0), "{policy:?} {seed}: {counts:?}");
            }
        }
    }

    #[test]
    fn extreme_prefers_one_for_the_whole_run() {
        let skewed =
            (0..50).filter(|seed| counts(Priority::Extreme, *seed).iter().any(|c| *c > 3_700));
        assert!(skewed.count() > 25);
    }

    #[test]
    fn mild_is_uneven_and_dirichlet_even_in_the_long_run() {
        let spread = |policy| {
            let counts = counts(policy, 11);
            counts.iter().max().unwrap_or(&0) - counts.iter().min().unwrap_or(&0)
        };
        assert!(spread(Priority::Mild) > 2 * spread(Priority::Dirichlet));
    }
}
