//! What a member asks its coordinator, each as a task of its own, and how refusals are understood.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::place::{Asking, Places};
use crate::cli::client::{
    Answer, Client, ClientError, CommitOutcomes, Coordinator, GroupPartition, Link, Speaker,
    commit_request, is_elsewhere, read_committed,
};
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;

/// How a call of a member ended.
pub(super) enum Done {
    /// With the client that knows the coordinator now.
    Found(Result<(Client, Coordinator), ClientError>),
    Heartbeat(Result<Answer<ConsumerGroupHeartbeatRequest<'static>>, ClientError>),
    Commit(Offsets, Result<CommitOutcomes, ClientError>),
    /// With the partitions that were asked for.
    Places(Vec<GroupPartition>, Result<Places, ClientError>),
}

/// What is to be committed: the next offset to read, per partition.
pub(super) type Offsets = BTreeMap<GroupPartition, i64>;

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
        // A group that is gone has no members.
        ErrorCode::UnknownMemberId | ErrorCode::FencedMemberEpoch | ErrorCode::GroupIdNotFound => {
            Verdict::Fenced
        }
        ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId => Verdict::Gone,
        // The answer to a heartbeat that is on its way brings the new epoch.
        ErrorCode::StaleMemberEpoch => Verdict::Later,
        code if code.is_retriable() => Verdict::Later,
        _ => Verdict::Final,
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

/// Where the group goes on in these partitions.
pub(super) async fn places(asking: Asking, partitions: Vec<GroupPartition>) -> Done {
    let places = asking.places(&partitions).await;
    Done::Places(partitions, places)
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
            (ErrorCode::GroupIdNotFound, Verdict::Fenced),
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
