//! Producer ids are given out in blocks, so that a broker asks once for many producers.

use crate::controller::command::{AllocateError, ProducerIdBlock};
use crate::controller::decide::{Decision, brokers};
use crate::metadata::record::Record;
use crate::metadata::{BrokerEpoch, BrokerId, MetadataImage};

/// Ids in a block.
const BLOCK_COUNT: i32 = 1_000;

/// The next block, for the current registration of a broker only.
pub(super) fn allocate(
    image: &MetadataImage,
    broker: BrokerId,
    epoch: BrokerEpoch,
) -> Decision<Result<ProducerIdBlock, AllocateError>> {
    if let Err(error) = brokers::registration(image, broker, epoch) {
        return Decision::last(Vec::new(), Err(error.into()));
    }
    let first = image.next_producer_id();
    let Some(next) = first.checked_add(i64::from(BLOCK_COUNT)) else {
        return Decision::last(Vec::new(), Err(AllocateError::NoneLeft));
    };
    let record = Record::ProducerIds {
        broker: broker.get(),
        broker_epoch: epoch.get(),
        next,
    };
    Decision::last(
        vec![record],
        Ok(ProducerIdBlock {
            first,
            count: BLOCK_COUNT,
        }),
    )
}
