//! One look at a fetch's partitions: what each has for this reader, from one view each.

use ottla_storage::planted::is_planted;
use ottla_storage::{FileRange, LeaderEpoch, Offset, ReadLimits};

use super::{Admitted, Fetch, Follower, Target};
use crate::broker::fetch_session::{PartitionAnswer, PartitionAsk};
use crate::broker::partitions::check_epoch;
use crate::metadata::ImageVersion;
use crate::replica::Replica;
use crate::replica::request::{FollowerFetch, Refusal};
use crate::replica::view::{Led, View};
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::fetch::EpochEndOffset;

/// What a partition has for the reader, in the wire's terms (-1: none).
#[derive(Debug)]
pub struct PartitionRead {
    pub error_code: ErrorCode,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
    pub diverging_epoch: EpochEndOffset,
    pub range: Option<FileRange>,
}

/// Who reads a partition, and how much.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    /// A replica: it gets what is not committed, too.
    pub is_follower: bool,
    /// A consumer that waits for transactions to end.
    pub is_read_committed: bool,
    /// Bytes that the whole answer may still take.
    pub bytes_left: u64,
    /// Whether the first batch comes whole, however long it is.
    pub is_one_batch_due: bool,
}

/// What all partitions have.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) partitions: Vec<PartitionRead>,
    pub(super) bytes: u64,
    /// Some partition has an answer for which waiting brings nothing better.
    is_urgent: bool,
    /// Some partition's log is not open yet.
    pub(super) is_opening: bool,
}

impl Reading {
    /// Whether this is what the client wants to hear now.
    pub(super) fn is_due(&self, fetch: &Fetch) -> bool {
        let is_enough = self.bytes >= fetch.min_bytes || fetch.max_wait.is_zero();
        let is_worth_more = self.waits_to_open(fetch);
        self.is_urgent || self.partitions.is_empty() || (is_enough && !is_worth_more)
    }

    /// Whether the answer is worth more time than the client gives: there is nothing yet for a consumer, and a log
    /// that is being opened may have it.
    ///
    /// Never a follower's: its next fetch acknowledges its other partitions, so `acks=all` waits there.
    pub(super) fn waits_to_open(&self, fetch: &Fetch) -> bool {
        self.is_opening && self.bytes == 0 && fetch.follower.is_none()
    }
}

impl PartitionRead {
    pub(super) fn answer(&self) -> PartitionAnswer {
        PartitionAnswer {
            high_watermark: self.high_watermark,
            log_start_offset: self.log_start_offset,
            has_records: self.range.as_ref().is_some_and(|range| !range.is_empty()),
            has_error: self.error_code.is_error(),
            must_be_named: self.diverging_epoch != EpochEndOffset::default(),
        }
    }

    fn error(error_code: ErrorCode) -> Self {
        Self {
            error_code,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: EpochEndOffset::default(),
            range: None,
        }
    }

    fn of(led: &Led) -> Self {
        Self {
            error_code: ErrorCode::None,
            high_watermark: led.high_watermark().get(),
            last_stable_offset: led.last_stable_offset().get(),
            log_start_offset: led.log.log_start().get(),
            diverging_epoch: EpochEndOffset::default(),
            range: None,
        }
    }
}

/// Reads every partition as it is now, within the request's bytes.
pub(super) fn read(admitted: &Admitted) -> Reading {
    let mut reading = Reading {
        partitions: Vec::with_capacity(admitted.targets.len()),
        bytes: 0,
        is_urgent: false,
        is_opening: false,
    };
    for target in &admitted.targets {
        let found = read_target(target, &admitted.fetch, &mut reading);
        reading.bytes += found.range.as_ref().map_or(0, FileRange::len);
        // Waiting brings no more of a partition whose answer is as full as it gets.
        reading.is_urgent |= found.range.as_ref().is_some_and(FileRange::has_more);
        reading.is_urgent |= found.error_code.is_error() && !is_opening(&found)
            || found.diverging_epoch != EpochEndOffset::default();
        reading.partitions.push(found);
    }
    reading
}

/// The answer to a wait that ends before the log is open: retriable, and not a change of leader.
const OPENING: ErrorCode = ErrorCode::OffsetNotAvailable;

fn is_opening(read: &PartitionRead) -> bool {
    read.error_code == OPENING
}

fn read_target(target: &Target, fetch: &Fetch, reading: &mut Reading) -> PartitionRead {
    let replica = match &target.replica {
        Ok(replica) => replica,
        Err(code) => return PartitionRead::error(*code),
    };
    match &**replica.view() {
        View::Led(led) => {
            let reader = Reader {
                is_follower: fetch.follower.is_some(),
                is_read_committed: fetch.is_read_committed,
                bytes_left: fetch.max_bytes.saturating_sub(reading.bytes),
                // The first records of a response come whole, however long their batch is.
                is_one_batch_due: reading.bytes == 0,
            };
            read_seen(replica, led, &target.ask, reader)
        }
        View::Refused(refusal) => PartitionRead::error(Refusal::into(*refusal)),
        View::Followed(_) => PartitionRead::error(ErrorCode::NotLeaderOrFollower),
        View::Closed => {
            replica.ask_open();
            reading.is_opening = true;
            PartitionRead::error(OPENING)
        }
    }
}

