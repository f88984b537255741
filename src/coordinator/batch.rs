//! What a coordinator decided together, as one batch of its log.

use ottla_storage::batch::{
    BatchBuilder, BatchView, BuildError, NewRecord, RecordError, RecordsError,
};
use ottla_storage::time::WallMillis;

use super::codec::{self, CodecError};
use super::group::record::Record;
use crate::wire::writer::EncodeError;

/// A batch of ours is not compressed, and no larger than a segment.
const BATCH_BYTES_MAX: usize = 1 << 30;

/// Why records make no batch: a name or a list of them is longer than the formats have room for.
#[derive(Debug, thiserror::Error)]
pub enum UnwritableError {
    /// A record is too long.
    #[error("a record")]
    Record(#[from] EncodeError),
    /// All of them are.
    #[error("a batch")]
    Batch(#[from] BuildError),
}

/// Why a batch is none of ours.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableError {
    /// Its records can't be told apart.
    #[error("its records")]
    Records(#[from] RecordsError),
    /// A record is malformed.
    #[error("a record")]
    Record(#[from] RecordError),
    /// A record says something else.
    #[error("a record")]
    Codec(#[from] CodecError),
}

/// The records as a batch, which begins at offset 0.
///
/// # Errors
/// They are too long.
pub fn encode(records: &[Record], now: WallMillis) -> Result<Vec<u8>, UnwritableError> {
    let mut batch = BatchBuilder::new();
    for record in records {
        let (key, value) = codec::encode(record)?;
        batch.append(&NewRecord {
            timestamp: now,
            key: Some(&key),
            value: value.as_deref(),
            headers: &[],
        })?;
    }
    Ok(batch.build()?)
}

/// Hands out the records of a batch, in their order.
///
/// # Errors
/// It is none of ours; some of its records may have been handed out.
pub fn replay(
    batch: &BatchView<'_>,
    replay: &mut impl FnMut(Record),
) -> Result<(), UnreadableError> {
    if batch.header().attributes().is_control() {
        return Ok(());
    }
    let records = batch.records(BATCH_BYTES_MAX)?;
    for record in &records {
        let record = record?;
        let Some(key) = record.key else { continue };
        if let Some(record) = codec::decode(key, record.value)? {
            replay(record);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::coordinator::group::record::{ConsumerCurrentValue, Fact};
    use crate::metadata::{PartitionIndex, TopicId};

    /// Told to give a partition up, a member may commit for it with the epoch since which it has had it (KIP-1251), until it
    /// has given it up. The log had that epoch of what stays alone, so that after a move of the coordinator in between the
    /// same commit was refused.
    #[test]
    fn c2_a_member_has_what_it_is_to_give_up_since_the_same_epoch_after_a_move() {
        let topic = TopicId::from_wire([1; 16]).unwrap();
        let index = |index| PartitionIndex::from_wire(index).unwrap();
        let written = Record {
            group: "g".into(),
            fact: Fact::ConsumerCurrent(
                "m".into(),
                Some(ConsumerCurrentValue {
                    epoch: 3,
                    previous_epoch: 2,
                    state: 1,
                    assigned: [(topic, [index(0)].into())].into(),
                    revoking: [(topic, [index(1)].into())].into(),
                    assigned_since: [(topic, BTreeMap::from([(index(0), 2), (index(1), 3)]))]
                        .into(),
                }),
            ),
        };
        let bytes = encode(std::slice::from_ref(&written), WallMillis::ZERO).unwrap();
        let mut read = Vec::new();
        replay(&BatchView::parse(&bytes).unwrap(), &mut |record| {
            read.push(record);
        })
        .unwrap();
        assert_eq!(read, [written]);
    }
}
