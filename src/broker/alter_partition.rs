//! Carries the ISR proposals of this broker's leaders to the controller, and its answers back.
//!
//! - One request is on its way at a time; what is proposed meanwhile goes with the next one, and of one partition only
//!   the latest proposal counts.
//! - A proposal without a clear answer is sent again unchanged, for as long as the metadata show the state that it was
//!   made on: the epochs in it keep the controller from carrying it out twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ottla_storage::LeaderEpoch;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Broker;
use super::controller_channel::ControllerChannel;
use crate::metadata::{
    BrokerEpoch, BrokerId, MetadataImage, PartitionEpoch, PartitionIndex, TopicId,
};
use crate::replica::ReplicaKey;
use crate::replica::isr_change::{IsrAnswer, IsrProposal};
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::ControllerRequest;
use crate::wire::messages::alter_partition::{
    AlterPartitionRequest, AlterPartitionResponse, BrokerState, PartitionData,
    RequestedPartitionData, RequestedTopicData,
};
use crate::wire::reader::Reader;

/// Before what was not answered is sent again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// How long one request looks for the controller and waits for it.
const CALL_WITHIN: Duration = Duration::from_secs(5);
/// Partitions in one request: the controller decides each, and the next request waits for it.
const BATCH_MAX: usize = 1_000;

/// The proposals that wait for an answer, by partition: the latest of each.
type Waiting = BTreeMap<(TopicId, PartitionIndex), IsrProposal>;