/// What a partition that was seen to be led has for a reader.
fn read_seen(replica: &Replica, seen: &Led, ask: &PartitionAsk, reader: Reader) -> PartitionRead {
    let mut read = read_led(seen, ask, reader).unwrap_or_else(PartitionRead::error);
    if is_planted("one-view-answers-a-fetch")
        && let View::Led(later) = &**replica.view()
    {
        let later = read_led(later, ask, reader).ok();
        read.range = later.and_then(|later| later.range);
    }
    read
}

/// What a leader has for a reader. Everything in the answer comes from this one view: what it says of the offsets belongs
/// to the records in it.
///
/// # Errors
/// The code that the fetch of the partition is answered with.
pub fn read_led(led: &Led, ask: &PartitionAsk, reader: Reader) -> Result<PartitionRead, ErrorCode> {
    check_epoch(led, ask.current_leader_epoch)?;
    let mut read = PartitionRead::of(led);
    let offset = Offset::from_wire(ask.fetch_offset).ok_or(ErrorCode::OffsetOutOfRange)?;
    if offset < led.log.log_start() {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    if let Some(diverging_epoch) = divergence(led, offset, ask.last_fetched_epoch)? {
        return Ok(PartitionRead {
            diverging_epoch,
            ..read
        });
    }
    let limits = ReadLimits {
        bytes_max: u64::try_from(ask.max_bytes)
            .unwrap_or(0)
            .min(reader.bytes_left),
        upper_bound: if reader.is_follower {
            led.log.log_end()
        } else if reader.is_read_committed {
            led.last_stable_offset()
        } else {
            led.high_watermark()
        },
        is_one_batch_due: reader.is_one_batch_due,
    };
    let range = led.log.read(offset, limits).map_err(|error| {
        let code = ErrorCode::from(&error);
        if code != ErrorCode::OffsetOutOfRange {
            let error = &error as &dyn std::error::Error;
            tracing::error!(offset = offset.get(), error, "could not read a log");
        }
        code
    })?;
    read.range = Some(range);
    Ok(read)
}

/// Tells the leaders how far the follower is, by where it goes on: once per fetch, before it is read.
///
/// A fetch that asks for what the leader does not have, or whose log parts from the leader's, shows nothing.
pub(super) fn note_progress(admitted: &Admitted) {
    let Some(follower) = admitted.fetch.follower else {
        return;
    };
    for target in &admitted.targets {
        let Ok(replica) = &target.replica else {
            continue;
        };
        let fetched = match &**replica.view() {
            View::Led(led) => {
                let judgement = (target.is_eligible, admitted.judged_by);
                progress_of(led, &target.ask, follower, judgement)
            }
            _ => None,
        };
        if let Some(fetched) = fetched {
            replica.follower_fetched(fetched);
        }
    }
}

/// How far a follower's fetch shows it to be; and whether it may be in sync, by which metadata.
pub fn progress_of(
    led: &Led,
    ask: &PartitionAsk,
    follower: Follower,
    (is_eligible, judged_by): (bool, ImageVersion),
) -> Option<FollowerFetch> {
    check_epoch(led, ask.current_leader_epoch).ok()?;
    let offset = Offset::from_wire(ask.fetch_offset)?;
    let is_within = (led.log.log_start()..=led.log.log_end()).contains(&offset);
    let is_same_log = divergence(led, offset, ask.last_fetched_epoch)
        .ok()?
        .is_none();
    (is_within && is_same_log).then(|| FollowerFetch {
        follower: follower.id,
        broker_epoch: follower.epoch,
        is_eligible,
        judged_by,
        leader_epoch: led.reign.leader_epoch,
        offset,
        log_start: Offset::from_wire(ask.log_start_offset).unwrap_or_default(),
        leader_end: led.log.log_end(),
    })
}

/// Where the reader's log parts from this one, if it does: it asks with the epoch of what it has.
fn divergence(
    led: &Led,
    offset: Offset,
    last_fetched_epoch: i32,
) -> Result<Option<EpochEndOffset>, ErrorCode> {
    let Some(last) = LeaderEpoch::from_wire(last_fetched_epoch) else {
        return Ok(None);
    };
    let found = led
        .log
        .end_offset_for(last)
        .ok_or(ErrorCode::OffsetOutOfRange)?;
    let (epoch, end) = (found.epoch, found.end);
    let is_diverging = epoch < last || end < offset;
    Ok(is_diverging.then(|| EpochEndOffset {
        epoch: epoch.get(),
        end_offset: end.get(),
    }))
}

#[cfg(test)]
mod tests;
