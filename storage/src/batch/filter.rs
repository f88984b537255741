//! A batch without some of its records, or without all of them: what compaction leaves.
//!
//! Offsets, sequences, epochs, producer and codec stay what they were. So do the bytes of each record that stays, unless
//! the batch is given a delete horizon: that one takes the place of the base timestamp, which the records count from.

use super::builder::{BuildError, assemble};
use super::compression::{Compression, CompressionLevels};
use super::header::{BatchHeader, TimestampType};
use super::record::RawRecord;
use super::varint::{size_i64, write_i32, write_i64};
use crate::time::WallMillis;

/// The batch of `header` with only the records `kept`, of which there is at least one, and with a new delete horizon if
/// there is to be one.
///
/// # Errors
/// [`BuildError`]: the codec failed, or the batch has become too large.
pub(crate) fn retained(
    header: &BatchHeader,
    kept: &[RawRecord<'_>],
    horizon: Option<WallMillis>,
) -> Result<Vec<u8>, BuildError> {
    let mut out = *header;
    out.record_count = i32::try_from(kept.len()).map_err(|_| BuildError::TooLarge)?;
    if header.attributes.timestamp_type() == TimestampType::CreateTime {
        let latest = kept.iter().map(|raw| raw.record.timestamp).max();
        out.max_timestamp = latest.unwrap_or(WallMillis::NONE).as_millis();
    }
    let mut body = Vec::new();
    if let Some(horizon) = horizon {
        out.attributes = out.attributes.with_delete_horizon(true);
        out.base_timestamp = horizon.as_millis();
        for raw in kept {
            write_counted_from(&mut body, raw, horizon).ok_or(BuildError::TooLarge)?;
        }
    } else {
        for raw in kept {
            let length = i32::try_from(raw.bytes.len()).map_err(|_| BuildError::TooLarge)?;
            write_i32(&mut body, length);
            body.extend_from_slice(raw.bytes);
        }
    }
    // A codec that does not exist was found when the records were opened.
    let codec = header.attributes.compression().unwrap_or_default();
    assemble(out, &body, codec, &CompressionLevels::default())
}

/// The batch of `header` without any record: it still says which offsets and sequences there were, and of whom.
///
/// # Errors
/// None that its fixed size could cause.
pub(crate) fn emptied(header: &BatchHeader) -> Result<Vec<u8>, BuildError> {
    let mut out = *header;
    out.record_count = 0;
    out.base_timestamp = header.max_timestamp;
    out.attributes = out.attributes.with_delete_horizon(false);
    assemble(out, &[], Compression::None, &CompressionLevels::default())
}

/// `None` if the record has become too large.
fn write_counted_from(out: &mut Vec<u8>, raw: &RawRecord<'_>, base: WallMillis) -> Option<()> {
    let (attributes, rest) = raw.around_timestamp()?;
    let at = raw.record.timestamp.as_millis();
    let delta = at.wrapping_sub(base.as_millis());
    let size = 1 + size_i64(delta) + rest.len();
    write_i32(out, i32::try_from(size).ok()?);
    out.extend(attributes.to_be_bytes());
    write_i64(out, delta);
    out.extend_from_slice(rest);
    Some(())
}
