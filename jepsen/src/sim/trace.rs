//! What happened, as one number: two runs of a seed are the same history if their hashes are equal.

/// A running hash of steps and states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trace(u64);

impl Default for Trace {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Trace {
    /// Takes in one number.
    pub(super) fn add(&mut self, number: u64) {
        let mixed = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 29);
    }

    /// What was taken in so far.
    pub(super) fn hash(self) -> u64 {
        self.0
    }
}
