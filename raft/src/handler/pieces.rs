//! How much of a snapshot has arrived, so that a piece can be placed before openraft sees it.
//!
//! openraft seeks to whatever offset a piece names and writes there: in memory, everything before it
//! is allocated.

/// Bytes of a state that are taken at most. It is held in memory while it arrives, and no metadata
/// comes near: whoever sends more is broken.
pub(super) const SNAPSHOT_SIZE_MAX: u64 = 1 << 30;

/// The snapshot that is arriving.
#[derive(Debug, Default)]
pub(crate) struct Pieces(Option<Arriving>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Arriving {
    snapshot: String,
    size: u64,
}

/// Why a piece has no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misplaced {
    /// Something before it is missing: this much has arrived.
    Gap {
        received: u64,
    },
    TooLarge,
}

impl Pieces {
    /// How much of `snapshot` will have arrived with the piece. It may repeat what was received.
    pub(super) fn place(&self, snapshot: &str, offset: u64, len: usize) -> Result<u64, Misplaced> {
        let arriving = self.0.as_ref();
        let received = arriving
            .filter(|arriving| arriving.snapshot == snapshot)
            .map_or(0, |arriving| arriving.size);
        if offset > received {
            return Err(Misplaced::Gap { received });
        }
        let end = offset.saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
        if end > SNAPSHOT_SIZE_MAX {
            return Err(Misplaced::TooLarge);
        }
        Ok(received.max(end))
    }

    /// Notes that so much of `snapshot` has arrived.
    pub(super) fn note(&mut self, snapshot: String, size: u64) {
        self.0 = Some(Arriving { snapshot, size });
    }

    /// Forgets the snapshot, as openraft does once the last piece came.
    pub(super) fn take(&mut self) -> Self {
        Self(self.0.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_placed_up_to_what_was_received() {
        let mut pieces = Pieces::default();
        assert_eq!(pieces.place("a", 0, 10), Ok(10));
        assert_eq!(
            pieces.place("a", 1, 10),
            Err(Misplaced::Gap { received: 0 })
        );
        pieces.note("a".to_owned(), 10);
        assert_eq!(pieces.place("a", 10, 0), Ok(10));
        assert_eq!(pieces.place("a", 10, 5), Ok(15));
        // A piece whose answer was lost comes again.
        assert_eq!(pieces.place("a", 0, 4), Ok(10));
        let gap = Err(Misplaced::Gap { received: 10 });
        assert_eq!(pieces.place("a", 11, 1), gap);
        assert_eq!(
            pieces.place("b", 10, 1),
            Err(Misplaced::Gap { received: 0 })
        );
        assert_eq!(pieces.place("b", 0, 1), Ok(1));
    }

    #[test]
    fn a_snapshot_has_a_largest_size() {
        let mut pieces = Pieces::default();
        pieces.note("a".to_owned(), SNAPSHOT_SIZE_MAX);
        assert_eq!(
            pieces.place("a", SNAPSHOT_SIZE_MAX, 0),
            Ok(SNAPSHOT_SIZE_MAX)
        );
        let placed = pieces.place("a", SNAPSHOT_SIZE_MAX, 1);
        assert_eq!(placed, Err(Misplaced::TooLarge));
    }
}
