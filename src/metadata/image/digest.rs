//! A 64-bit digest that every build of every platform computes alike.
//!
//! A map's digest is the wrapping sum of its items' digests: it doesn't depend on the order of
//! changes, and one change costs one item. It guards against divergence, not against attackers.

/// The digest of one item while it is fed.
#[derive(Debug)]
pub(super) struct Digest(u64);

impl Digest {
    /// Starts an item of the kind `tag`.
    pub(super) const fn new(tag: u64) -> Self {
        Self(0x6f74_746c_6121_0000 ^ tag)
    }

    /// Feeds a number.
    pub(super) const fn number(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 29);
    }

    /// Feeds a number of the wire.
    pub(super) fn signed(&mut self, word: i32) {
        self.number(u64::from(word.cast_unsigned()));
    }

    /// Feeds a text with its length, so that neighbours don't flow into each other.
    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Feeds bytes with their length.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let word = chunk
                .iter()
                .rev()
                .fold(0_u64, |word, byte| (word << 8) | u64::from(*byte));
            self.number(word);
        }
    }

    /// Feeds 16 bytes.
    pub(super) const fn uuid(&mut self, bytes: [u8; 16]) {
        let value = u128::from_le_bytes(bytes);
        #[expect(clippy::cast_possible_truncation, reason = "both halves are fed")]
        {
            self.number(value as u64);
            self.number((value >> 64) as u64);
        }
    }

    /// Feeds a flag.
    pub(super) fn flag(&mut self, flag: bool) {
        self.number(u64::from(flag));
    }

    /// The digest (finaliser of splitmix64, so that sums of similar items don't cancel out).
    pub(super) const fn finish(self) -> u64 {
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(feed: impl FnOnce(&mut Digest)) -> u64 {
        let mut digest = Digest::new(1);
        feed(&mut digest);
        digest.finish()
    }

    #[test]
    fn neighbouring_texts_do_not_flow_into_each_other() {
        let a = of(|digest| {
            digest.text("ab");
            digest.text("c");
        });
        let b = of(|digest| {
            digest.text("a");
            digest.text("bc");
        });
        assert_ne!(a, b);
    }

    /// Changing this number changes every stored snapshot's digest: it needs a format version.
    #[test]
    fn the_digest_is_pinned() {
        let value = of(|digest| {
            digest.text("topic-name");
            digest.signed(-1);
            digest.uuid([7; 16]);
            digest.flag(true);
        });
        assert_eq!(value, PINNED);
    }

    const PINNED: u64 = 6_876_858_391_647_113_942;
}
