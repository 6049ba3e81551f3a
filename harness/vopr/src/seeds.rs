//! One root seed, and the streams that are derived from it.
//!
//! Each consumer of randomness has a stream of its own, `H(root, purpose, scope)` with SipHash-2-4,
//! so that one more draw for one purpose shifts no other.

use siphasher::sip::SipHasher24;

/// What a stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Which thread runs.
    Schedule,
    /// Which store a load reads. (Unused while memory is sequentially consistent.)
    Memory,
    /// Spurious wakes and failures, and whatever else goes wrong.
    Fault,
    /// What a network does without being at fault.
    Network,
    /// What disks do without being at fault.
    Disk,
    /// When time advances.
    Time,
    /// The random values that the program itself asks for.
    Entropy,
    /// What a test makes its clients do.
    Workload,
    /// The root seeds of the runs of a sweep.
    Run,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Schedule,
        Self::Memory,
        Self::Fault,
        Self::Network,
        Self::Disk,
        Self::Time,
        Self::Entropy,
        Self::Workload,
        Self::Run,
    ];

    /// Its name, which is a part of what is hashed.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Memory => "memory",
            Self::Fault => "fault",
            Self::Network => "network",
            Self::Disk => "disk",
            Self::Time => "time",
            Self::Entropy => "entropy",
            Self::Workload => "workload",
            Self::Run => "run",
        }
    }
}

/// The root seed where nobody gives one.
pub const DEFAULT_ROOT: u64 = 0x5241_4444_4c45_0001;

/// The second half of the hash's key; the root is the first.
const KEY: u64 = 0x7261_6464_6c65_2d76;

/// The seed of the stream for `purpose` and `scope` (a thread's number, a node's, a run's).
pub fn derive(root: u64, purpose: Purpose, scope: u64) -> u64 {
    let mut text = Vec::with_capacity(24);
    text.extend_from_slice(purpose.tag().as_bytes());
    text.push(0xff);
    text.extend_from_slice(&scope.to_le_bytes());
    SipHasher24::new_with_keys(root, KEY).hash(&text)
}

/// Where a root seed came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Given by the caller.
    Explicit,
    /// From the environment variable `RADDLE_SEED`.
    RaddleSeed,
    /// From the environment variable `CI_SEED`.
    CiSeed,
    /// [`DEFAULT_ROOT`].
    Constant,
}

impl core::fmt::Display for Origin {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Explicit => "as given",
            Self::RaddleSeed => "from RADDLE_SEED",
            Self::CiSeed => "from CI_SEED",
            Self::Constant => "the default",
        })
    }
}

/// The root seed: the explicit one, or else `RADDLE_SEED`, `CI_SEED`, [`DEFAULT_ROOT`].
///
/// # Errors
/// A variable is set and is no seed. It is not passed over in silence: whoever set it believes
/// that it works.
pub fn root(explicit: Option<u64>) -> Result<(u64, Origin), String> {
    root_from(explicit, |name| {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    })
}

fn root_from(
    explicit: Option<u64>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<(u64, Origin), String> {
    if let Some(seed) = explicit {
        return Ok((seed, Origin::Explicit));
    }
    for (name, origin) in [("RADDLE_SEED", Origin::RaddleSeed), ("CI_SEED", Origin::CiSeed)] {
        if let Some(text) = variable(name) {
            let seed = parse(&text).map_err(|error| format!("{name}: {error}"))?;
            return Ok((seed, origin));
        }
    }
    Ok((DEFAULT_ROOT, Origin::Constant))
}

/// Reads a seed: decimal, or hexadecimal after `0x`.
///
/// # Errors
/// The text is neither.
pub fn parse(text: &str) -> Result<u64, String> {
    let digits = text.trim();
    let value = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    value.map_err(|_| format!("{text:?} is no seed: write a number below 2^64, or 0x and digits"))
}

/// Random numbers from one seed: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
#[derive(Clone, Debug)]
pub struct Stream(u64);

impl Stream {
    /// The stream of a derived seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The stream for `purpose` and `scope` under `root`.
    pub fn of(root: u64, purpose: Purpose, scope: u64) -> Self {
        Self::new(derive(root, purpose, scope))
    }

    /// The next value.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is not zero. (Off uniform by `n / 2^64` at most.)
    #[inline]
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next_u64()) * n as u128) >> 64) as usize
    }

    /// `true` in `rate` of 65,536 cases.
    #[inline]
    pub fn chance(&mut self, rate: u32) -> bool {
        (self.next_u64() >> 48) < u64::from(rate)
    }
}

#[cfg(test)]
mod tests {
    use super::{DEFAULT_ROOT, Origin, Purpose, Stream, derive, parse, root_from};

    #[test]
    fn derived_seeds_are_what_they_always_were() {
        // By another implementation of SipHash.
        let golden = [
            (0, Purpose::Schedule, 0, 0xe87f2bb7f0b1b220),
            (1, Purpose::Schedule, 0, 0x4611925b405ccf56),
            (1, Purpose::Fault, 0, 0x75dbb4bf5e6cd49b),
            (1, Purpose::Entropy, 3, 0x6b388cb5338abf28),
            (DEFAULT_ROOT, Purpose::Run, 17, 0x222a166bdaa5775c),
        ];
        for (root, purpose, scope, seed) in golden {
            assert_eq!(derive(root, purpose, scope), seed, "{root} {purpose:?} {scope}");
        }
    }

    #[test]
    fn a_stream_is_what_it_always_was() {
        let mut stream = Stream::new(1_234_567);
        let values: Vec<_> = (0..3).map(|_| stream.next_u64()).collect();
        // The reference implementation's, for this seed.
        let golden =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(values, golden);
    }

    #[test]
    fn the_root_seed_comes_from_the_first_place_that_has_one() {
        let both = |name: &str| Some(if name == "CI_SEED" { "3" } else { "0x2" }.to_owned());
        let ci = |name: &str| (name == "CI_SEED").then(|| "3".to_owned());
        assert_eq!(root_from(Some(1), both), Ok((1, Origin::Explicit)));
        assert_eq!(root_from(None, both), Ok((2, Origin::RaddleSeed)));
        assert_eq!(root_from(None, ci), Ok((3, Origin::CiSeed)));
        assert_eq!(root_from(None, |_| None), Ok((DEFAULT_ROOT, Origin::Constant)));
        assert!(root_from(None, |_| Some("seven".to_owned())).is_err());
        assert_eq!((parse("0xff"), parse("0XFf"), parse(" 10 ")), (Ok(255), Ok(255), Ok(10)));
        assert!(parse("").is_err());
    }
}
