//! A part of a list, for runs that are spread over machines.

use core::str::FromStr;

/// The K-th of N parts of a list, written `K/N`: every N-th entry, from the K-th on. The parts
/// together are the list, and each entry is in one of them.
///
/// ```
/// use raddle_scenarios::Shard;
///
/// let second: Shard = "2/3".parse().unwrap();
/// assert!(second.has(1) && second.has(4));
/// assert!(!second.has(0) && !second.has(2));
/// assert!("0/3".parse::<Shard>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// Whether the `position`-th of a list (from 0) is in the part.
    pub fn has(self, position: usize) -> bool {
        position % self.count == self.index
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts =
            text.split_once('/').and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
        match parts {
            Some((k, n)) if (1..=n).contains(&k) => Ok(Self { index: k - 1, count: n }),
            _ => Err("write K/N with 1 ≤ K ≤ N".to_owned()),
        }
    }
}
