//! Tells the controller in which directories this broker's replicas lie, wherever the metadata say otherwise.
//!
//! - One request is on its way at a time; what comes into doubt meanwhile goes with the next one.
//! - A report stands until the metadata show it, and is sent again until the controller has taken it.
//! - What no metadata know of any more is dropped: it would be refused for ever, and what can be told would wait behind it
//!   (KAFKA-17190).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ottla_storage::DirectoryId;
use ottla_storage::planted::is_planted;

use super::Broker;
use super::controller_channel::ControllerChannel;
use crate::metadata::{
    BrokerEpoch, BrokerId, ImageVersion, MetadataImage, PartitionIndex, TopicId,
};
use crate::replica::ReplicaKey;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::ControllerRequest;
use crate::wire::messages::assign_replicas_to_dirs::{
    AssignReplicasToDirsRequest, AssignReplicasToDirsResponse, RequestedDirectoryData,
    RequestedPartitionData, RequestedTopicData,
};
use crate::wire::reader::Reader;

/// Before what was not taken is sent again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// How long one request looks for the controller and waits for it.
const CALL_WITHIN: Duration = Duration::from_secs(5);
/// Partitions in one request: the controller decides all of them in one entry.
const BATCH_MAX: usize = 2_000;

/// Tells the controller until nobody holds the broker any more.
pub async fn run(broker: Arc<Broker>, channel: ControllerChannel) {
    let mut versions = broker.metadata.versions();
    let mut reports = Reports::default();
    loop {
        versions.mark_unchanged();
        for key in broker.replicas.in_doubt().take() {
            if let Some(directory) = broker.replicas.lies_in(key) {
                reports.add(key, directory);
            }
        }
        let image = broker.metadata.image();
        reports.forget_what_is_over(&image, broker.id);
        let due = reports.due(&image, BATCH_MAX);
        if due.is_empty() {
            tokio::select! {
                () = broker.replicas.in_doubt().noted() => {}
                changed = versions.changed() => if changed.is_err() {
                    return;
                },
            }
            continue;
        }
        if !send(&broker, &channel, &mut reports, due).await {
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}

/// What the controller is to hear, by replica: the latest of each.
#[derive(Debug, Default)]
struct Reports(BTreeMap<ReplicaKey, Report>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Report {
    directory: DirectoryId,
    /// The metadata that should show it: the controller has taken it.
    taken_at: Option<ImageVersion>,
}

impl Reports {
    fn add(&mut self, key: ReplicaKey, directory: DirectoryId) {
        let report = Report {
            directory,
            taken_at: None,
        };
        self.0.insert(key, report);
    }

    /// The metadata show it, or know nothing of the replica any more.
    fn forget_what_is_over(&mut self, image: &MetadataImage, me: BrokerId) {
        self.0.retain(|key, report| {
            let topic = image.topics().by_id(key.topic);
            let partition = topic.and_then(|topic| topic.partition(key.partition));
            match partition.and_then(|partition| partition.directory_of(me)) {
                Some(shown) => shown != report.directory,
                None => is_planted("unknown-topics-are-dropped"),
            }
        });
    }

    /// What the controller has not taken, or has and yet the metadata don't show it by now; at most so many.
    fn due(&self, image: &MetadataImage, count_max: usize) -> Vec<(ReplicaKey, DirectoryId)> {
        let is_due = |report: &Report| {
            report
                .taken_at
                .is_none_or(|version| version <= image.version())
        };
        let due = self.0.iter().filter(|(_, report)| is_due(report));
        due.map(|(key, report)| (*key, report.directory))
            .take(count_max)
            .collect()
    }

    /// What the controller said of one report.
    fn answered(&mut self, key: ReplicaKey, sent: DirectoryId, error: ErrorCode, at: ImageVersion) {
        match (error, self.0.get_mut(&key)) {
            (ErrorCode::None, Some(report)) if report.directory == sent => {
                report.taken_at = Some(at);
            }
            (ErrorCode::InvalidRequest, Some(report)) if report.directory == sent => {
                // Another try ends in the same way.
                tracing::warn!(?key, directory = %sent, "the controller does not take the directory of a replica");
                self.0.remove(&key);
            }
            // The topic went, or the controller is busy: the metadata will tell, or the next try.
            _ => {}
        }
    }
}

/// Sends what is due and takes in what the controller says. `false`: something has to be sent again.
async fn send(
    broker: &Broker,
    channel: &ControllerChannel,
    reports: &mut Reports,
    due: Vec<(ReplicaKey, DirectoryId)>,
) -> bool {
    let Some(epoch) = broker.epoch() else {
        return false;
    };
    let request = request(broker.id, epoch, &due);
    let (body, at) = match channel.ask(&request, CALL_WITHIN).await {
        Ok(answered) => (answered.body, answered.version),
        Err(error) => {
            tracing::debug!(%error, "directories of replicas were not answered");
            return false;
        }
    };
    let version = AssignReplicasToDirsRequest::API.served().max;
    let response = AssignReplicasToDirsResponse::decode(&mut Reader::new(&body), version);
    let response = match response {
        Ok(response) if response.error_code == ErrorCode::None => response,
        Ok(response) => {
            let reason = response.error_code.message();
            tracing::debug!(reason, "directories of replicas were refused");
            return false;
        }
        Err(error) => {
            tracing::warn!(%error, "the answer to directories of replicas can't be read");
            return false;
        }
    };
    let mut results = by_replica(response);
    let mut is_all = true;
    for (key, directory) in due {
        let error = results
            .remove(&key)
            .unwrap_or(ErrorCode::UnknownServerError);
        is_all &= error == ErrorCode::None;
        reports.answered(key, directory, error, at);
    }
    is_all
}

fn request(
    broker: BrokerId,
    epoch: BrokerEpoch,
    due: &[(ReplicaKey, DirectoryId)],
) -> AssignReplicasToDirsRequest {
    let mut directories: BTreeMap<DirectoryId, BTreeMap<TopicId, Vec<i32>>> = BTreeMap::new();
    for (key, directory) in due {
        let topics = directories.entry(*directory).or_default();
        let partitions = topics.entry(key.topic).or_default();
        partitions.push(key.partition.get());
    }
    let topic = |(topic, partitions): (TopicId, Vec<i32>)| RequestedTopicData {
        topic_id: topic.uuid(),
        partitions: partitions
            .into_iter()
            .map(|partition_index| RequestedPartitionData { partition_index })
            .collect(),
    };
    let directories = directories.into_iter();
    AssignReplicasToDirsRequest {
        broker_id: broker.get(),
        broker_epoch: epoch.get(),
        directories: directories
            .map(|(id, topics)| RequestedDirectoryData {
                id: id.uuid(),
                topics: topics.into_iter().map(topic).collect(),
            })
            .collect(),
    }
}

fn by_replica(response: AssignReplicasToDirsResponse) -> BTreeMap<ReplicaKey, ErrorCode> {
    let topics = response.directories.into_iter().flat_map(|dir| dir.topics);
    let partitions = topics.flat_map(|topic| {
        let id = TopicId::new(topic.topic_id);
        topic.partitions.into_iter().filter_map(move |one| {
            let partition = PartitionIndex::from_wire(one.partition_index)?;
            let topic = id;
            Some((ReplicaKey { topic, partition }, one.error_code))
        })
    });
    partitions.collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::metadata::record::{Entry, PartitionState, Record};

    fn me() -> BrokerId {
        BrokerId::from_wire(1).unwrap()
    }

    fn key(topic: u128, partition: i32) -> ReplicaKey {
        ReplicaKey {
            topic: TopicId::new(Uuid::from_u128(topic)),
            partition: PartitionIndex::from_wire(partition).unwrap(),
        }
    }

    fn directory(id: u128) -> DirectoryId {
        DirectoryId::new(Uuid::from_u128(id))
    }

    /// Two partitions of a topic with this id, which this broker has in directory 7000.
    fn image(topic: u128) -> MetadataImage {
        let id = TopicId::new(Uuid::from_u128(topic)).to_bytes();
        let named = Record::Topic {
            id,
            name: "t".to_owned(),
        };
        let partition = |partition| Record::Partition {
            topic: id,
            partition,
            state: PartitionState {
                replicas: vec![1],
                directories: vec![directory(7000).uuid().into_bytes()],
                leader: 1,
                isr: vec![1],
                elr: Vec::new(),
                last_known_elr: Vec::new(),
                adding: Vec::new(),
                removing: Vec::new(),
                leader_epoch: 0,
                partition_epoch: 0,
                recovering: false,
            },
        };
        let entry = Entry {
            decided_on: 0,
            records: vec![named, partition(0), partition(1)],
        };
        let outcome = MetadataImage::default().apply(&entry);
        assert_eq!(outcome.rejection, None);
        outcome.image
    }

    fn due(reports: &mut Reports, image: &MetadataImage) -> Vec<ReplicaKey> {
        reports.forget_what_is_over(image, me());
        let due = reports.due(image, 2).into_iter();
        due.map(|(key, _)| key).collect()
    }

    #[test]
    fn a_report_stands_until_the_metadata_show_it() {
        let image = image(500);
        let mut reports = Reports::default();
        reports.add(key(500, 0), directory(7000));
        assert!(due(&mut reports, &image).is_empty() && reports.0.is_empty());
        reports.add(key(500, 0), directory(8000));
        assert_eq!(due(&mut reports, &image), [key(500, 0)]);
        // Not taken: again.
        let now = image.version();
        let busy = ErrorCode::OperationNotAttempted;
        reports.answered(key(500, 0), directory(8000), busy, now);
        assert_eq!(due(&mut reports, &image), [key(500, 0)]);
        // Taken: the metadata are waited for, and if they come without it, again.
        reports.answered(key(500, 0), directory(8000), ErrorCode::None, now.next());
        assert!(due(&mut reports, &image).is_empty());
        reports.answered(key(500, 0), directory(8000), ErrorCode::None, now);
        assert_eq!(due(&mut reports, &image), [key(500, 0)]);
        // What was taken is not what is to be told by now.
        reports.add(key(500, 0), directory(9000));
        reports.answered(key(500, 0), directory(8000), ErrorCode::None, now.next());
        assert_eq!(due(&mut reports, &image), [key(500, 0)]);
    }

    /// KAFKA-17190: topics that were deleted while their replicas were being placed were told of again and again, and the
    /// placement of all others waited behind them.
    #[test]
    fn gotcha_37_a_deleted_topic_holds_up_no_other_replica() {
        let image = image(500);
        let mut reports = Reports::default();
        for partition in 0..4 {
            reports.add(key(400, partition), directory(8000));
        }
        reports.add(key(500, 1), directory(8000));
        // What the controller would say to each attempt.
        for _ in 0..3 {
            for gone in due(&mut reports, &image) {
                let unknown = ErrorCode::UnknownTopicId;
                if gone.topic == key(400, 0).topic {
                    reports.answered(gone, directory(8000), unknown, image.version());
                }
            }
        }
        assert_eq!(due(&mut reports, &image), [key(500, 1)]);
    }

    #[test]
    fn a_request_goes_by_directory_and_topic_and_its_answer_is_read_back() {
        let due = [
            (key(500, 0), directory(7000)),
            (key(500, 1), directory(8000)),
            (key(600, 0), directory(7000)),
        ];
        let request = request(me(), BrokerEpoch::from_wire(7).unwrap(), &due);
        let counts: Vec<_> = request
            .directories
            .iter()
            .map(|dir| (dir.id.as_u128(), dir.topics.len()))
            .collect();
        assert_eq!(counts, [(7000, 2), (8000, 1)]);
        assert_eq!((request.broker_id, request.broker_epoch), (1, 7));
    }
}
