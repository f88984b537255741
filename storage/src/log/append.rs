//! Appending as a leader: prepare, write, commit.
//!
//! - `prepare` changes neither the log nor its producers: what it finds is staged in the group, and later checks in
//!   the same group see it.
//! - `write` is one vectored write of the whole group. If it fails or falls short, the file is cut back to where it
//!   was and the group is dead; nothing of it is visible or remembered.
//! - `commit` cannot fail.

use std::io::{self, IoSlice};
use std::sync::Arc;

use super::roll::Incoming;
use super::{PartitionLog, Phase};
use crate::batch::{BatchError, BatchHeader, BatchMut, BatchView, CheckError, LogOrder};
use crate::directory::{DirectoryFailure, Fault};
use crate::fs::File;
use crate::ids::{LeaderEpoch, Offset};
use crate::producer_state::{
    AppendOrigin, AppendedBatch, ProducerAppend, ProducerError, StagedProducers, Verdict,
};
use crate::time::WallMillis;
use crate::validate::{Arrival, Policy, ValidateError, Validated, validate};

/// A group is written once it has this many bytes, so that others get a turn.
const GROUP_BYTES_MAX: u64 = 1 << 20;

/// One batch that a leader is to append.
#[derive(Debug)]
pub struct LeaderAppend<'a> {
    /// Exactly one batch, in the buffer it arrived in: offsets and epoch are stamped in place.
    pub batch: &'a mut [u8],
    /// What the topic asks of it; not asked of a coordinator's own batches.
    pub policy: &'a Policy,
    /// When it came, and with which request.
    pub arrival: Arrival,
    /// The epoch of this leader.
    pub leader_epoch: LeaderEpoch,
    /// Who sent it.
    pub origin: AppendOrigin,
}

/// What became of a prepared batch. To be answered when its group is committed, not before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prepared {
    /// It is part of the group.
    Append {
        /// Its offsets and its maximum timestamp.
        at: AppendedBatch,
        /// The append time, if that is what its records are timed by.
        log_append_time: Option<WallMillis>,
    },
    /// It is in the log already, or in this group: the producer sent it again.
    Duplicate {
        /// Where the first copy is.
        at: AppendedBatch,
    },
}

/// Why a batch was not prepared. The log, its producers and the group are as before.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The group has no room for it: write and commit the group, begin a new one and prepare again.
    #[error("the group is full")]
    GroupFull,
    /// The files of a truncation are being put in place: try again after `LogEvent::FilesReady`.
    #[error("a truncation is under way")]
    Truncating,
    /// The disk is full: appends are possible again after `DirectoryEvent::SpaceBack`.
    #[error("no space left on the disk")]
    DiskFull,
    /// The disk is so far behind with file work that the log may not roll; try again later.
    #[error("the directory is behind with its file work")]
    Backlogged,
    /// The directory is offline for good.
    #[error(transparent)]
    Offline(Arc<DirectoryFailure>),
    /// A failed write could not be cut back, so the log accepts nothing more.
    #[error("the log's end is not known after a failed write")]
    Failed,
    /// The log has a batch of a later leader (S3).
    #[error("leader epoch {found} after {last}")]
    StaleEpoch {
        /// The epoch in the log.
        last: LeaderEpoch,
        /// The epoch of the append.
        found: LeaderEpoch,
    },
    /// The bytes are no batch.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The batch is larger than a segment may be.
    #[error("a batch of {size} bytes does not fit a segment of {segment_bytes}")]
    LargerThanSegment {
        /// The batch's size.
        size: u64,
        /// `segment.bytes`.
        segment_bytes: u32,
    },
    /// The log is at the highest offset there is.
    #[error("no offsets left")]
    OffsetsExhausted,
    /// A client's batch breaks a rule.
    #[error(transparent)]
    Invalid(#[from] ValidateError),
    /// A coordinator's batch is not whole.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// The producer's epoch or sequence is wrong.
    #[error(transparent)]
    Producer(#[from] ProducerError),
}

/// Why a group was not written. Nothing of it is in the log.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk is full: appends are possible again after `DirectoryEvent::SpaceBack`.
    #[error("no space left on the disk")]
    DiskFull,
    /// The file system failed; the directory is offline.
    #[error("write to segment {base}")]
    Io {
        /// The segment's base offset.
        base: Offset,
        /// What it said.
        source: io::Error,
    },
}

/// Batches that are written together.
#[derive(Debug)]
pub struct AppendGroup<'a> {
    pub(super) entries: Vec<Entry<'a>>,
    pub(super) bytes: u64,
    pub(super) next_offset: Offset,
    staged: StagedProducers,
}

/// A prepared batch.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) bytes: EntryBytes<'a>,
    pub(super) header: BatchHeader,
}

/// The bytes to be written: the sender's buffer, or what validation made of it.
#[derive(Debug)]
pub(super) enum EntryBytes<'a> {
    Borrowed(&'a [u8]),
    Owned(Vec<u8>),
}

impl EntryBytes<'_> {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}