/// Carries proposals until nobody can make one any more.
pub async fn run(
    broker: Arc<Broker>,
    channel: ControllerChannel,
    mut proposals: mpsc::UnboundedReceiver<IsrProposal>,
) {
    let mut waiting = Waiting::new();
    loop {
        if waiting.is_empty() {
            match proposals.recv().await {
                Some(proposal) => keep(&mut waiting, proposal),
                None => return,
            }
        }
        while let Ok(proposal) = proposals.try_recv() {
            keep(&mut waiting, proposal);
        }
        forget_what_is_over(&broker, &mut waiting);
        if waiting.is_empty() {
            continue;
        }
        if !send(&broker, &channel, &mut waiting).await {
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}

fn keep(waiting: &mut Waiting, proposal: IsrProposal) {
    let ReplicaKey { topic, partition } = proposal.key;
    waiting.insert((topic, partition), proposal);
}

/// The metadata have decided: the replica hears of it from there.
fn forget_what_is_over(broker: &Broker, waiting: &mut Waiting) {
    let image = broker.metadata.image();
    waiting.retain(|_, proposal| {
        let stands = stands(&image, broker.id, proposal);
        if !stands {
            broker.replicas.isr_answered(proposal, IsrAnswer::Ambiguous);
        }
        stands
    });
}

/// Whether the controller can still accept it. An image that is behind the replica says nothing.
pub fn stands(image: &MetadataImage, me: BrokerId, proposal: &IsrProposal) -> bool {
    let topic = image.topics().by_id(proposal.key.topic);
    let partition = topic.and_then(|topic| topic.partition(proposal.key.partition));
    partition.is_some_and(|now| {
        now.partition_epoch < proposal.partition_epoch
            || (now.partition_epoch == proposal.partition_epoch
                && now.leader_epoch == proposal.leader_epoch
                && now.leader == Some(me))
    })
}

/// Sends what waits and hands the answers out. `false`: something has to be sent again.
async fn send(broker: &Broker, channel: &ControllerChannel, waiting: &mut Waiting) -> bool {
    let Some(epoch) = broker.epoch() else {
        return false;
    };
    let asked: Vec<_> = waiting.values().take(BATCH_MAX).cloned().collect();
    let request = request(broker.id, epoch, &asked);
    let body = match channel.ask(&request, CALL_WITHIN).await {
        Ok(answered) => {
            // A set was decided over settings that this broker must have by then: one that is too small for a raised
            // minimum must commit nothing under the old one.
            let mut applied = broker.applied.subscribe();
            let is_there = applied.wait_for(|applied| *applied >= answered.version);
            // Asking again is harmless, and the others that wait may be decided without it.
            if !matches!(timeout(CALL_WITHIN, is_there).await, Ok(Ok(_))) {
                return false;
            }
            answered.body
        }
        Err(error) => {
            tracing::debug!(%error, "ISR changes were not answered");
            return false;
        }
    };
    let version = AlterPartitionRequest::API.served().max;
    let response = match AlterPartitionResponse::decode(&mut Reader::new(&body), version) {
        Ok(response) if response.error_code == ErrorCode::None => response,
        Ok(response) => {
            let reason = response.error_code.message();
            tracing::debug!(reason, "ISR changes were refused");
            return false;
        }
        Err(error) => {
            tracing::warn!(%error, "the answer to ISR changes can't be read");
            return false;
        }
    };
    let results = by_partition(response);
    let mut is_all = true;
    for proposal in asked {
        let ReplicaKey { topic, partition } = proposal.key;
        let result = results.get(&(topic, partition));
        let Some(answer) = result.and_then(answer) else {
            is_all = false;
            continue;
        };
        waiting.remove(&(topic, partition));
        broker.replicas.isr_answered(&proposal, answer);
    }
    is_all
}

/// What the controller is asked: every proposal, with the leader under its own registration.
pub fn request(
    broker: BrokerId,
    epoch: BrokerEpoch,
    proposals: &[IsrProposal],
) -> AlterPartitionRequest {
    let mut topics: Vec<RequestedTopicData> = Vec::new();
    for proposal in proposals {
        let topic_id = proposal.key.topic.uuid();
        let members = proposal.isr.iter().map(|(member, known)| BrokerState {
            broker_id: member.get(),
            // A leader does not fetch from itself: it is in sync under its present registration.
            broker_epoch: BrokerEpoch::to_wire(if *member == broker {
                Some(epoch)
            } else {
                *known
            }),
        });
        let one = RequestedPartitionData {
            partition_index: proposal.key.partition.get(),
            leader_epoch: proposal.leader_epoch.get(),
            new_isr: Vec::new(),
            new_isr_with_epochs: members.collect(),
            leader_recovery_state: 0,
            partition_epoch: proposal.partition_epoch.get(),
        };
        // They come by topic.
        match topics.last_mut() {
            Some(last) if last.topic_id == topic_id => last.partitions.push(one),
            _ => topics.push(RequestedTopicData {
                topic_id,
                partitions: vec![one],
            }),
        }
    }
    AlterPartitionRequest {
        broker_id: broker.get(),
        broker_epoch: epoch.get(),
        topics,
    }
}

fn by_partition(
    response: AlterPartitionResponse,
) -> BTreeMap<(TopicId, PartitionIndex), PartitionData> {
    let topics = response.topics.into_iter();
    let partitions = topics.flat_map(|topic| {
        let id = TopicId::new(topic.topic_id);
        let partitions = topic.partitions.into_iter();
        partitions.filter_map(move |one| {
            let partition = PartitionIndex::from_wire(one.partition_index)?;
            Some(((id, partition), one))
        })
    });
    partitions.collect()
}

/// What a result means to the replica; `None`: ask again.
pub fn answer(result: &PartitionData) -> Option<IsrAnswer> {
    match result.error_code {
        ErrorCode::None => {
            let isr = result.isr.iter().copied().map(BrokerId::from_wire);
            Some(IsrAnswer::Accepted {
                leader_epoch: LeaderEpoch::from_wire(result.leader_epoch)?,
                partition_epoch: PartitionEpoch::from_wire(result.partition_epoch)?,
                isr: isr.collect::<Option<_>>()?,
            })
        }
        ErrorCode::IneligibleReplica | ErrorCode::OperationNotAttempted => {
            Some(IsrAnswer::NotApplied)
        }
        ErrorCode::UnknownTopicId
        | ErrorCode::UnknownTopicOrPartition
        | ErrorCode::FencedLeaderEpoch
        | ErrorCode::InvalidUpdateVersion
        | ErrorCode::InvalidRequest
        | ErrorCode::NewLeaderElected => Some(IsrAnswer::Ambiguous),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn id(raw: i32) -> BrokerId {
        BrokerId::from_wire(raw).unwrap()
    }

    fn proposal(topic: u128, partition: i32) -> IsrProposal {
        IsrProposal {
            key: ReplicaKey {
                topic: TopicId::new(Uuid::from_u128(topic)),
                partition: PartitionIndex::from_wire(partition).unwrap(),
            },
            leader_epoch: LeaderEpoch::from_wire(3).unwrap(),
            partition_epoch: PartitionEpoch::from_wire(4).unwrap(),
            isr: vec![(id(1), None), (id(2), BrokerEpoch::from_wire(9))],
        }
    }

    #[test]
    fn a_request_names_every_partition_once_and_the_leader_by_its_own_epoch() {
        let mut waiting = Waiting::new();
        for (topic, partition) in [(200, 1), (100, 0), (200, 0), (100, 0)] {
            keep(&mut waiting, proposal(topic, partition));
        }
        let proposals: Vec<_> = waiting.into_values().collect();
        let epoch = BrokerEpoch::from_wire(7).unwrap();
        let request = request(id(1), epoch, &proposals);
        let counts: Vec<_> = request
            .topics
            .iter()
            .map(|topic| topic.partitions.len())
            .collect();
        assert_eq!(counts, [1, 2]);
        let members = &request.topics[0].partitions[0].new_isr_with_epochs;
        let epochs: Vec<_> = members
            .iter()
            .map(|member| (member.broker_id, member.broker_epoch))
            .collect();
        assert_eq!(epochs, [(1, 7), (2, 9)]);
    }

    #[test]
    fn only_a_clear_answer_ends_a_proposal() {
        let result = |error_code| PartitionData {
            error_code,
            leader_epoch: 3,
            partition_epoch: 5,
            isr: vec![1, 2],
            ..PartitionData::default()
        };
        let accepted = IsrAnswer::Accepted {
            leader_epoch: LeaderEpoch::from_wire(3).unwrap(),
            partition_epoch: PartitionEpoch::from_wire(5).unwrap(),
            isr: vec![id(1), id(2)],
        };
        for (code, expected) in [
            (ErrorCode::None, Some(accepted)),
            (ErrorCode::IneligibleReplica, Some(IsrAnswer::NotApplied)),
            (ErrorCode::InvalidUpdateVersion, Some(IsrAnswer::Ambiguous)),
            (ErrorCode::NewLeaderElected, Some(IsrAnswer::Ambiguous)),
            (ErrorCode::NotController, None),
            (ErrorCode::RequestTimedOut, None),
        ] {
            assert_eq!(answer(&result(code)), expected);
        }
    }
}
