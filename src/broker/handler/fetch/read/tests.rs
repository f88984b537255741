//! What is read while the partition moves on.

use std::sync::Arc;

use super::*;
use crate::broker::handler::tests::with_world;
use crate::metadata::{PartitionIndex, TopicId};

/// KAFKA-9807 and KAFKA-9835: the last stable offset was looked at before the high watermark and the records, and what had
/// come in between went to consumers that must not see it.
#[test]
fn gotcha_20_what_an_answer_says_and_the_records_in_it_come_from_one_view() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        world.append().await;
        let id = topic_id(&world.broker.metadata.image());
        let replica = world.broker.replicas.find(id, PartitionIndex::ZERO);
        let replica = replica.unwrap();
        let View::Led(seen) = &*replica.view_owned() else {
            panic!("not led")
        };
        let size = seen.log.size_bytes();
        let ask = PartitionAsk {
            fetch_offset: 0,
            max_bytes: 1 << 20,
            current_leader_epoch: -1,
            last_fetched_epoch: -1,
            log_start_offset: -1,
        };
        world.append().await;
        for is_read_committed in [false, true] {
            let reader = Reader {
                is_follower: false,
                is_read_committed,
                bytes_left: 1 << 20,
                is_one_batch_due: true,
            };
            let read = read_seen(&replica, seen, &ask, reader);
            assert_eq!((read.high_watermark, read.last_stable_offset), (1, 1));
            assert_eq!(read.range.map(|range| range.len()), Some(size));
        }
    });
}

fn topic_id(image: &Arc<crate::metadata::MetadataImage>) -> TopicId {
    image.topics().by_name("t").unwrap().id()
}
