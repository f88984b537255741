//! Offsets that a group has committed: asked for and written, by its members and by others.
//!
//! - By topic id where the request has ids for all its topics, else by name: an offset is never
//!   written to a topic of the same name that was created since.
//! - What the coordinator leaves out of its answer counts as refused.

use std::collections::BTreeMap;

use crate::wire::Uuid;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use crate::wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    OffsetFetchResponse,
};

use super::call::Answer;
use super::{Client, ClientError};

/// A topic of a group's member: by name and, to tell it from its successors, by id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GroupTopic {
    pub(crate) name: String,
    /// Nil where only the name is known.
    pub(crate) id: Uuid,
}

/// A partition of a topic that a group reads.
pub(crate) type GroupPartition = (GroupTopic, i32);

/// Who speaks to the coordinator.
#[derive(Clone, Debug)]
pub(crate) struct Speaker {
    pub(crate) group: String,
    /// The member and its epoch; none for one who is no member.
    pub(crate) member: Option<(String, i32)>,
}

/// What a group has committed for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    pub(crate) leader_epoch: Option<i32>,
    pub(crate) metadata: String,
}

/// By topic name and partition: nothing committed, an offset, or why that is not known.
pub(crate) type CommittedOffsets = BTreeMap<(String, i32), Result<Option<Committed>, ErrorCode>>;

/// By topic name and partition: what became of a commit.
pub(crate) type CommitOutcomes = BTreeMap<(String, i32), ErrorCode>;

impl Client {
    /// Everything the group has committed, also for topics that are gone.
    pub(crate) async fn committed(&mut self, group: &str) -> Result<CommittedOffsets, ClientError> {
        let speaker = Speaker {
            group: group.to_owned(),
            member: None,
        };
        let request = fetch_request(&speaker, None);
        let answer = self.call_coordinator(group, &request).await?;
        read_fetched(&answer, &[])
    }

    /// Commits for a group without members.
    pub(crate) async fn commit(
        &mut self,
        group: &str,
        offsets: &BTreeMap<(String, i32), i64>,
    ) -> Result<CommitOutcomes, ClientError> {
        let speaker = Speaker {
            group: group.to_owned(),
            member: None,
        };
        let named = offsets.iter().map(|((name, partition), offset)| {
            let name = name.clone();
            let id = Uuid::nil();
            ((GroupTopic { name, id }, *partition), *offset)
        });
        let named = named.collect();
        let request = commit_request(&speaker, &named);
        let answer = self.call_coordinator(group, &request).await?;
        read_committed(&answer, &named)
    }
}

/// Asks for these partitions, or for all that the group has committed.
pub(crate) fn fetch_request(
    speaker: &Speaker,
    partitions: Option<&[GroupPartition]>,
) -> OffsetFetchRequest<'static> {
    let topics = partitions.map(by_topic);
    let old = topics
        .iter()
        .flatten()
        .map(|(topic, partitions)| OffsetFetchRequestTopic {
            name: topic.name.clone().into(),
            partition_indexes: partitions.clone(),
        });
    let old: Vec<_> = old.collect();
    let new = topics.as_ref().map(|topics| {
        let topics = topics
            .iter()
            .map(|(topic, partitions)| OffsetFetchRequestTopics {
                name: topic.name.clone().into(),
                topic_id: topic.id,
                partition_indexes: partitions.clone(),
            });
        topics.collect()
    });
    let (member_id, member_epoch) = match &speaker.member {
        Some((id, epoch)) => (Some(id.clone().into()), *epoch),
        None => (None, -1),
    };
    OffsetFetchRequest {
        group_id: speaker.group.clone().into(),
        topics: partitions.is_some().then_some(old),
        groups: vec![OffsetFetchRequestGroup {
            group_id: speaker.group.clone().into(),
            member_id,
            member_epoch,
            topics: new,
        }],
        // A transaction that may still commit offsets is waited for by who goes on from them.
        require_stable: speaker.member.is_some(),
    }
}

