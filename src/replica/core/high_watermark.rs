//! The high watermark of one led partition.
//!
//! - R1: `log_start <= high_watermark <= log_end`.
//! - R2: within one leader epoch the high watermark never moves back.

use ottla_storage::ids::Offset;

use super::effect::LogBounds;

/// The end (exclusive) of what every in-sync replica holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HighWatermark(Offset);

impl HighWatermark {
    /// The high watermark that a new leader starts from: what it knew as a follower or from its
    /// journal, which a crash may have left outside of the log.
    pub(crate) fn at_start_of_epoch(known: Offset, bounds: &LogBounds) -> Self {
        Self(known.clamp(bounds.start, bounds.end.max(bounds.start)))
    }

    pub(crate) fn offset(self) -> Offset {
        self.0
    }

    /// Moves to the lowest of what this replica (`own_end`) and the followers hold; whether it moved.
    ///
    /// Followers' claims come from the network: bounded by the leader's end, never asserted.
    pub(crate) fn advance(
        &mut self,
        own_end: Offset,
        followers: impl Iterator<Item = Offset>,
    ) -> bool {
        let reached = followers.fold(own_end, Ord::min);
        let moved = reached > self.0;
        self.0 = self.0.max(reached);
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn offset() -> impl Strategy<Value = Offset> {
        (0_u32..1000).prop_map(Offset::from)
    }

    proptest! {
        /// R2 and R4: it never moves back, and it moves only to where every replica is.
        #[test]
        fn it_is_monotone_and_bounded_by_every_replica(
            now in offset(),
            own_end in offset(),
            followers in prop::collection::vec(offset(), 0..4),
        ) {
            let mut mark = HighWatermark(now);
            let moved = mark.advance(own_end, followers.iter().copied());
            prop_assert!(mark.offset() >= now);
            prop_assert_eq!(moved, mark.offset() > now);
            if moved {
                prop_assert!(followers.iter().chain([&own_end]).all(|end| mark.offset() <= *end));
            }
        }

        /// R1 at the start of an epoch, whatever was remembered.
        #[test]
        fn it_starts_inside_the_log(known in offset(), start in offset(), length in 0_u64..1000) {
            let end = start.saturating_add(length);
            let bounds = LogBounds { start, end, flushed_end: start };
            let mark = HighWatermark::at_start_of_epoch(known, &bounds).offset();
            prop_assert!(start <= mark && mark <= end);
        }
    }
}
