//! Appending as a follower: offsets and epochs are taken as the leader gave them.
//!
//! - What a leader accepted is never refused: only what would break the log is (CRC, order, epochs).
//! - Rolls fall between batches, so a fetched set larger than a segment is no problem.
//! - What was appended before a bad batch stays: the next fetch goes on behind it.

use std::io::IoSlice;

use super::PartitionLog;
use super::append::{PrepareError, WriteError};
use super::roll::Incoming;
use super::truncate::TruncateError;
use crate::batch::{BatchError, BatchHeader, BatchView, Batches, CheckError, LogOrder};
use crate::ids::{LeaderEpoch, Offset};
use crate::producer_state::AppendOrigin;
use crate::time::WallMillis;

/// Bytes written at once, so that one partition does not keep a core from the others for long.
const RUN_BYTES_MAX: usize = 1 << 20;

/// What a fetched set did to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowerAppend {
    /// The log end after it: the next fetch offset.
    pub log_end: Offset,
    /// The epoch of the log's last batch: the next fetch's last fetched epoch.
    pub last_epoch: Option<LeaderEpoch>,
    /// Bytes appended; a batch cut off at the end of the set is not counted.
    pub bytes: u64,
}

/// Why a fetched set was not appended to its end. Whole batches before the fault are in the log.
#[derive(Debug, thiserror::Error)]
pub enum FollowerAppendError {
    /// The log does not accept appends; see which of the causes may be retried.
    #[error(transparent)]
    NotWritable(#[from] PrepareError),
    /// The bytes are no batch: fetch again.
    #[error("after offset {log_end}")]
    Batch {
        /// The log end so far.
        log_end: Offset,
        /// What is wrong.
        source: BatchError,
    },
    /// The batch would break the log: fetch again.
    #[error("after offset {log_end}")]
    Check {
        /// The log end so far.
        log_end: Offset,
        /// What is wrong.
        source: CheckError,
    },
    /// The file system failed.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The log could not begin anew at a batch that its end lies inside of.
    #[error(transparent)]
    Restart(#[from] TruncateError),
}

/// Checked batches that lie one after the other in the fetched set and go into one segment.
#[derive(Debug, Default)]
struct Run {
    headers: Vec<BatchHeader>,
    bytes: usize,
}

impl PartitionLog {
    /// Appends whole batches as a leader sent them. A batch cut off at the end is ignored.
    ///
    /// If the log is empty and the first batch begins below the log end (the leader's log start lies inside of it),
    /// the log takes it as its first; it still begins where it began. Its segment has to begin with the batch, so the first try
    /// may fail with [`PrepareError::Truncating`]; the log end stays, and the next fetch brings the batch again.
    ///
    /// # Errors
    /// [`FollowerAppendError`]; what was appended before the fault is visible in the view.
    pub fn append_as_follower(
        &mut self,
        records: &[u8],
        now: WallMillis,
    ) -> Result<FollowerAppend, FollowerAppendError> {
        self.check_writable(AppendOrigin::Client)?;
        let first = self.make_room_for_straddling(records, now)?;
        let mut appended = 0;
        let mut rest = records;
        loop {
            let end = if appended == 0 {
                first
            } else {
                self.bounds.log_end
            };
            let (run, fault) = self.next_run(rest, end, now);
            if run.headers.is_empty() {
                match fault {
                    // The next batch is good but belongs to a new segment. An empty one that begins at the log's end is
                    // as new as any.
                    None if self.active.size > 0 && self.is_roll_pending(rest, now) => {
                        if self.is_backlogged() {
                            return Err(PrepareError::Backlogged.into());
                        }
                        self.roll(now);
                        continue;
                    }
                    None => break,
                    Some(fault) => return Err(fault),
                }
            }
            let (bytes, after) = rest.split_at_checked(run.bytes).unwrap_or((rest, &[]));
            self.append_run(bytes, &run)?;
            appended += run.bytes as u64;
            rest = after;
        }
        Ok(FollowerAppend {
            log_end: self.bounds.log_end,
            last_epoch: self.epochs.latest().map(|latest| latest.epoch),
            bytes: appended,
        })
    }

    /// The checked batches at the front of `records` that fit the active segment, and what stopped them if it is a
    /// fault.
    fn next_run(
        &self,
        records: &[u8],
        end: Offset,
        now: WallMillis,
    ) -> (Run, Option<FollowerAppendError>) {
        let mut run = Run::default();
        let mut order = LogOrder::new(end, self.epochs.latest().map(|latest| latest.epoch));
        for batch in Batches::new(records) {
            let log_end = order.next_offset();
            let batch = match batch {
                Ok(batch) => batch,
                Err(source) if source.is_truncation() => break,
                Err(source) => return (run, Some(FollowerAppendError::Batch { log_end, source })),
            };
            let incoming = Incoming::of(batch.header(), batch.header().base_offset());
            let is_full = run.bytes > 0 && run.bytes + batch.header().size() > RUN_BYTES_MAX;
            if is_full || self.is_roll_due(incoming, run.bytes as u64, now) {
                break;
            }
            if let Err(source) = order.check(&batch) {
                return (run, Some(FollowerAppendError::Check { log_end, source }));
            }
            run.bytes += batch.header().size();
            run.headers.push(*batch.header());
        }
        (run, None)
    }

    fn is_roll_pending(&self, records: &[u8], now: WallMillis) -> bool {
        BatchView::parse(records).is_ok_and(|batch| {
            self.is_roll_due(
                Incoming::of(batch.header(), batch.header().base_offset()),
                0,
                now,
            )
        })
    }

    fn append_run(&mut self, bytes: &[u8], run: &Run) -> Result<(), FollowerAppendError> {
        let first_offset = self.bounds.log_end;
        let tail = self.active.size;
        self.write_slices(&mut [IoSlice::new(bytes)])?;
        for header in &run.headers {
            self.take_in(header);
        }
        self.active.tail = run
            .headers
            .first()
            .map(|header| (header.base_offset(), tail));
        for batch in Batches::new(bytes).flatten() {
            if let Err(error) = self.producers.replay(&batch) {
                // The leader accepted it, so it is in the log; a marker that can not be read ends no transaction.
                tracing::error!(log = %self.shared.key, %error, "producer state of a follower");
            }
        }
        self.finish_commit(first_offset, bytes.len() as u64);
        Ok(())
    }

    /// Where the next batch has to begin: at the log's end, or where the first batch of an empty log does that holds it.
    fn make_room_for_straddling(
        &mut self,
        records: &[u8],
        now: WallMillis,
    ) -> Result<Offset, FollowerAppendError> {
        let end = self.bounds.log_end;
        let Ok(batch) = BatchView::parse(records) else {
            return Ok(end);
        };
        let header = batch.header();
        let base = header.base_offset();
        let is_empty = self.bounds.log_start == end;
        let does_straddle = base < end && end <= header.last_offset();
        if !is_empty || !does_straddle || !batch.is_crc_valid() {
            return Ok(end);
        }
        let active = self.segments.last().map(|active| active.base());
        if self.active.size > 0 || active != Some(base) {
            self.begin_anew(base, end, now)?;
            self.check_writable(AppendOrigin::Client)?;
        }
        Ok(base)
    }
}