/// The offsets of an answer; with `asked`, exactly those of these partitions.
pub(crate) fn read_fetched(
    answer: &Answer<OffsetFetchRequest<'static>>,
    asked: &[GroupPartition],
) -> Result<CommittedOffsets, ClientError> {
    let response = answer.decode()?;
    answer.check(response.error_code)?;
    if let Some(group) = response.groups.first() {
        answer.check(group.error_code)?;
    }
    let mut found = flatten(&response, asked);
    for (topic, partition) in asked {
        found
            .entry((topic.name.clone(), *partition))
            .or_insert(Err(ErrorCode::UnknownServerError));
    }
    Ok(found)
}

fn flatten(response: &OffsetFetchResponse<'_>, asked: &[GroupPartition]) -> CommittedOffsets {
    let mut found = CommittedOffsets::new();
    for topic in &response.topics {
        for one in &topic.partitions {
            let outcome = outcome(
                one.error_code,
                one.committed_offset,
                one.committed_leader_epoch,
                one.metadata.as_deref(),
            );
            found.insert((topic.name.to_string(), one.partition_index), outcome);
        }
    }
    let groups = response.groups.iter().take(1);
    for topic in groups.flat_map(|group| &group.topics) {
        let Some(name) = name_of(
            &topic.name,
            topic.topic_id,
            asked.iter().map(|(one, _)| one),
        ) else {
            continue;
        };
        for one in &topic.partitions {
            let outcome = outcome(
                one.error_code,
                one.committed_offset,
                one.committed_leader_epoch,
                one.metadata.as_deref(),
            );
            found.insert((name.to_owned(), one.partition_index), outcome);
        }
    }
    found
}

fn outcome(
    code: ErrorCode,
    offset: i64,
    leader_epoch: i32,
    metadata: Option<&str>,
) -> Result<Option<Committed>, ErrorCode> {
    if code.is_error() {
        return Err(code);
    }
    Ok((offset >= 0).then(|| Committed {
        offset,
        leader_epoch: Some(leader_epoch).filter(|epoch| *epoch >= 0),
        metadata: metadata.unwrap_or_default().to_owned(),
    }))
}

/// Commits these offsets. One who is no member has no generation.
pub(crate) fn commit_request(
    speaker: &Speaker,
    offsets: &BTreeMap<GroupPartition, i64>,
) -> OffsetCommitRequest<'static> {
    let partitions: Vec<_> = offsets.keys().cloned().collect();
    let topics = by_topic(&partitions).into_iter().map(|(topic, indexes)| {
        let partitions = indexes.into_iter().filter_map(|index| {
            let offset = *offsets.get(&(topic.clone(), index))?;
            Some(OffsetCommitRequestPartition {
                partition_index: index,
                committed_offset: offset,
                ..OffsetCommitRequestPartition::default()
            })
        });
        OffsetCommitRequestTopic {
            partitions: partitions.collect(),
            name: topic.name.clone().into(),
            topic_id: topic.id,
        }
    });
    let (member_id, epoch) = match &speaker.member {
        Some((id, epoch)) => (id.clone(), *epoch),
        None => (String::new(), -1),
    };
    OffsetCommitRequest {
        group_id: speaker.group.clone().into(),
        generation_id_or_member_epoch: epoch,
        member_id: member_id.into(),
        topics: topics.collect(),
        ..OffsetCommitRequest::default()
    }
}

pub(crate) fn read_committed(
    answer: &Answer<OffsetCommitRequest<'static>>,
    offsets: &BTreeMap<GroupPartition, i64>,
) -> Result<CommitOutcomes, ClientError> {
    let response = answer.decode()?;
    let of = |((topic, partition), _): (&GroupPartition, &i64)| {
        let answered = response.topics.iter().find(|one| {
            one.name == topic.name || (one.name.is_empty() && one.topic_id == topic.id)
        });
        let partitions = answered.map(|topic| &topic.partitions);
        let one =
            partitions.and_then(|all| all.iter().find(|one| one.partition_index == *partition));
        let code = one.map_or(ErrorCode::UnknownServerError, |one| one.error_code);
        ((topic.name.clone(), *partition), code)
    };
    Ok(offsets.iter().map(of).collect())
}

fn by_topic(partitions: &[GroupPartition]) -> BTreeMap<GroupTopic, Vec<i32>> {
    let mut topics = BTreeMap::<_, Vec<i32>>::new();
    for (topic, partition) in partitions {
        topics.entry(topic.clone()).or_default().push(*partition);
    }
    topics
}