/// What a committed group did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The log end before.
    pub first_offset: Offset,
    /// The log end after.
    pub log_end: Offset,
    /// The bytes appended.
    pub bytes: u64,
}

impl AppendGroup<'_> {
    /// Whether there is nothing to write: a group of duplicates has only answers.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes to be written.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl PartitionLog {
    /// Begins a group at the log end.
    pub fn begin<'a>(&self) -> AppendGroup<'a> {
        AppendGroup {
            entries: Vec::new(),
            bytes: 0,
            next_offset: self.bounds.log_end,
            staged: StagedProducers::new(),
        }
    }

    /// Checks one batch and gives it the next offsets of the group. May begin a new segment for an empty group.
    ///
    /// # Errors
    /// [`PrepareError`]; those that name a condition of the log or disk may be retried.
    pub fn prepare<'a>(
        &mut self,
        group: &mut AppendGroup<'a>,
        append: LeaderAppend<'a>,
    ) -> Result<Prepared, PrepareError> {
        let LeaderAppend {
            batch,
            policy,
            arrival,
            leader_epoch,
            origin,
        } = append;
        let now = arrival.now;
        self.check_writable(origin)?;
        let claimed = *BatchView::parse(batch)?.header();
        self.check_epoch(leader_epoch)?;
        self.check_room(group, &claimed, policy, now)?;
        let valid = match origin {
            AppendOrigin::Client => Some(validate(batch, policy, arrival)?),
            AppendOrigin::Coordinator => {
                LogOrder::new(Offset::ZERO, None).check(&BatchView::parse(batch)?)?;
                None
            }
        };
        let header = valid.as_ref().map_or(claimed, |valid| *valid.header());
        let producer = ProducerAppend::of(&header);
        if let Some(producer) = &producer
            && let Verdict::Duplicate(at) = self.producers.check(&group.staged, producer, origin)?
        {
            return Ok(Prepared::Duplicate { at });
        }
        let base = group.next_offset;
        let incoming = Incoming::of(&header, base);
        let next_offset = incoming
            .last_offset
            .checked_add(1)
            .ok_or(PrepareError::OffsetsExhausted)?;
        if group.entries.is_empty() && self.is_roll_due(incoming, 0, now) {
            if self.is_backlogged() {
                return Err(PrepareError::Backlogged);
            }
            self.roll(now);
        }
        let log_append_time = valid.as_ref().and_then(Validated::append_time);
        let rewritten = valid.and_then(Validated::into_rewritten);
        let (bytes, header) = stamped(batch, rewritten, base, leader_epoch)?;
        let at = AppendedBatch::of(&header);
        if let Some(producer) = &producer {
            group.staged.add(&self.producers, producer, at);
        }
        group.bytes += header.size() as u64;
        group.next_offset = next_offset;
        group.entries.push(Entry { bytes, header });
        Ok(Prepared::Append {
            at,
            log_append_time,
        })
    }

    /// On a full disk a coordinator goes on: the ballast is there for it.
    pub(super) fn check_writable(&mut self, origin: AppendOrigin) -> Result<(), PrepareError> {
        if let Some(failure) = self.shared.directory.failure() {
            return Err(PrepareError::Offline(failure));
        }
        if self.shared.directory.is_full() && origin == AppendOrigin::Client {
            return Err(PrepareError::DiskFull);
        }
        if self.is_ready() {
            return Ok(());
        }
        match self.phase {
            Phase::Failed => Err(PrepareError::Failed),
            _ => Err(PrepareError::Truncating),
        }
    }

    fn check_epoch(&self, found: LeaderEpoch) -> Result<(), PrepareError> {
        match self.epochs.latest() {
            Some(latest) if latest.epoch > found => Err(PrepareError::StaleEpoch {
                last: latest.epoch,
                found,
            }),
            _ => Ok(()),
        }
    }

    /// Refuses what cannot join the group, before anything is changed in the batch's buffer.
    ///
    /// The header may still lie here: then the batch goes to a group of its own, where validation refuses it.
    fn check_room(
        &self,
        group: &AppendGroup<'_>,
        claimed: &BatchHeader,
        policy: &Policy,
        now: WallMillis,
    ) -> Result<(), PrepareError> {
        let size = claimed.size() as u64;
        let segment_bytes = self.config.segment.bytes;
        if size > u64::from(segment_bytes) {
            return Err(PrepareError::LargerThanSegment {
                size,
                segment_bytes,
            });
        }
        if group.entries.is_empty() {
            return Ok(());
        }
        // A batch that validation may rewrite can grow: it does not share a group whose room was counted.
        let incoming = Incoming::of(claimed, group.next_offset);
        let is_full = policy.compression.is_some()
            || group.bytes + size > GROUP_BYTES_MAX
            || self.is_roll_due(incoming, group.bytes, now);
        if is_full {
            Err(PrepareError::GroupFull)
        } else {
            Ok(())
        }
    }

    /// Puts the group's bytes into the page cache at the log end. An empty group needs no write.
    ///
    /// # Errors
    /// [`WriteError`]; the group is dead, the log is unchanged. A full disk may be retried with new groups.
    pub fn write(&mut self, group: &AppendGroup<'_>) -> Result<(), WriteError> {
        match group.entries.as_slice() {
            [] => Ok(()),
            [entry] => self.write_slices(&mut [IoSlice::new(entry.bytes.as_slice())]),
            entries => {
                let mut slices: Vec<_> = entries
                    .iter()
                    .map(|entry| IoSlice::new(entry.bytes.as_slice()))
                    .collect();
                self.write_slices(&mut slices)
            }
        }
    }

    /// Writes at the end of the active segment, all or nothing.
    pub(super) fn write_slices(&mut self, slices: &mut [IoSlice<'_>]) -> Result<(), WriteError> {
        let Some(segment) = self.active_segment().cloned() else {
            return Ok(());
        };
        let base = segment.base();
        let position = self.active.size;
        let result = self.open_for_write(&segment).and_then(|file| {
            segment.mark_unsynced();
            let written = write_slices_at(&*file, slices, position);
            if written.is_err() && file.set_len(position).is_err() {
                // Bytes of unknown extent lie behind the log end: another append could not be told from them.
                self.phase = Phase::Failed;
            }
            written
        });
        result.map_err(|source| {
            // The view counts the write, so that the log can be marked clean again.
            self.publish();
            match Fault::of_call(source) {
                Fault::Full => {
                    self.shared.directory.met_full_disk();
                    WriteError::DiskFull
                }
                Fault::Sync(source) | Fault::Call(source) => {
                    let kind = source.kind();
                    self.shared.directory.fail(source);
                    WriteError::Io {
                        base,
                        source: kind.into(),
                    }
                }
            }
        })
    }

    fn open_for_write(
        &mut self,
        segment: &Arc<crate::segment::Segment>,
    ) -> io::Result<Arc<dyn File>> {
        self.bounds.writes = self.shared.begin_write()?;
        let is_new = segment.opened_file().is_none();
        let file = Arc::clone(segment.file_or_create()?);
        if is_new {
            self.shared.names_changed();
        }
        Ok(file)
    }

    /// Makes a written group part of the log and publishes the view that shows it.
    pub fn commit(&mut self, group: AppendGroup<'_>) -> Committed {
        let first_offset = self.bounds.log_end;
        let bytes = group.bytes;
        if group.entries.is_empty() {
            return Committed {
                first_offset,
                log_end: first_offset,
                bytes,
            };
        }
        for entry in &group.entries {
            self.take_in(&entry.header);
        }
        self.active.tail = group.entries.last().map(|entry| {
            (
                entry.header.base_offset(),
                self.active.size - entry.header.size() as u64,
            )
        });
        self.producers.commit(group.staged, group.next_offset);
        self.finish_commit(first_offset, bytes)
    }

    /// Counts a batch that was written at the end of the active segment.
    pub(super) fn take_in(&mut self, header: &BatchHeader) {
        let position = u32::try_from(self.active.size).unwrap_or(u32::MAX);
        if let Err(error) = self.active.index.observe(header, position) {
            // The segment was rolled in time, so this is a bug; the index is a cache, so the log goes on (S8).
            tracing::error!(log = %self.shared.key, %error, "index of the active segment");
        }
        if self.active.first_timestamp.is_none() && header.max_timestamp() > WallMillis::NONE {
            self.active.first_timestamp = Some(header.max_timestamp());
        }
        if let Some(epoch) = header.leader_epoch() {
            self.learn_epoch(epoch, header.base_offset());
        }
        self.active.size += header.size() as u64;
        self.bounds.log_end = header.next_offset();
    }

    pub(super) fn finish_commit(&mut self, first_offset: Offset, bytes: u64) -> Committed {
        let log_end = self.bounds.log_end;
        self.publish();
        self.request_flush_if_due(log_end.since(first_offset).unwrap_or(0), bytes);
        Committed {
            first_offset,
            log_end,
            bytes,
        }
    }
}

/// Writes all the slices one after the other.
fn write_slices_at(
    file: &dyn File,
    mut slices: &mut [IoSlice<'_>],
    mut position: u64,
) -> io::Result<()> {
    while !slices.is_empty() {
        let written = file.write_at(slices, position)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        position += written as u64;
        IoSlice::advance_slices(&mut slices, written);
    }
    Ok(())
}

/// Stamps offset and epoch into the sender's buffer, or into what validation made of it.
fn stamped(
    batch: &mut [u8],
    rewritten: Option<Vec<u8>>,
    base: Offset,
    epoch: LeaderEpoch,
) -> Result<(EntryBytes<'_>, BatchHeader), BatchError> {
    if let Some(mut bytes) = rewritten {
        let mut batch = BatchMut::parse(&mut bytes)?;
        batch.stamp(base, epoch);
        let header = *batch.header();
        return Ok((EntryBytes::Owned(bytes), header));
    }
    let mut batch = BatchMut::parse(batch)?;
    batch.stamp(base, epoch);
    let header = *batch.header();
    Ok((EntryBytes::Borrowed(batch.into_bytes()), header))
}
