//! The entries that the log holds now, in memory or as slices of mapped segments.
//!
//! Indexes are dense. `purged` is the last entry that is gone at the front; what follows it is the
//! first one held. A log that never purged may begin anywhere.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use crate::archive::LogIdRecord;

/// An entry: its term, and its archive wherever that lies.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) term: u64,
    pub(super) archive: Bytes,
}

#[derive(Debug, Default)]
pub(super) struct Entries {
    purged: Option<LogIdRecord>,
    /// The index of the first slot; meaningless without slots.
    first: u64,
    slots: VecDeque<Slot>,
}

/// What the log has at an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Purged,
    Held,
    Free,
}

/// An entry that does not continue the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {found} does not follow {expected}")]
pub(super) struct Gap {
    expected: u64,
    found: u64,
}

impl Entries {
    /// An empty log whose next entry is the one after `purged`.
    pub(super) fn starting_after(purged: Option<LogIdRecord>) -> Self {
        Self {
            purged,
            ..Self::default()
        }
    }

    pub(super) fn purged(&self) -> Option<LogIdRecord> {
        self.purged
    }

    pub(super) fn last(&self) -> Option<LogIdRecord> {
        let Some(slot) = self.slots.back() else {
            return self.purged;
        };
        Some(LogIdRecord {
            term: slot.term,
            index: self.end() - 1,
        })
    }

    pub(super) fn append(&mut self, id: LogIdRecord, archive: Bytes) -> Result<(), Gap> {
        if self.slots.is_empty() {
            let after = self.purged.map_or(id.index, |purged| purged.index + 1);
            if id.index != after {
                return Err(Gap {
                    expected: after,
                    found: id.index,
                });
            }
            self.first = id.index;
        } else if id.index != self.end() {
            return Err(Gap {
                expected: self.end(),
                found: id.index,
            });
        }
        self.slots.push_back(Slot {
            term: id.term,
            archive,
        });
        Ok(())
    }

    /// Drops the entries from `since` on.
    pub(super) fn truncate(&mut self, since: u64) {
        let keep = since.saturating_sub(self.first);
        self.slots
            .truncate(usize::try_from(keep).unwrap_or(usize::MAX));
    }

    /// As [`Entries::truncate`], in a replay: `since` may lie in segments that were removed since,
    /// because a purge that is yet to come covers them.
    pub(super) fn replay_truncate(&mut self, since: u64) {
        self.truncate(since);
        if self.purged.is_some_and(|purged| purged.index >= since) {
            // Its term went with the segment; the purge will name the one that counts.
            self.purged = since
                .checked_sub(1)
                .map(|index| LogIdRecord { term: 0, index });
        }
    }

    /// Drops the entries up to `upto`, which may lie beyond the last one.
    pub(super) fn purge(&mut self, upto: LogIdRecord) {
        if self.purged.is_some_and(|purged| purged.index >= upto.index) {
            return;
        }
        let gone = (upto.index + 1).saturating_sub(self.first);
        let gone = usize::try_from(gone)
            .unwrap_or(usize::MAX)
            .min(self.slots.len());
        self.slots.drain(..gone);
        self.first = if self.slots.is_empty() {
            upto.index + 1
        } else {
            // The log may have begun behind what is purged.
            self.first.max(upto.index + 1)
        };
        self.purged = Some(upto);
    }

    /// Whether the log already tells of what was at `index`: by a snapshot, or by an entry.
    pub(super) fn standing(&self, index: u64) -> Standing {
        if self.purged.is_some_and(|purged| index <= purged.index) {
            Standing::Purged
        } else if !self.slots.is_empty() && index < self.end() {
            Standing::Held
        } else {
            Standing::Free
        }
    }

    /// The slots of those entries in `range` that are held.
    pub(super) fn range(&self, range: Range<u64>) -> impl Iterator<Item = &Slot> {
        let at = |index: u64| {
            let offset = index.saturating_sub(self.first);
            usize::try_from(offset)
                .unwrap_or(usize::MAX)
                .min(self.slots.len())
        };
        let (start, end) = (at(range.start), at(range.end));
        self.slots.range(start..end.max(start))
    }

    /// Replaces where an entry's archive lies, if the log still holds that entry.
    pub(super) fn relocate(&mut self, id: LogIdRecord, archive: Bytes) {
        let Some(offset) = id.index.checked_sub(self.first) else {
            return;
        };
        let slot = usize::try_from(offset)
            .ok()
            .and_then(|offset| self.slots.get_mut(offset));
        if let Some(slot) = slot.filter(|slot| slot.term == id.term) {
            slot.archive = archive;
        }
    }

    fn end(&self) -> u64 {
        self.first + u64::try_from(self.slots.len()).unwrap_or(u64::MAX)
    }
}