/// The name in an answer, or the name that was asked for under the answer's id.
fn name_of<'a>(
    name: &'a str,
    id: Uuid,
    mut asked: impl Iterator<Item = &'a GroupTopic>,
) -> Option<&'a str> {
    if !name.is_empty() {
        return Some(name);
    }
    asked
        .find(|topic| topic.id == id)
        .map(|topic| topic.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::call::Call;
    use super::*;
    use crate::cli::client::HostPort;
    use crate::wire::api::ApiKey;
    use crate::wire::header::encode_response_header;
    use crate::wire::messages::offset_fetch::{
        OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
        OffsetFetchResponseTopic, OffsetFetchResponseTopics,
    };
    use crate::wire::writer::Writer;

    const ID: Uuid = Uuid::from_u128(7);

    fn speaker() -> Speaker {
        Speaker {
            group: "g".to_owned(),
            member: None,
        }
    }

    fn partition(id: Uuid, index: i32) -> GroupPartition {
        let name = "t".to_owned();
        (GroupTopic { name, id }, index)
    }

    /// The answer of a broker that knows one offset, 5 in partition 0 of the topic.
    fn answer(version: i16) -> Answer<OffsetFetchRequest<'static>> {
        let one = OffsetFetchResponsePartitions {
            committed_offset: 5,
            ..OffsetFetchResponsePartitions::default()
        };
        let old = OffsetFetchResponsePartition {
            committed_offset: 5,
            ..OffsetFetchResponsePartition::default()
        };
        let response = OffsetFetchResponse {
            topics: vec![OffsetFetchResponseTopic {
                name: "t".into(),
                partitions: vec![old],
            }],
            groups: vec![OffsetFetchResponseGroup {
                group_id: "g".into(),
                topics: vec![OffsetFetchResponseTopics {
                    name: "t".into(),
                    topic_id: ID,
                    partitions: vec![one],
                }],
                ..OffsetFetchResponseGroup::default()
            }],
            ..OffsetFetchResponse::default()
        };
        let mut writer = Writer::new();
        encode_response_header(&mut writer, ApiKey::OffsetFetch, version, 1);
        response.encode(&mut writer, version);
        let frame = writer.finish().unwrap().into_bytes().unwrap().to_vec();
        let address: HostPort = "h:1".parse().unwrap();
        Answer::new(address, version, frame)
    }

    /// A topic of the same name that was made since has another id.
    #[test]
    fn who_knows_ids_speaks_of_ids_and_others_of_names() {
        let offsets = |id| BTreeMap::from([(partition(id, 0), 5)]);
        assert_eq!(commit_request(&speaker(), &offsets(ID)).newest(), i16::MAX);
        assert_eq!(
            commit_request(&speaker(), &offsets(Uuid::nil())).newest(),
            9
        );
        let fetch =
            |partitions: Option<&[GroupPartition]>| fetch_request(&speaker(), partitions).newest();
        assert_eq!(fetch(Some(&[partition(ID, 0)])), i16::MAX);
        assert_eq!(fetch(Some(&[partition(Uuid::nil(), 0)])), 9);
        assert_eq!(
            fetch(None),
            9,
            "offsets of topics that are gone have a name only"
        );
    }

    #[test]
    fn every_version_of_an_answer_reads_alike() {
        let asked = [partition(ID, 0), partition(ID, 1)];
        for version in [1, 5, 7, 8, 9, 10] {
            let found = read_fetched(&answer(version), &asked).unwrap();
            let offset = found[&("t".to_owned(), 0)].as_ref().unwrap();
            assert_eq!(offset.as_ref().unwrap().offset, 5, "version {version}");
            let missing = &found[&("t".to_owned(), 1)];
            assert_eq!(*missing, Err(ErrorCode::UnknownServerError));
        }
    }

    #[test]
    fn an_offset_of_another_id_is_not_that_of_the_topic() {
        let asked = [partition(Uuid::from_u128(8), 0)];
        let found = read_fetched(&answer(10), &asked).unwrap();
        assert_eq!(
            found[&("t".to_owned(), 0)],
            Err(ErrorCode::UnknownServerError)
        );
    }
}
