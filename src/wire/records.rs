//! Record batches as the codec sees them: bytes, here or in a file, that it never looks into.

use std::ops::Range;

use bytes::Bytes;

/// The records of one partition in a Produce request or a Fetch response.
///
/// Decoding gives `Slice`. The other two are for responses: what they name is not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Records<'a> {
    /// Bytes of the decoded frame, or of any buffer that outlives the call to `encode`.
    Slice(&'a [u8]),
    /// Bytes in a shared buffer.
    Shared(Bytes),
    /// Bytes that are sent from elsewhere when their turn comes.
    External(ExternalRange),
}

/// A part of a response that is not in memory: its length stands in the response already, its
/// bytes are sent later by whoever gave the token its meaning (`sendfile` of a file range).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExternalRange {
    pub token: u64,
    pub len: u32,
}

impl<'a> Records<'a> {
    /// The bytes, if they are in memory.
    pub fn as_slice(&'a self) -> Option<&'a [u8]> {
        match self {
            Self::Slice(bytes) => Some(bytes),
            Self::Shared(bytes) => Some(bytes),
            Self::External(_) => None,
        }
    }
}

/// Where `part` lies in `whole`, if it was borrowed from it. The records of a Produce request are
/// found again in the frame's own buffer with this, to be stamped there.
pub fn range_within(whole: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    let end = start.checked_add(part.len())?;
    (end <= whole.len()).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_found_where_it_was_borrowed() {
        let whole = [7_u8; 10];
        assert_eq!(range_within(&whole, &whole[3..6]), Some(3..6));
        assert_eq!(range_within(&whole, &whole[..]), Some(0..10));
        assert_eq!(range_within(&whole[4..6], &whole[3..5]), None);
        assert_eq!(range_within(&whole[4..6], &whole[5..8]), None);
    }
}
