//! What an entry of either index says of itself; the rest is the same for both.

use crate::ids::Offset;

/// An entry of fixed size that lies behind the one before it.
#[expect(
    unnameable_types,
    reason = "sealed: the two entries of Kafka's formats are all there are"
)]
pub trait IndexEntry: Copy {
    /// The entry's size in the file.
    const SIZE: usize;

    /// The last offset of the batch that it stands for.
    fn offset(self) -> Offset;

    /// Whether it may stand behind `last`.
    fn rises_above(self, last: Self) -> bool;

    /// Its [`Self::SIZE`] bytes, for an offset that the format can express.
    fn encode(self, base: Offset) -> impl Iterator<Item = u8>;

    /// The entry at the beginning of `bytes`; `None` if they are too few or cannot be one.
    fn decode(base: Offset, bytes: &[u8]) -> Option<Self>;
}
