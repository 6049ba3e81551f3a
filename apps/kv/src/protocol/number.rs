//! Decimal numbers, as Redis reads and writes them.

/// Reads a number that is written exactly as Redis would write it: no sign but a minus, no leading
/// zeros, no spaces. `None` for everything else and for what does not fit.
#[inline]
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    // Nineteen digits fit in a u64, so the sum cannot wrap.
    let mut magnitude: u64 = 0;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        magnitude = magnitude * 10 + u64::from(digit);
    }
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// The decimal form of a number, on the stack.
///
/// ```
/// use raddle_kv::protocol::Decimal;
/// assert_eq!(Decimal::from(-120i64).as_bytes(), b"-120");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    digits: [u8; 20],
    start: u8,
}

impl From<i64> for Decimal {
    #[inline]
    fn from(value: i64) -> Self {
        let mut decimal = Self::from(value.unsigned_abs());
        if value < 0 {
            decimal.start -= 1;
            decimal.digits[usize::from(decimal.start)] = b'-';
        }
        decimal
    }
}

impl From<u64> for Decimal {
    #[inline]
    fn from(mut value: u64) -> Self {
        let mut digits = [0; 20];
        let mut start = 20;
        loop {
            start -= 1;
            digits[start] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                break;
            }
        }
        Self { digits, start: start as u8 }
    }
}

impl Decimal {
    /// The digits, with a minus in front where there is one.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.digits[usize::from(self.start)..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_canonical_form_is_a_number() {
        for text in ["", "-", "+1", "01", "-0", " 1", "1 ", "1a", "0x1", "9223372036854775808"] {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text:?}");
        }
        for text in ["-9223372036854775809", "99999999999999999999", "18446744073709551616"] {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse_integer(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(parse_integer(b"9223372036854775807"), Some(i64::MAX));
    }

    proptest! {
        #[test]
        fn numbers_survive_the_round_trip(value: i64) {
            let decimal = Decimal::from(value);
            let expected = value.to_string();
            prop_assert_eq!(decimal.as_bytes(), expected.as_bytes());
            prop_assert_eq!(parse_integer(decimal.as_bytes()), Some(value));
        }

        #[test]
        fn what_parses_is_what_std_would_print(text in "[-+0-9 a]{0,21}") {
            let expected = text.parse::<i64>().ok().filter(|value| value.to_string() == text);
            prop_assert_eq!(parse_integer(text.as_bytes()), expected);
        }
    }
}
