//! The called side of the quorum's network: who may speak to this node, and what it answers.
//!
//! Identities are checked before openraft sees a call (architecture decision 7): a call for another
//! cluster, node or directory, or from a member whose directory is not the one that the membership
//! names, has no effect. So a wiped disk can't vote, acknowledge or lead. What openraft takes on trust
//! is checked too: the peer may be broken, or be somebody else.

mod append;
mod pieces;
mod snapshot;
#[cfg(test)]
mod tests;

use openraft::SnapshotMeta;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, VoteRequest,
};

use crate::engine::Types;
use crate::node::{Inner, Raft};
use crate::rpc::{self, Address, Answer, AppendAnswer, Call, Identity, Refusal, Response};
use crate::types::{DirectoryId, NodeId};

pub(crate) use pieces::Pieces;

impl Raft {
    /// Answers a peer's call. Bytes that are no call get an answer too: a refusal.
    pub async fn handle(&self, request: &[u8]) -> Vec<u8> {
        let inner = &*self.inner;
        let local = Identity {
            node: inner.config.node.0,
            directory: inner.config.directory.0,
        };
        let mut to = Identity {
            node: 0,
            directory: [0; 16],
        };
        let answer = match rpc::decode_request(request) {
            Ok(request) => {
                to = request.address.from;
                inner.answer(local, request).await
            }
            Err(refusal) => Err(refusal),
        };
        let answer = answer.unwrap_or_else(|refusal| {
            tracing::debug!(%refusal, from = to.node, "refused a call");
            Answer::Refused(refusal)
        });
        let address = Address {
            cluster: inner.config.cluster.0,
            from: local,
            to,
        };
        rpc::encode_response(&Response { address, answer })
    }
}

impl Inner {
    async fn answer(&self, local: Identity, request: rpc::Request) -> Result<Answer, Refusal> {
        let Address { cluster, from, to } = request.address;
        if cluster != self.config.cluster.0 {
            return Err(Refusal::OtherCluster);
        }
        if to != local {
            return Err(Refusal::NotAddressed);
        }
        if !self.is_known_as(from) {
            return Err(Refusal::UnknownSender);
        }
        match request.call {
            Call::Append {
                vote,
                previous,
                entries,
                committed,
            } => {
                if !append::is_well_formed(&vote, previous, &entries) {
                    return Err(Refusal::Malformed);
                }
                let size = entries.iter().map(entry_size).sum();
                if !entries.is_empty() && !self.log.has_room(size).await {
                    return Err(Refusal::DiskFull);
                }
                let rpc = AppendEntriesRequest::<Types> {
                    vote: vote.into(),
                    prev_log_id: previous.map(Into::into),
                    entries: entries.into_iter().map(Into::into).collect(),
                    leader_commit: committed.map(Into::into),
                };
                let answer = self.engine.append_entries(rpc).await;
                let answer = answer.map_err(|_| Refusal::Stopped)?;
                Ok(Answer::Append(append_answer(&answer)))
            }
            Call::Vote { vote, last } => {
                let rpc = VoteRequest::new(vote.into(), last.map(Into::into));
                let answer = self.engine.vote(rpc).await.map_err(|_| Refusal::Stopped)?;
                let is_granted = answer.vote_granted;
                tracing::debug!(candidate = from.node, is_granted, "was asked for a vote");
                Ok(Answer::Vote {
                    vote: (&answer.vote).into(),
                    is_granted: answer.vote_granted,
                    last: answer.last_log_id.map(Into::into),
                })
            }
            Call::Snapshot {
                vote,
                meta,
                offset,
                data,
                is_last,
            } => {
                let meta = SnapshotMeta::from(meta);
                let rpc = InstallSnapshotRequest::<Types> {
                    vote: vote.into(),
                    meta,
                    offset,
                    data,
                    done: is_last,
                };
                self.take_piece(rpc).await
            }
        }
    }

    /// A member is its id and its directory. A node that is not a member yet, or of which this one
    /// hasn't heard, may speak: openraft decides what its words are worth.
    fn is_known_as(&self, from: Identity) -> bool {
        let metrics = self.engine.server_metrics();
        let metrics = metrics.borrow();
        let member = metrics
            .membership_config
            .membership()
            .get_node(&NodeId(from.node));
        member.is_none_or(|member| member.directory == DirectoryId(from.directory))
    }
}

fn append_answer(answer: &AppendEntriesResponse<NodeId>) -> AppendAnswer {
    match answer {
        AppendEntriesResponse::Success => AppendAnswer::Success,
        AppendEntriesResponse::PartialSuccess(matching) => {
            AppendAnswer::PartialSuccess(matching.map(Into::into))
        }
        AppendEntriesResponse::Conflict => AppendAnswer::Conflict,
        AppendEntriesResponse::HigherVote(vote) => AppendAnswer::HigherVote(vote.into()),
    }
}

/// About what an entry takes in the log.
fn entry_size(entry: &crate::archive::EntryRecord) -> usize {
    let body = match &entry.payload {
        crate::archive::PayloadRecord::Command(bytes) => bytes.len(),
        _ => 1024,
    };
    body.saturating_add(128)
}
