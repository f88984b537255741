//! What a client makes of an answer that reaches it.

use ottla::coordinator::group::error::GroupError;
use ottla::coordinator::group::request::{
    ConsumerHeard, Joined, Partitions, Request, Response, Synced,
};
use ottla::metadata::MetadataImage;

use super::assignment::{Owned, assigned};
use super::client::{Client, Phase};
use super::topics::find;
use crate::sim::count::Counts;

/// Who answered, and what the world was like.
pub(super) struct Heard<'a> {
    pub(super) image: &'a MetadataImage,
    /// A consumer group whose coordinator is not deposed: what it assigns is what the log has.
    pub(super) is_certain: bool,
}

/// The refusal in an answer; of a commit that of its only partition.
pub(super) fn refusal(response: &Response) -> Option<&GroupError> {
    match response {
        Response::Join(Err(error))
        | Response::Sync(Err(error))
        | Response::Heartbeat(Err(error))
        | Response::Leave(Err(error))
        | Response::ConsumerHeartbeat(Err(error))
        | Response::CommitOffsets(Err(error))
        | Response::FetchOffsets(Err(error))
        | Response::DeleteOffsets(Err(error))
        | Response::DeleteGroup(Err(error))
        | Response::Describe(Err(error))
        | Response::DescribeConsumer(Err(error))
        | Response::List(Err(error)) => Some(error),
        Response::CommitOffsets(Ok(answers)) => {
            answers.iter().find_map(|answer| answer.as_ref().err())
        }
        _ => None,
    }
}

/// Whether it is not known what came of the question.
pub(super) fn is_unclear(error: &GroupError) -> bool {
    matches!(error, GroupError::NotAvailable | GroupError::NotCoordinator)
}

fn owned(partitions: &Partitions) -> Owned {
    let all = partitions.iter();
    all.flat_map(|(topic, indexes)| indexes.iter().map(|index| (*topic, *index)))
        .collect()
}

impl Client {
    pub(super) fn hear(
        &mut self,
        request: &Request,
        response: &Response,
        heard: &Heard<'_>,
        counts: &mut Counts,
    ) {
        match response {
            Response::Join(Ok(joined)) => self.joined(joined),
            Response::Sync(Ok(synced)) => self.synced(synced, heard),
            Response::ConsumerHeartbeat(Ok(told)) => self.told(told, heard),
            other => {
                if let Some(error) = refusal(other) {
                    self.refused(request, error, counts);
                }
            }
        }
    }

    fn joined(&mut self, joined: &Joined) {
        self.member = joined.member.clone();
        self.epoch = joined.generation;
        let leads = joined.leader == joined.member && !joined.skip_assignment;
        let members = if leads {
            joined.members.clone()
        } else {
            vec![]
        };
        self.phase = Phase::Syncing(members);
    }

    fn synced(&mut self, synced: &Synced, heard: &Heard<'_>) {
        let named = assigned(&synced.assignment);
        let told = named.iter();
        let told = told.filter_map(|(topic, index)| find(heard.image, topic, *index));
        self.told = told.collect();
        self.is_told_for_certain = heard.is_certain;
        self.is_told(heard);
    }

    fn told(&mut self, told: &ConsumerHeard, heard: &Heard<'_>) {
        self.epoch = told.epoch;
        if let Some(assignment) = &told.assignment {
            self.told = owned(assignment);
            self.is_told_for_certain = heard.is_certain;
        }
        self.is_told(heard);
    }

    /// What is new is read at once; what is not told any more is given up later.
    fn is_told(&mut self, heard: &Heard<'_>) {
        self.phase = Phase::In;
        self.owned.extend(self.told.iter().copied());
        if heard.is_certain && self.is_told_for_certain {
            self.certified.extend(self.told.iter().copied());
        }
    }

    fn refused(&mut self, request: &Request, error: &GroupError, counts: &mut Counts) {
        let was_in = self.phase == Phase::In;
        match error {
            GroupError::MemberIdRequired => {
                if let Request::Join(join) = request {
                    self.member = join.new_member.clone();
                }
            }
            GroupError::RebalanceInProgress => {
                if !matches!(request, Request::CommitOffsets(_)) {
                    self.phase = Phase::Joining;
                }
            }
            GroupError::UnknownMemberId => {
                if was_in {
                    counts.add("fencing, session ended");
                }
                self.join_anew();
            }
            GroupError::FencedInstanceId => {
                counts.add("fencing, instance id");
                self.crash();
            }
            GroupError::FencedMemberEpoch(_) | GroupError::IllegalGeneration => {
                counts.add("fencing, epoch or generation");
                self.lose();
                self.phase = Phase::Joining;
            }
            GroupError::InvalidRegularExpression(_) => self.forget_pattern(),
            GroupError::StaleMemberEpoch => {}
            GroupError::GroupIdNotFound
            | GroupError::InconsistentGroupProtocol
            | GroupError::UnsupportedVersion(_) => self.join_anew(),
            _ => self.must_tell_all = true,
        }
    }
}
