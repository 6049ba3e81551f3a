//! Where the fences of a handshake meet, for who does not understand fences.

use std::sync::atomic::{AtomicU32, Ordering};

/// A word that both sides of a handshake write.
#[derive(Debug, Default)]
pub struct Handshake(AtomicU32);

impl Handshake {
    /// Where nobody has met yet.
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// One side is at its fence.
    #[inline]
    pub fn meet(&self) {
        // ORDERING: pairs with itself on the other side: whoever comes second has seen what came
        // before the first one's fence, as it would by the fences alone.
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}
