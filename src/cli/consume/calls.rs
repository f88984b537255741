//! What a member asks its coordinator, each as a task of its own, and how refusals are understood.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cli::client::{
    Answer, At, Client, ClientError, CommitOutcomes, Coordinator, GroupPartition, Isolation, Link,
    Speaker, commit_request, fetch_request, is_elsewhere, read_committed, read_fetched,
};
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;

/// How a call of a member ended.
pub(super) enum Done {
    /// With the client that knows the coordinator now.
    Found(Result<(Client, Coordinator), ClientError>),
    Heartbeat(Result<Answer<ConsumerGroupHeartbeatRequest<'static>>, ClientError>),
    Commit(Offsets, Result<CommitOutcomes, ClientError>),
    Places(Result<Vec<Place>, PlaceError>),
}

/// What is to be committed: the next offset to read, per partition.
pub(super) type Offsets = BTreeMap<GroupPartition, i64>;

/// Where a partition is read from.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) partition: GroupPartition,
    pub(super) position: i64,
    /// The group has committed this; else it was chosen by the command line.
    pub(super) is_committed: bool,
    pub(super) until: Option<i64>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("{topic}-{partition}: {} ({})", code.message(), code.name())]
    Partition {
        topic: String,
        partition: i32,
        code: ErrorCode,
    },
}

/// What to do about a refusal of the coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Look for the coordinator, and ask again.
    Elsewhere,
    /// The group knows no such member of this epoch.
    Fenced,
    /// Ask again.
    Later,
    /// The topic is gone: there is nothing to ask.
    Gone,
    Final,
}

pub(super) fn verdict(code: ErrorCode) -> Verdict {
    match code {
        code if is_elsewhere(code) => Verdict::Elsewhere,
        ErrorCode::UnknownMemberId | ErrorCode::FencedMemberEpoch => Verdict::Fenced,
        ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId => Verdict::Gone,
        // The answer to a heartbeat that is on its way brings the new epoch.
        ErrorCode::StaleMemberEpoch => Verdict::Later,
        code if code.is_retriable() => Verdict::Later,
        _ => Verdict::Final,
    }
}

impl PlaceError {
    pub(super) fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Client(ClientError::Refused { code, .. }) | Self::Partition { code, .. } => {
                Some(*code)
            }
            Self::Client(_) => None,
        }
    }

    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Client(error) if error.is_transient())
    }
}

pub(super) async fn find(mut client: Client, group: String) -> Done {
    let found = client.find_coordinator(&group).await;
    Done::Found(found.map(|coordinator| (client, coordinator)))
}

pub(super) async fn beat(link: Arc<Link>, request: ConsumerGroupHeartbeatRequest<'static>) -> Done {
    Done::Heartbeat(link.call(&request).await)
}

pub(super) async fn commit(link: Arc<Link>, speaker: Speaker, offsets: Offsets) -> Done {
    let request = commit_request(&speaker, &offsets);
    let outcomes = match link.call(&request).await {
        Ok(answer) => read_committed(&answer, &offsets),
        Err(error) => Err(error),
    };
    Done::Commit(offsets, outcomes)
}

/// What places are asked with.
pub(super) struct Asking {
    pub(super) client: Client,
    pub(super) link: Arc<Link>,
    pub(super) speaker: Speaker,
    /// Where to start without a committed offset.
    pub(super) reset: At,
    pub(super) isolation: Isolation,
    pub(super) is_bounded: bool,
}

/// Where the group goes on in these partitions.
pub(super) async fn places(asking: Asking, partitions: Vec<GroupPartition>) -> Done {
    Done::Places(asking.places(partitions).await)
}

impl Asking {
    async fn places(mut self, partitions: Vec<GroupPartition>) -> Result<Vec<Place>, PlaceError> {
        let request = fetch_request(&self.speaker, Some(&partitions));
        let answer = self.link.call(&request).await?;
        let committed = read_fetched(&answer, &partitions)?;
        let key = |(topic, index): &GroupPartition| (topic.name.clone(), *index);
        let mut known = BTreeMap::new();
        for (partition, found) in committed {
            let found = found.map_err(|code| refused(&partition, code))?;
            known.insert(partition, found.map(|committed| committed.offset));
        }
        let new = partitions.iter().map(key);
        let new: Vec<_> = new
            .filter(|key| known.get(key).copied().flatten().is_none())
            .collect();
        let resets = self.ask(&new, self.reset).await?;
        let ends = if self.is_bounded {
            let all: Vec<_> = partitions.iter().map(key).collect();
            self.ask(&all, At::Latest).await?
        } else {
            BTreeMap::new()
        };
        let places = partitions.into_iter().map(|partition| {
            let key = key(&partition);
            let committed = known.get(&key).copied().flatten();
            let reset = resets.get(&key).copied().unwrap_or_default();
            Place {
                position: committed.unwrap_or(reset),
                is_committed: committed.is_some(),
                until: ends.get(&key).copied(),
                partition,
            }
        });
        Ok(places.collect())
    }

    async fn ask(
        &mut self,
        partitions: &[(String, i32)],
        at: At,
    ) -> Result<BTreeMap<(String, i32), i64>, PlaceError> {
        let mut offsets = BTreeMap::new();
        if partitions.is_empty() {
            return Ok(offsets);
        }
        for (key, found) in self.client.offsets(partitions, at, self.isolation).await? {
            let found = found.map_err(|code| refused(&key, code))?;
            offsets.insert(key, found.offset.unwrap_or_default());
        }
        Ok(offsets)
    }
}

fn refused((topic, partition): &(String, i32), code: ErrorCode) -> PlaceError {
    PlaceError::Partition {
        topic: topic.clone(),
        partition: *partition,
        code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_understood() {
        for (code, expected) in [
            (ErrorCode::NotCoordinator, Verdict::Elsewhere),
            (ErrorCode::CoordinatorLoadInProgress, Verdict::Elsewhere),
            (ErrorCode::FencedMemberEpoch, Verdict::Fenced),
            (ErrorCode::UnknownMemberId, Verdict::Fenced),
            (ErrorCode::StaleMemberEpoch, Verdict::Later),
            (ErrorCode::UnstableOffsetCommit, Verdict::Later),
            (ErrorCode::UnknownTopicId, Verdict::Gone),
            (ErrorCode::GroupAuthorizationFailed, Verdict::Final),
            (ErrorCode::UnsupportedAssignor, Verdict::Final),
        ] {
            assert_eq!(verdict(code), expected, "{code:?}");
        }
    }
}
