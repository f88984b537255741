//! The walk over a client's records.

use super::error::{RejectReason, RejectedRecord, ValidateError};
use super::{Policy, TimestampType};
use crate::batch::{Record, RecordSet};
use crate::planted::is_planted;
use crate::time::WallMillis;

/// A client learns of the first bad records; a list as long as the batch would let a small request
/// ask for a large answer.
const REJECTED_MAX: usize = 1000;

/// Checks every record and returns the highest timestamp, `NONE` if there is none.
pub(super) fn check(
    set: &RecordSet<'_>,
    policy: &Policy,
    now: WallMillis,
) -> Result<WallMillis, ValidateError> {
    let mut max = WallMillis::NONE;
    let mut rejected = Vec::new();
    let mut is_time_wrong = false;
    for (index, record) in (0_u32..).zip(set) {
        let record = record?;
        max = max.max(record.timestamp);
        let Some(reason) = reject(&record, index, policy, now) else {
            continue;
        };
        is_time_wrong |= matches!(reason, RejectReason::Timestamp { .. });
        if rejected.len() < REJECTED_MAX {
            rejected.push(RejectedRecord { index, reason });
        }
    }
    match rejected {
        records if is_time_wrong => Err(ValidateError::InvalidTimestamps { records }),
        records if !records.is_empty() => Err(ValidateError::InvalidRecords { records }),
        _ => Ok(max),
    }
}

fn reject(
    record: &Record<'_>,
    index: u32,
    policy: &Policy,
    now: WallMillis,
) -> Option<RejectReason> {
    let delta = record.offset_delta;
    if u32::try_from(delta) != Ok(index) {
        return Some(RejectReason::OffsetDelta { delta });
    }
    if policy.is_compacted && record.key.is_none() {
        return Some(RejectReason::NoKey);
    }
    let timestamp = record.timestamp;
    let is_in_range = is_time_in_range(timestamp, policy, now);
    (!is_in_range).then_some(RejectReason::Timestamp { timestamp, now })
}

/// Under `LogAppendTime` the client's clock does not matter; a record without a time has none to
/// be wrong.
pub(super) fn is_time_in_range(timestamp: WallMillis, policy: &Policy, now: WallMillis) -> bool {
    let rules = &policy.timestamps;
    if rules.kind == TimestampType::LogAppendTime || timestamp == WallMillis::NONE {
        return true;
    }
    now.millis_since(timestamp) <= rules.before_ms_max
        && (timestamp.millis_since(now) <= rules.after_ms_max
            || is_planted("no-record-comes-from-the-future"))
}
