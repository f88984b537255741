//! Offsets asked of the partitions' leaders: where logs start and end, and what stands at a time.

use std::collections::BTreeMap;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::wire::error_code::ErrorCode;
use crate::wire::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};

use super::{Client, ClientError, Link, RETRY_BACKOFF, Topics};

/// Which records count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Isolation {
    /// All records below the high watermark
    #[default]
    ReadUncommitted,
    /// Only records outside of transactions and of committed ones
    ReadCommitted,
}

impl Isolation {
    pub(crate) fn code(self) -> i8 {
        match self {
            Self::ReadUncommitted => 0,
            Self::ReadCommitted => 1,
        }
    }
}

/// What to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Earliest,
    Latest,
    /// The record with the largest timestamp.
    MaxTimestamp,
    /// The first record at or after this time.
    TimestampMs(i64),
}

impl At {
    fn code(self) -> i64 {
        match self {
            Self::Latest => -1,
            Self::Earliest => -2,
            Self::MaxTimestamp => -3,
            Self::TimestampMs(ms) => ms,
        }
    }
}

/// One partition's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// None when no record is that late.
    pub(crate) offset: Option<i64>,
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) leader_epoch: Option<i32>,
}

/// By topic name and partition; no offset when no record is that late.
pub(crate) type ListedOffsets = BTreeMap<(String, i32), Option<i64>>;

type Partitions = Vec<(String, i32)>;
type Answers = BTreeMap<(String, i32), Result<Found, ErrorCode>>;

/// What the leaders said when each was asked once.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) answers: Answers,
    /// Why the answers lack partitions: the first leader's trouble, or that nobody knows the leaders.
    pub(crate) failure: Option<ClientError>,
}

impl Client {
    /// Asks the leaders. Errors that pass are tried again until the timeout; what remains is
    /// reported per partition.
    pub(crate) async fn offsets(
        &mut self,
        partitions: &[(String, i32)],
        at: At,
        isolation: Isolation,
    ) -> Result<Answers, ClientError> {
        let deadline = Instant::now() + self.timeout();
        let mut answers = Answers::new();
        let mut open: Partitions = partitions.to_vec();
        loop {
            let asked = self.offsets_now(&open, at, isolation).await;
            answers.extend(asked.answers);
            open.retain(|partition| match answers.get(partition) {
                Some(Ok(_)) => false,
                Some(Err(code)) => code.is_retriable(),
                None => true,
            });
            let is_over = Instant::now() >= deadline;
            match asked.failure {
                Some(error) if is_over || !error.is_transient() => return Err(error),
                None if is_over || open.is_empty() => return Ok(answers),
                _ => sleep(RETRY_BACKOFF).await,
            }
        }
    }

    /// As `offsets`, for who cannot go on without one of them: what remains of errors is one.
    pub(crate) async fn all_offsets(
        &mut self,
        partitions: &[(String, i32)],
        at: At,
        isolation: Isolation,
    ) -> Result<ListedOffsets, ClientError> {
        let answers = self.offsets(partitions, at, isolation).await?;
        let answers = answers.into_iter();
        let offsets = answers.map(|((topic, partition), found)| match found {
            Ok(found) => Ok(((topic, partition), found.offset)),
            Err(code) => Err(ClientError::Partition {
                topic,
                partition,
                code,
            }),
        });
        offsets.collect()
    }

