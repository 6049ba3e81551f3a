//! Numbers of variable length, and reading from bytes that may be anything.

use super::error::Broken;

/// Appends `value` in LEB128: seven bits a byte, the lowest first.
#[inline]
pub(crate) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a text and, before it, its length.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Bytes that are read from the front. Every length is compared with what is left before anything
/// is done with it.
#[derive(Clone, Debug)]
pub(crate) struct Bytes<'a> {
    rest: &'a [u8],
}

impl<'a> Bytes<'a> {
    pub(crate) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Broken> {
        let (first, rest) = self.rest.split_first().ok_or(Broken("it ends too early"))?;
        self.rest = rest;
        Ok(*first)
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Broken("it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// A number of variable length. Only the shortest form is one, so that equal contents are equal
    /// bytes.
    pub(crate) fn number(&mut self) -> Result<u64, Broken> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits || (byte == 0 && shift > 0) {
                return Err(Broken("a number is not in its shortest form or too large"));
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Broken("a number is too long"))
    }

    /// A number that a `u32` can hold.
    pub(crate) fn small(&mut self) -> Result<u32, Broken> {
        u32::try_from(self.number()?).map_err(|_| Broken("a number is too large"))
    }

    /// How many things follow of which each takes `bytes` at least.
    pub(crate) fn count(&mut self, bytes: usize) -> Result<usize, Broken> {
        let count = self.number()?;
        let most = (self.left() / bytes.max(1)) as u64;
        if count > most {
            return Err(Broken("it says that more follows than is there"));
        }
        Ok(count as usize)
    }

    pub(crate) fn fixed(&mut self) -> Result<u64, Broken> {
        let bytes = self.take(8)?.try_into().map_err(|_| Broken("it ends too early"))?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Broken> {
        let count = self.count(1)?;
        core::str::from_utf8(self.take(count)?).map_err(|_| Broken("a text is not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Bytes, put};

    #[test]
    fn numbers_are_read_as_they_are_written() {
        for shift in 0..64 {
            for value in [1_u64 << shift, (1 << shift) - 1, u64::MAX >> shift] {
                let mut bytes = Vec::new();
                put(&mut bytes, value);
                let mut read = Bytes::new(&bytes);
                assert_eq!(read.number(), Ok(value));
                assert!(read.is_empty());
                assert!(Bytes::new(&bytes[..bytes.len() - 1]).number().is_err());
            }
        }
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        let wrong: [&[u8]; 4] = [&[], &[0x80], &[0x80, 0], &[0xff; 11]];
        for bytes in wrong {
            assert!(Bytes::new(bytes).number().is_err(), "{bytes:?}");
        }
        let mut too_large = [0xff; 10];
        too_large[9] = 2;
        assert!(Bytes::new(&too_large).number().is_err());
        assert!(Bytes::new(&[200, 1, 1]).count(1).is_err());
    }
}
