//! Small sets of small numbers: the first 64 without an allocation.

/// A set. Equal sets are equal values, so that it can be a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Bits {
    low: u64,
    /// No zeros at the end.
    high: Vec<u64>,
}

impl Bits {
    pub(crate) fn contains(&self, index: usize) -> bool {
        let word = match index / 64 {
            0 => self.low,
            word => self.high.get(word - 1).copied().unwrap_or(0),
        };
        word >> (index % 64) & 1 == 1
    }

    pub(crate) fn insert(&mut self, index: usize) {
        let bit = 1 << (index % 64);
        match index / 64 {
            0 => self.low |= bit,
            word => {
                if self.high.len() < word {
                    self.high.resize(word, 0);
                }
                self.high[word - 1] |= bit;
            }
        }
    }

    /// Takes away the numbers from 0 up to the first gap, and moves the others down by as many: how
    /// many.
    pub(crate) fn shift_out_ones(&mut self) -> usize {
        let mut shifted = 0;
        loop {
            let ones = self.low.trailing_ones();
            shifted += ones as usize;
            self.shift(ones);
            if ones < 64 {
                return shifted;
            }
        }
    }

    fn shift(&mut self, by: u32) {
        if by == 0 {
            return;
        }
        let mut word = &mut self.low;
        for next in &mut self.high {
            *word = shifted(*word, *next, by);
            word = next;
        }
        *word = shifted(*word, 0, by);
        while self.high.last() == Some(&0) {
            self.high.pop();
        }
    }
}

/// The low half of both words as one, moved down.
fn shifted(low: u64, high: u64, by: u32) -> u64 {
    ((u128::from(high) << 64 | u128::from(low)) >> by) as u64
}

#[cfg(test)]
mod tests {
    use super::Bits;

    #[test]
    fn leading_ones_are_shifted_out_across_words() {
        let mut bits = Bits::default();
        (0..150).for_each(|index| bits.insert(index));
        bits.insert(151);
        bits.insert(300);
        assert_eq!(bits.shift_out_ones(), 150);
        assert!(!bits.contains(0) && bits.contains(1) && bits.contains(150));
        bits.insert(0);
        assert_eq!(bits.shift_out_ones(), 2);
        assert!(bits.contains(148));
        let mut same = Bits::default();
        same.insert(148);
        assert_eq!(bits, same, "equal sets are equal values");
    }
}