    /// As `offsets`, without a second try: one leader's trouble does not hide what the others say.
    pub(crate) async fn offsets_now(
        &mut self,
        partitions: &[(String, i32)],
        at: At,
        isolation: Isolation,
    ) -> Asked {
        let (by_leader, answers) = match self.by_leader(partitions).await {
            Ok(found) => found,
            Err(error) => {
                return Asked {
                    failure: Some(error),
                    ..Asked::default()
                };
            }
        };
        let mut asked = Asked {
            answers,
            failure: None,
        };
        let timeout_ms = self.timeout_ms();
        let mut asking = JoinSet::new();
        for (leader, group) in by_leader {
            let request = request(&group, at, isolation, timeout_ms);
            let link = self.broker(leader);
            asking.spawn(async move { ask(&*link?, &request, group).await });
        }
        while let Some(done) = asking.join_next().await {
            // A panic in a task is ours: it goes on here.
            match done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())) {
                Ok(found) => asked.answers.extend(found),
                Err(error) => {
                    asked.failure.get_or_insert(error);
                }
            }
        }
        asked
    }

    /// Splits partitions by the broker that leads them; those without one get their error.
    async fn by_leader(
        &mut self,
        partitions: &[(String, i32)],
    ) -> Result<(BTreeMap<i32, Partitions>, Answers), ClientError> {
        let mut names: Vec<String> = partitions.iter().map(|(topic, _)| topic.clone()).collect();
        names.sort_unstable();
        names.dedup();
        let metadata = self
            .metadata(Topics::Named {
                names: &names,
                may_create: false,
            })
            .await?;
        let mut by_leader: BTreeMap<i32, Partitions> = BTreeMap::new();
        let mut answers = Answers::new();
        for (topic, partition) in partitions {
            let key = (topic.clone(), *partition);
            let listed = metadata.topics.get(topic);
            let known = listed.and_then(|listed| listed.partitions.get(partition));
            let refusal = match known.map(|known| known.leader) {
                Some(Some(leader)) => {
                    by_leader.entry(leader).or_default().push(key);
                    continue;
                }
                Some(None) => ErrorCode::LeaderNotAvailable,
                None => listed
                    .map(|listed| listed.error)
                    .filter(|code| code.is_error())
                    .unwrap_or(ErrorCode::UnknownTopicOrPartition),
            };
            answers.insert(key, Err(refusal));
        }
        Ok((by_leader, answers))
    }
}

fn request(
    partitions: &[(String, i32)],
    at: At,
    isolation: Isolation,
    timeout_ms: i32,
) -> ListOffsetsRequest<'static> {
    let mut topics: BTreeMap<&str, Vec<ListOffsetsPartition>> = BTreeMap::new();
    for (topic, partition) in partitions {
        topics.entry(topic).or_default().push(ListOffsetsPartition {
            partition_index: *partition,
            timestamp: at.code(),
            ..ListOffsetsPartition::default()
        });
    }
    ListOffsetsRequest {
        replica_id: -1,
        isolation_level: isolation.code(),
        topics: topics
            .into_iter()
            .map(|(name, partitions)| ListOffsetsTopic {
                name: name.to_owned().into(),
                partitions,
            })
            .collect(),
        timeout_ms,
    }
}

async fn ask(
    link: &Link,
    request: &ListOffsetsRequest<'_>,
    asked: Partitions,
) -> Result<Answers, ClientError> {
    let answer = link.call(request).await?;
    let response = answer.decode()?;
    let mut found = Answers::new();
    for topic in &response.topics {
        for partition in &topic.partitions {
            let outcome = if partition.error_code.is_error() {
                Err(partition.error_code)
            } else {
                Ok(Found {
                    offset: Some(partition.offset).filter(|offset| *offset >= 0),
                    timestamp_ms: Some(partition.timestamp).filter(|ms| *ms >= 0),
                    leader_epoch: Some(partition.leader_epoch).filter(|epoch| *epoch >= 0),
                })
            };
            found.insert((topic.name.to_string(), partition.partition_index), outcome);
        }
    }
    // A broker that leaves a partition out has not answered for it; what was not asked is dropped.
    let of = |key: (String, i32)| {
        let outcome = found.get(&key).copied();
        let outcome = outcome.unwrap_or(Err(ErrorCode::UnknownServerError));
        (key, outcome)
    };
    Ok(asked.into_iter().map(of).collect())
}
