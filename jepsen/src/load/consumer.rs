//! The new protocol: the coordinator assigns, and heartbeats tell each other what has changed.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use ottla::wire::messages::consumer_group_heartbeat::{
    Assignment, ConsumerGroupHeartbeatRequest, RequestedTopicPartitions,
};

use super::member::{Member, Trouble, WITHIN, accepted};

/// What Kafka's consumer asks for by itself.
const REBALANCE_MS: i32 = 300_000;

impl Member {
    /// Says that it is there, and takes over what it is told; when to say so again.
    pub(super) async fn heartbeat_consumer(&mut self) -> Result<Duration, Trouble> {
        let epoch = self.generation.unwrap_or(0);
        let is_full = self.is_news || epoch == 0;
        let owned = RequestedTopicPartitions {
            topic_id: self.shared.topic_id,
            partitions: self.owned.iter().copied().collect(),
        };
        let topic = || vec![Cow::Owned(self.shared.options.topic.clone())];
        let request = ConsumerGroupHeartbeatRequest {
            group_id: Cow::Owned(self.group.clone()),
            member_id: Cow::Owned(self.id.clone()),
            member_epoch: epoch,
            rebalance_timeout_ms: if is_full { REBALANCE_MS } else { -1 },
            subscribed_topic_names: is_full.then(topic),
            topic_partitions: is_full.then(|| {
                let has_some = !owned.partitions.is_empty();
                has_some.then_some(owned).into_iter().collect()
            }),
            ..ConsumerGroupHeartbeatRequest::default()
        };
        let answer = self.link()?.call(&request, WITHIN).await?;
        let response = answer.decode()?;
        accepted("heartbeat", response.error_code)?;
        let told = response.assignment.as_ref().map(partitions);
        // Who says everything is told everything, also what it has already.
        let owned = told.filter(|told| *told != self.owned);
        self.is_news = owned.is_some();
        if self.is_news || response.member_epoch != epoch {
            let owned = owned.unwrap_or_else(|| self.owned.clone());
            self.has(response.member_epoch, owned);
        }
        // What was handed over or taken up is said at once.
        if self.is_news {
            return Ok(Duration::ZERO);
        }
        let millis = u64::try_from(response.heartbeat_interval_ms).unwrap_or_default();
        Ok(Duration::from_millis(millis))
    }
}

fn partitions(assignment: &Assignment) -> BTreeSet<i32> {
    let topics = assignment.topic_partitions.iter();
    topics
        .flat_map(|topic| topic.partitions.iter().copied())
        .collect()
}
