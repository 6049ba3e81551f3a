//! Byte strings that live inside the entry while they are short: most keys and counters need no
//! second allocation and no second cache miss.

/// A key. Keys up to [`Key::INLINE_MAX`] bytes are stored in place.
#[derive(Clone, Debug)]
pub struct Key(KeyRepr);

#[derive(Clone, Debug)]
enum KeyRepr {
    Inline { length: u8, bytes: [u8; Key::INLINE_MAX] },
    Heap(Box<[u8]>),
}

const _: () = assert!(size_of::<Key>() == 24);

impl Key {
    /// The longest key without an allocation.
    pub const INLINE_MAX: usize = 22;

    /// The bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            KeyRepr::Inline { length, bytes } => &bytes[..usize::from(*length)],
            KeyRepr::Heap(bytes) => bytes,
        }
    }
}

impl From<&[u8]> for Key {
    #[inline]
    fn from(key: &[u8]) -> Self {
        if key.len() <= Self::INLINE_MAX {
            let mut bytes = [0; Self::INLINE_MAX];
            bytes[..key.len()].copy_from_slice(key);
            Self(KeyRepr::Inline { length: key.len() as u8, bytes })
        } else {
            Self(KeyRepr::Heap(key.into()))
        }
    }
}

/// A value. Values up to [`Value::INLINE_MAX`] bytes are stored in place.
#[derive(Clone, Debug)]
pub struct Value(ValueRepr);

#[derive(Clone, Debug)]
enum ValueRepr {
    Inline { length: u8, bytes: [u8; Value::INLINE_MAX] },
    Heap(Vec<u8>),
}

const _: () = assert!(size_of::<Value>() == 32);

impl Value {
    /// The longest value without an allocation.
    pub const INLINE_MAX: usize = 30;
    /// The most that appending allocates in advance.
    const ADVANCE_MAX: usize = 1 << 20;

    /// The bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            ValueRepr::Inline { length, bytes } => &bytes[..usize::from(*length)],
            ValueRepr::Heap(bytes) => bytes,
        }
    }

    /// Replaces the bytes, in the same allocation if it has about the right size.
    #[inline]
    pub fn set(&mut self, value: &[u8]) {
        match &mut self.0 {
            ValueRepr::Heap(bytes)
                if value.len() > Self::INLINE_MAX
                    && (value.len()..=2 * value.len()).contains(&bytes.capacity()) =>
            {
                bytes.clear();
                bytes.extend_from_slice(value);
            }
            _ => *self = Self::from(value),
        }
    }

    /// Adds `tail` at the end. Repeated appends are linear in what they append.
    pub fn append(&mut self, tail: &[u8]) {
        match &mut self.0 {
            ValueRepr::Inline { length, bytes } => {
                let old = usize::from(*length);
                let new = old + tail.len();
                if new <= Self::INLINE_MAX {
                    bytes[old..new].copy_from_slice(tail);
                    *length = new as u8;
                } else {
                    let mut heap = Vec::with_capacity(new + new.min(Self::ADVANCE_MAX));
                    heap.extend_from_slice(&bytes[..old]);
                    heap.extend_from_slice(tail);
                    self.0 = ValueRepr::Heap(heap);
                }
            }
            ValueRepr::Heap(bytes) => {
                if bytes.capacity() - bytes.len() < tail.len() {
                    let new = bytes.len() + tail.len();
                    bytes.reserve_exact(tail.len() + new.min(Self::ADVANCE_MAX));
                }
                bytes.extend_from_slice(tail);
            }
        }
    }
}

impl From<&[u8]> for Value {
    #[inline]
    fn from(value: &[u8]) -> Self {
        if value.len() <= Self::INLINE_MAX {
            let mut bytes = [0; Self::INLINE_MAX];
            bytes[..value.len()].copy_from_slice(value);
            Self(ValueRepr::Inline { length: value.len() as u8, bytes })
        } else {
            Self(ValueRepr::Heap(value.to_vec()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..80)
    }

    proptest! {
        #[test]
        fn keys_keep_their_bytes(bytes in text()) {
            let key = Key::from(&bytes[..]);
            prop_assert_eq!(key.as_slice(), &bytes[..]);
        }

        #[test]
        fn values_follow_a_vector(edits in prop::collection::vec((any::<bool>(), text()), 1..8)) {
            let (mut value, mut model) = (Value::from(&b""[..]), Vec::new());
            for (append, bytes) in edits {
                if append {
                    value.append(&bytes);
                    model.extend_from_slice(&bytes);
                } else {
                    value.set(&bytes);
                    model = bytes;
                }
                prop_assert_eq!(value.as_slice(), &model[..]);
            }
        }
    }

    #[test]
    fn a_shorter_value_gives_back_most_of_a_long_one() {
        let mut value = Value::from(&[7; 10_000][..]);
        value.set(&[7; 100]);
        let ValueRepr::Heap(bytes) = &value.0 else { panic!("100 bytes are not inline") };
        assert!(bytes.capacity() <= 200);
    }
}
